"""The critic's WGAN-GP loss and its gradients in closed form, for a population of stacked critics.

Source:
    Gulrajani et al. 2017: ``mean critic(fake) - mean critic(real) + lambda mean (|gradient at an interpolate| - 1)^2``,
    one interpolation factor a window, the norm over the whole window, as the report has it. The original code draws one
    factor a batch and takes a norm a frame.
"""

import torch
from torch import Tensor

from hpgan_core.models import Critic, slopes

NORM_EPSILON = 1e-12


def input_gradient(critic: Critic, motion: Tensor) -> Tensor:
    """Gradient of each motion's own critic value with respect to that motion, ``(S, N, in)`` to the same shape."""
    layers = [layer.weight for layer in critic.layers]
    activation_slopes = []
    for layer in critic.layers[:-1]:
        pre_activation = layer(motion)
        activation_slopes.append(slopes(pre_activation))
        motion = pre_activation * activation_slopes[-1]
    gradient = layers[-1].transpose(1, 2)
    for weight, slope in zip(reversed(layers[:-1]), reversed(activation_slopes), strict=True):
        gradient = (gradient * slope) @ weight.transpose(1, 2)
    return gradient


@torch.no_grad()
def accumulate_critic_gradients(
    critic: Critic, real: Tensor, fake: Tensor, mix: Tensor, lambda_gp: Tensor
) -> tuple[Tensor, Tensor]:
    """Set ``.grad`` of every critic weight to the gradient of the WGAN-GP critic loss.

    Three groups of rows go through the layers together: fake, real and their interpolates. The first layer is linear,
    so the interpolates' pre-activations are interpolates themselves and cost no product. The gradient of a layer's
    weight is then one product over the rows of the two ordinary groups and of the penalty's.

    Args:
        critic: weights are read, gradients are overwritten.
        real: recorded windows, normalised, ``(S, B, in)``.
        fake: generated windows, normalised, ``(S, B, in)``.
        mix: share of the real window in each interpolate, ``(S, B, 1)``.
        lambda_gp: weight of the penalty for each member, ``(S,)``.

    Returns:
        Mean critic difference fake - real, and the unweighted penalty, ``(S,)`` each.
    """
    batch = real.shape[1]
    first, *hidden, last = critic.layers
    weights = [layer.weight for layer in critic.layers]

    rows = torch.cat([fake, real], dim=1)
    pre_activation = first(rows)
    interpolates = torch.lerp(pre_activation[:, :batch], pre_activation[:, batch:], mix)
    pre_activation = torch.cat([pre_activation, interpolates], dim=1)
    layer_inputs, activation_slopes = [rows], []
    for layer in [*hidden, last]:
        activation_slopes.append(slopes(pre_activation))
        activation = pre_activation * activation_slopes[-1]
        layer_inputs.append(activation[:, : 2 * batch])
        pre_activation = layer(activation)
    values = pre_activation.squeeze(-1)
    difference = values[:, :batch].mean(1) - values[:, batch : 2 * batch].mean(1)

    # Backwards in one sweep: the error of the two groups, and the interpolates' input gradient.
    error = values.new_full((values.shape[0], 2 * batch, 1), 1 / batch)
    error[:, batch:] = -1 / batch
    sensitivity = values.new_ones(values.shape[0], batch, 1)
    errors, sensitivities = [error], [sensitivity]
    for weight, slope in zip(reversed(weights[1:]), reversed(activation_slopes), strict=True):
        propagated = (torch.cat([error, sensitivity], dim=1) @ weight.transpose(1, 2)) * slope
        error, sensitivity = propagated[:, : 2 * batch], propagated[:, 2 * batch :]
        errors.append(error)
        sensitivities.append(sensitivity)
    gradient = sensitivity @ weights[0].transpose(1, 2)
    norm = (gradient.square().sum(-1, keepdim=True) + NORM_EPSILON).sqrt()
    penalty = (norm - 1).square().mean(dim=(1, 2))

    # Forwards again: the penalty's gradient with respect to each sensitivity.
    adjoint = gradient * ((norm - 1) / norm * (2 / batch) * lambda_gp.view(-1, 1, 1))
    for position, layer in enumerate(critic.layers):
        error, sensitivity = errors[-1 - position], sensitivities[-1 - position]
        left, right = torch.cat([layer_inputs[position], adjoint], dim=1), torch.cat([error, sensitivity], dim=1)
        layer.weight.grad = left.transpose(1, 2) @ right
        if layer.bias is not None:
            layer.bias.grad = error.sum(1, keepdim=True)
        if layer is not last:
            adjoint = (adjoint @ layer.weight) * activation_slopes[position][:, 2 * batch :]
    return difference, penalty
