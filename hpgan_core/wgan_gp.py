"""The critic's WGAN-GP loss and its gradients in closed form, for a population of stacked critics.

Source:
    Gulrajani et al. 2017: ``mean critic(fake) - mean critic(real) + lambda mean (|gradient at an interpolate| - 1)^2``,
    one interpolation factor a window, the norm over the whole window, as the report has it. The original code draws one
    factor a batch and takes a norm a frame.
"""

import torch
from torch import Tensor

from hpgan_core.models import Critic

NORM_EPSILON = 1e-12


@torch.no_grad()
def input_gradient(critic: Critic, motion: Tensor) -> Tensor:
    """Gradient of each motion's own critic value with respect to that motion, ``(S, N, in)`` to the same shape."""
    activation_slopes = []
    if critic.embed is not None:
        motion = critic.embed(motion)
    for layer in critic.layers[:-1]:
        pre_activation = layer(motion)
        activation_slopes.append(critic.slopes(pre_activation))
        motion = pre_activation * activation_slopes[-1]
    gradient: Tensor = critic.layers[-1].weight.transpose(1, 2)
    for layer, slope in zip(reversed(critic.layers[:-1]), reversed(activation_slopes), strict=True):
        gradient = layer.backward(gradient * slope)
    return gradient if critic.embed is None else critic.embed.backward(gradient)


@torch.no_grad()
def accumulate_critic_gradients(
    critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, lambda_gp: Tensor, by_frame: bool = False
) -> tuple[Tensor, Tensor]:
    """Set ``.grad`` of every critic weight to the gradient of the WGAN-GP critic loss.

    Three groups of rows go through the layers together: fake, real and their interpolates. Up to the first activation
    the critic is linear, so the interpolates' pre-activations are interpolates themselves and cost no product. The
    gradient of a layer's weight is then one product over the rows of the two ordinary groups and of the penalty's.

    Args:
        critic: weights are read, gradients are overwritten.
        real: recorded windows, normalised, ``(S, B, in)``.
        fake: generated windows, normalised, ``(S, B, in)``.
        mix: share of the real window in each interpolate, ``(S, B, 1)`` or, one for the batch, ``(S, 1, 1)``.
        lambda_gp: weight of the penalty for each member, ``(S,)``.
        by_frame: penalise the norm of each frame's gradient instead of the whole window's.

    Returns:
        Mean critic difference fake - real, and the unweighted penalty, ``(S,)`` each.
    """
    batch = real.shape[1]
    first, *others = critic.layers
    ordinary, interpolated = slice(None, 2 * batch), slice(2 * batch, None)

    rows = torch.cat([fake, real], dim=1)
    layer_inputs = [rows] if critic.embed is None else [rows, critic.embed(rows)]
    pre_activation = first(layer_inputs[-1])
    interpolates = torch.lerp(pre_activation[:, :batch], pre_activation[:, batch:], mix)
    pre_activation = torch.cat([pre_activation, interpolates], dim=1)
    activation_slopes = []
    for layer in others:
        activation_slopes.append(critic.slopes(pre_activation))
        activation = pre_activation * activation_slopes[-1]
        layer_inputs.append(activation[:, ordinary])
        pre_activation = layer(activation)
    values = pre_activation.squeeze(-1)
    difference = values[:, :batch].mean(1) - values[:, batch : 2 * batch].mean(1)

    # Backwards in one sweep: the error of the two groups, and the sensitivity of the interpolates' values.
    error = values.new_full((values.shape[0], 2 * batch, 1), 1 / batch)
    error[:, batch:] = -1 / batch
    sensitivity = values.new_ones(values.shape[0], batch, 1)
    errors, sensitivities = [error], [sensitivity]
    for layer, slope in zip(reversed(others), reversed(activation_slopes), strict=True):
        propagated = layer.backward(torch.cat([error, sensitivity], dim=1)) * slope
        error, sensitivity = propagated[:, ordinary], propagated[:, interpolated]
        errors.append(error)
        sensitivities.append(sensitivity)
    gradient = first.backward(sensitivity)
    if critic.embed is not None:
        errors.append(first.backward(error))
        sensitivities.append(gradient)
        gradient = critic.embed.backward(gradient)
    penalised = gradient.view(*gradient.shape[:2], critic.frames if by_frame else 1, -1)
    norm = (penalised.square().sum(-1, keepdim=True) + NORM_EPSILON).sqrt()
    penalty = (norm - 1).square().mean(dim=(1, 2, 3))

    # Forwards again: the penalty's gradient with respect to each sensitivity.
    share = 2 / (norm.shape[1] * norm.shape[2]) * lambda_gp.view(-1, 1, 1, 1)
    adjoint = (penalised * ((norm - 1) / norm * share)).flatten(2)
    layers = [*critic.layers] if critic.embed is None else [critic.embed, *critic.layers]
    slopes_after = [1.0] * (len(layers) - 1 - len(others)) + [slope[:, interpolated] for slope in activation_slopes]
    for position, layer in enumerate(layers):
        error, sensitivity = errors[-1 - position], sensitivities[-1 - position]
        layer.set_gradient(torch.cat([layer_inputs[position], adjoint], dim=1), torch.cat([error, sensitivity], dim=1))
        if layer.bias is not None:
            layer.bias.grad = error.sum(1, keepdim=True)
        if position < len(layers) - 1:
            adjoint = layer.product(adjoint) * slopes_after[position]
    return difference, penalty
