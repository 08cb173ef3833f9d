"""The critic's WGAN-GP loss, in closed form, for a population of stacked critics.

Source:
    Gulrajani et al. 2017: ``mean critic(fake) - mean critic(real) + lambda mean (|gradient at an interpolate| - 1)^2``,
    one interpolation factor a window, the norm over the whole window, as the report has it. The original code draws one
    factor a batch and takes a norm a frame.
"""

from itertools import pairwise

import torch
from torch import Tensor

from hpgan_core.adam import Adam
from hpgan_core.models import Critic
from hpgan_core.sweeps import Sweeps


@torch.no_grad()
def train_critic(
    critic: Critic,
    optimizer: Adam,
    past: Tensor,
    future: Tensor,
    generated: Tensor,
    mixes: Tensor,
    lambda_gp: Tensor,
    by_frame: bool = False,
) -> tuple[Tensor, Tensor]:
    """Update a critic by its WGAN-GP loss, once for each interpolation factor.

    Three groups of rows go through the layers together: generated windows, real ones and their interpolates. Up to the
    first activation the critic is linear, so the interpolates' first outputs are interpolates themselves and cost no
    product. The gradient of a layer's weight is then one product over the rows of the two ordinary groups and of the
    penalty's.

    Args:
        critic: is updated.
        optimizer: the critic's.
        past: normalised poses, ``(S, B, T_past, D)``.
        future: normalised poses, ``(S, B, T, D)``.
        generated: normalised poses for each iteration or for all, ``(S, B, iterations or 1, T, D)``.
        mixes: share of the real window in each interpolate, ``(S, B, iterations)`` or, one a batch,
            ``(S, 1, iterations)``.
        lambda_gp: weight of the penalty for each member, ``(S,)``.
        by_frame: penalise the norm of each frame's gradient instead of the whole window's.

    Returns:
        Mean critic difference generated - real, and the unweighted penalty, before the last update, ``(S,)`` each.
    """
    members, batch, _, iterations = *past.shape[:3], mixes.shape[2]
    interpolated = slice(2 * batch, None)
    shown = generated.unbind(2)
    # Of the loss by the two groups' values, and of each interpolate's value by itself.
    value_errors = past.new_ones(members, 3 * batch, 1)
    value_errors[:, :batch] = 1 / batch
    value_errors[:, batch : 2 * batch] = -1 / batch

    _, *hidden_layers, _ = critic.layers
    sweeps = Sweeps(critic, optimizer, past, future, penalised=True)
    first = sweeps.first_outputs(shown[0])
    of_generated, of_real, of_interpolates = first.tensor_split((batch, 2 * batch), dim=1)
    for iteration, mix in enumerate(mixes.unsqueeze(3).unbind(2)):
        torch.lerp(of_generated, of_real, mix, out=of_interpolates)
        values, outputs, inputs = critic.above(first)
        errors = critic.errors_above(value_errors, outputs)
        norms, adjoint = sweeps.penalise(errors[0][:, interpolated], lambda_gp, by_frame)
        # Forwards again: the penalty's gradient with respect to each sensitivity takes the interpolates' place.
        inputs[0][:, interpolated] = critic.below_activation(adjoint, outputs[0][:, interpolated])
        for layer, (below, above), output in zip(hidden_layers, pairwise(inputs), outputs[1:], strict=True):
            forwards = layer.product(below[:, interpolated])
            above[:, interpolated] = critic.below_activation(forwards, output[:, interpolated])
        if iteration + 1 == iterations:
            sweeps.update(inputs, errors)
            break
        shown_next = shown[iteration + 1] if len(shown) > 1 else None
        sweeps.first_outputs(shown_next, sweeps.updated(inputs, errors))
    difference = values[:, :batch].mean(1) - values[:, batch : 2 * batch].mean(1)
    return difference, (norms - 1).square().mean((1, 2))


@torch.no_grad()
def values_and_gradients(critic: Critic, past: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
    """Critic values ``(S, N)`` of motions, and the gradient of each with respect to its own future.

    Args:
        critic: of ``past`` and ``future`` together.
        past: normalised poses, ``(S, N, T_past, D)``.
        future: normalised poses, ``(S, N, T, D)``; the gradients have this shape.
    """
    first_layer, embed = critic.layers[0], critic.embed
    motion = torch.cat([past, future], dim=2).flatten(2)
    values, outputs, _ = critic.above(first_layer(motion if embed is None else embed(motion)))
    errors = critic.errors_above(values.new_ones(*values.shape, 1), outputs)
    n_future = first_layer.weight.shape[1] // critic.frames * future.shape[2]
    gradients = torch.bmm(errors[0], first_layer.weight[:, -n_future:].transpose(1, 2))
    return values, (gradients if embed is None else embed.backward(gradients)).view_as(future)
