"""Adam whose state lies open, so that a weight can be updated part by part."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """Tensors that are updated together, each with the running means of its gradients and of their squares.

    ``updates`` are counted for each.
    """

    weights: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    updates: list[Tensor]
    weight_decay: float


class Adam:
    """The numbers of torch.optim.Adam, of whose fused kernel this is a thin cover.

    That optimizer updates whole tensors once all gradients are there. Here a part of a weight is updated as soon as its
    own gradient is, while both are in the cache. The decay is an L2 penalty on weights; biases have none.

    Args:
        network: its parameters are updated, members first.
        learning_rate: of every parameter.
        betas: decays of the mean of gradients and of the mean of their squares.
        weight_decay: of the parameters named ``weight``.
    """

    EPSILON = 1e-8

    def __init__(
        self, network: nn.Module, learning_rate: float, betas: tuple[float, float], weight_decay: float = 0.0
    ) -> None:
        self.learning_rate, self.betas, self.weight_decay = learning_rate, betas, weight_decay
        self.weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
        self.means, self.squares = (
            {name: torch.zeros_like(weight) for name, weight in self.weights.items()} for _ in range(2)
        )
        first = next(iter(self.weights.values()))
        self.updates = torch.zeros(len(first), device=first.device)

    def members(self, kept: slice) -> "Adam":
        """The optimizer of some members, which shares its state with this one."""
        view = copy.copy(self)
        view.weights, view.means, view.squares = (
            {name: tensor[kept] for name, tensor in tensors.items()}
            for tensors in (self.weights, self.means, self.squares)
        )
        view.updates = self.updates[kept]
        return view

    def begin(self) -> None:
        """Count an update, of which every part is updated once."""
        self.updates += 1

    def part(self, names: Iterable[str], rows: slice = slice(None)) -> Part:
        """Parameters that all decay or all do not, or the same rows ``(S, rows, out)`` of each.

        Rows of stacked weights are contiguous within a member only, as the kernel wants them: members are apart.
        """
        names = list(names)
        decayed = {name.endswith("weight") for name in names if self.weight_decay}
        assert len(decayed) <= 1
        weights, means, squares = (
            [member for name in names for member in tensors[name][:, rows].unbind()]
            for tensors in (self.weights, self.means, self.squares)
        )
        updates = list(self.updates.unbind()) * len(names)
        return Part(weights, means, squares, updates, self.weight_decay if True in decayed else 0.0)

    def update(self, part: Part, gradients: Sequence[Tensor]) -> None:
        """Move the weights of a part along their gradients, ``(S, rows, out)`` for each of its parameters."""
        torch._fused_adam_(
            part.weights,
            # The kernel goes through memory in order, whatever the strides.
            [member for gradient in gradients for member in gradient.contiguous().unbind()],
            part.means,
            part.squares,
            [],
            part.updates,
            lr=self.learning_rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=part.weight_decay,
            eps=self.EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """The running means ``(S, in, out)`` under their parameters' names, and each member's number of updates."""
        means = {f"means.{name}": value for name, value in self.means.items()}
        squares = {f"squares.{name}": value for name, value in self.squares.items()}
        return {"updates": self.updates} | means | squares

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, value in self.state_dict().items():
            value.copy_(state[name])
