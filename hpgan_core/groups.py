"""Members that train group by group, where memory does not hold all of them at once."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from hpgan_core.config import TrainingConfig
from hpgan_core.training import Population
from hpgan_core.windows import MotionData

T = TypeVar("T")


class Groups:
    """The members of one run, so many of them on the device at a time.

    Groups take turns, an epoch each. While one is on the device, the state of the others waits in the machine's memory.
    A member's numbers depend on its seed alone: grouping costs time and changes nothing else, but for how sums over
    stacked members are rounded.

    Args:
        config: settings of every member.
        data: training and validation clips.
        seeds: one member each.
        at_once: members of a group; the last one may have fewer.
        device: where to train.
        cuda_graph: launch each step as one CUDA graph; see ``capture.py``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: MotionData,
        seeds: Sequence[int],
        at_once: int,
        device: str,
        cuda_graph: bool = False,
    ) -> None:
        self.config, self.data, self.seeds = config, data, tuple(seeds)
        self.device, self.cuda_graph = device, cuda_graph
        self._members = [slice(first, first + at_once) for first in range(0, len(seeds), at_once)]
        self._waiting: dict[int, dict[str, Any]] = {}
        self._population: Population | None = None
        self._here = 0

    def each(self, act: Callable[[Population], T]) -> list[T]:
        """What ``act`` makes of each group, in the order of the members; it must keep no reference to the group."""
        return [act(self._fetch(group)) for group in range(len(self._members))]

    def first(self) -> Population:
        """The group of the first member."""
        return self._fetch(0)

    @property
    def epochs_done(self) -> int:
        """Of every group, between two epochs."""
        return self._fetch(self._here).epochs_done

    def state(self) -> dict[str, Any]:
        """What ``Population.state`` says of all members together, in the machine's memory, whatever the groups are.

        All of them have trained, or been given a state.
        """
        state: dict[str, Any] = _join([self._state_of(group) for group in range(len(self._members))])
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state, of a run in whatever groups."""
        self._population = None
        self._waiting = {group: _part(state, members) for group, members in enumerate(self._members)}

    def _fetch(self, group: int) -> Population:
        if self._population is not None and self._here == group:
            return self._population
        if self._population is not None:
            self._waiting[self._here] = self._state_of(self._here)
            # Gone from the device before the next comes.
            self._population = None
        population = Population(
            self.config, self.data, self.seeds[self._members[group]], self.device, cuda_graph=self.cuda_graph
        )
        if group in self._waiting:
            population.load_state(self._waiting.pop(group))
        self._population, self._here = population, group
        return population

    def _state_of(self, group: int) -> dict[str, Any]:
        if self._population is None or self._here != group:
            return self._waiting[group]
        state: dict[str, Any] = _each_tensor(torch.Tensor.cpu, self._population.state())
        return state


# A state is a nest of mappings and lists. Members are the first dimension of its tensors; those that have none, such
# as an optimizer's count of steps, are common to all.


def _join(states: Sequence[Any]) -> Any:
    first = states[0]
    if isinstance(first, dict):
        return {key: _join([state[key] for state in states]) for key in first}
    if isinstance(first, list):
        return [_join(parts) for parts in zip(*states, strict=True)]
    return torch.cat(tuple(states)) if isinstance(first, torch.Tensor) and first.ndim else first


def _part(state: Any, members: slice) -> Any:
    """A copy: groups must not count each other's steps."""
    return _each_tensor(lambda tensor: (tensor[members] if tensor.ndim else tensor).clone(), state)


def _each_tensor(act: Callable[[torch.Tensor], torch.Tensor], state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _each_tensor(act, value) for key, value in state.items()}
    if isinstance(state, list):
        return [_each_tensor(act, value) for value in state]
    return act(state) if isinstance(state, torch.Tensor) else state
