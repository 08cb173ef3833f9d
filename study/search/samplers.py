"""Samplers by their names in a study file: where an arm's configurations come from.

What a sampler proposes for a trial is a function of the seed, the trial's number and the trials before it, never of how
many of those this process has seen. One worker and one seed therefore give the same trials bit for bit, interrupted or
not. With many workers ``qmc``, ``random`` and ``grid`` still do, since they heed no results; what ``tpe``, ``gp`` and
``cmaes`` learn from is what has finished by then, a matter of time. Another kind of machine may differ in the last bit
of a float.

A proposal that breaks a constraint is drawn again and leaves no trace: it is no trial. Optuna's own way, to tell the
sampler of infeasible trials, is for constraints that only training finds out; ours are known beforehand.
"""

import heapq
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.pareto import pareto_front
from study.search.distributions import from_sampled, sampled_distribution, to_sampled
from study.sections import Value
from study.space import Space, first_values
from study.study_file import StudyFile

Values = dict[str, Value]

# Proposals of a sampler that learns before any allowed point will do.
REDRAWS = 100
# Of a history that is not shown in full, the share that is there for being best.
BEST_SHARE = 0.1


def generator_of(*entropy: int) -> np.random.Generator:
    """Random numbers for one purpose."""
    return np.random.default_rng(np.random.SeedSequence(entropy))


class Sampler(ABC):
    """The configurations of one arm, one after the other.

    Args:
        study_file: space, seed and goals.
        arm: which arm.
        position: its place in the study file.
    """

    def __init__(self, study_file: StudyFile, arm: str, position: int) -> None:
        self.space, self.seed, self.position = Space.of(study_file, arm), study_file.search.sampler.seed, position
        self._first = deque(first_values(study_file, arm))

    @property
    def exhausted(self) -> bool:
        """Whether there is no configuration left that has not been tried."""
        return False

    def values(self, number: int) -> Values:
        """What trial ``number``, the next one, runs: first what the study file gives, then what this proposes."""
        return dict(self._first[0]) if self._first else self.propose(number)

    @abstractmethod
    def propose(self, number: int) -> Values:
        """What trial ``number`` runs when the study file gives nothing more."""

    def take_over(self, trials: Sequence[tuple[Mapping[str, Value], Sequence[float]]]) -> None:
        """Learn from an earlier study's complete trials, values and results, before this study's first."""
        assert not trials, "a study file that asks this of a sampler that does not learn is refused"

    def enter(self, number: int, values: Mapping[str, Value]) -> None:
        """Trial ``number`` runs ``values``, which need not be those of this sampler; they come in order of numbers."""
        if self._first and self._first[0] == values:
            self._first.popleft()

    def learn(  # noqa: B027  most samplers do not
        self, number: int, state: TrialState, results: Sequence[float] | None, step: int
    ) -> None:
        """How trial ``number`` has ended, with its last results at its last step."""

    def random_point(self, number: int) -> Values:
        """An allowed point, every one as likely as another.

        The study file has been checked to leave room enough for this to come to an end.
        """
        generator = generator_of(self.seed + self.position, number)
        draws = (self.space.at(generator.random(len(self.space.parameters))) for _ in count())
        return next(values for values in draws if not self.space.broken(values))


class RandomSampler(Sampler):
    """Independent points, other ones in every arm."""

    def propose(self, number: int) -> Values:
        return self.random_point(number)


class MatchedSampler(Sampler):
    """A scrambled Sobol sequence over all parameters of the study, of which each arm takes those that it has.

    Arms therefore differ in their losses alone, point by point. For that a point must be allowed everywhere: one that
    breaks a constraint is left out of every arm, also of those that the constraint is not about.
    """

    def __init__(self, study_file: StudyFile, arm: str, position: int) -> None:
        super().__init__(study_file, arm, position)
        self._points = self._sequence(Space.of(study_file))
        self._next = next(self._points)

    def propose(self, number: int) -> Values:
        return dict(self._next)

    def enter(self, number: int, values: Mapping[str, Value]) -> None:
        super().enter(number, values)
        if values == self._next:
            self._next = next(self._points)

    def _sequence(self, whole: Space) -> Iterator[Values]:
        from scipy.stats import qmc  # slow to import

        sobol = qmc.Sobol(max(1, len(whole.parameters)), rng=generator_of(self.seed))
        while True:
            for point in sobol.random(64):
                values = whole.at(point[: len(whole.parameters)].tolist())
                if not whole.broken(values):
                    yield {name: values[name] for name in self.space.parameters}


class GridSampler(Sampler):
    """Every combination once, in random order: a budget that ends early has seen some of everything."""

    def __init__(self, study_file: StudyFile, arm: str, position: int) -> None:
        super().__init__(study_file, arm, position)
        rest = [values for values in self.space.grid() if values not in self._first]
        self._rest = deque(rest[index] for index in generator_of(self.seed).permutation(len(rest)))

    @property
    def exhausted(self) -> bool:
        return not self._first and not self._rest

    def propose(self, number: int) -> Values:
        return dict(self._rest[0])

    def enter(self, number: int, values: Mapping[str, Value]) -> None:
        super().enter(number, values)
        if self._rest and values == self._rest[0]:
            self._rest.popleft()


class History(InMemoryStorage):
    """Trials as one of Optuna's samplers sees them: all, while they are few, then the best and the latest.

    A sampler's time grows with what it looks at. TPE models the best 25 trials on the one hand, and on the other the
    rest, of which the latest are a fair sample. What is shown depends on the trials alone.

    Args:
        shown: how many at most.
    """

    def __init__(self, shown: int) -> None:
        super().__init__()
        self.shown = shown

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = super().get_all_trials(study_id, deepcopy, states)
        n_best = int(self.shown * BEST_SHARE)
        earlier, latest = trials[: n_best - self.shown], trials[n_best - self.shown :]
        if len(trials) <= self.shown:
            return trials
        minimize = [direction == StudyDirection.MINIMIZE for direction in self.get_study_directions(study_id)]
        complete = [trial for trial in earlier if trial.state == TrialState.COMPLETE]
        if len(minimize) == 1:
            sign = 1 if minimize[0] else -1
            best = heapq.nsmallest(n_best, complete, key=lambda trial: (sign * trial.values[0], trial.number))
        else:
            best = [complete[index] for index in pareto_front([trial.values for trial in complete], minimize)]
        return sorted([*best[:n_best], *latest], key=lambda trial: trial.number)


class LearningSampler(Sampler):
    """One of Optuna's samplers over a study in memory, which the tables or the record give back.

    Trials of an earlier study come first in it, so the trials of this one have numbers of their own there.
    """

    def __init__(
        self,
        study_file: StudyFile,
        arm: str,
        position: int,
        build: Callable[[int, list[FrozenTrial]], BaseSampler],
        shown: int,
        stateful: bool = False,
    ) -> None:
        super().__init__(study_file, arm, position)
        self._build, self._stateful = build, stateful
        self._earlier: list[FrozenTrial] = []
        self._distributions = {name: sampled_distribution(p) for name, p in self.space.parameters.items()}
        directions = [StudyDirection[goal.goal.upper()] for goal in study_file.goals()]
        self._history = History(shown)
        self._study_id = self._history.create_new_study(directions, "history")
        self._ids: list[int] = []

    def take_over(self, trials: Sequence[tuple[Mapping[str, Value], Sequence[float]]]) -> None:
        assert not self._ids, "the history begins with them"
        for values, results in trials:
            params = {name: to_sampled(parameter, values[name]) for name, parameter in self.space.parameters.items()}
            trial = create_trial(params=params, distributions=self._distributions, values=list(results))
            self._history.create_new_trial(self._study_id, trial)
            self._earlier.append(trial)

    def propose(self, number: int) -> Values:
        self._open(number)
        proposals = (self._draw(number, redraw) for redraw in range(REDRAWS))
        allowed = (values for values in proposals if not self.space.broken(values))
        return next(allowed, None) or self.random_point(number)

    def enter(self, number: int, values: Mapping[str, Value]) -> None:
        if number == len(self._ids):
            self._open(number)
            if self._stateful and values != next(iter(self._first), None):
                self._draw(number, 0)
        super().enter(number, values)
        for name, parameter in self.space.parameters.items():
            distribution = self._distributions[name]
            drawn = distribution.to_internal_repr(to_sampled(parameter, values[name]))
            self._history.set_trial_param(self._ids[number], name, drawn, distribution)

    def learn(self, number: int, state: TrialState, results: Sequence[float] | None, step: int) -> None:
        trial_id = self._ids[number]
        if state == TrialState.PRUNED and results is not None:
            self._history.set_trial_intermediate_value(trial_id, step, results[0])
        self._history.set_trial_state_values(trial_id, state, results if state == TrialState.COMPLETE else None)

    def _open(self, number: int) -> None:
        """A trial without values, in which a sampler leaves its notes."""
        if number == len(self._ids):
            self._ids.append(self._history.create_new_trial(self._study_id))

    def _draw(self, number: int, redraw: int) -> Values:
        seed = int(np.random.SeedSequence([self.seed + self.position, number, redraw]).generate_state(1)[0])
        with warnings.catch_warnings():
            # Some have been experimental for years; nobody who runs a study can do anything about it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = self._build(seed, self._earlier)
        study = optuna.load_study(study_name="history", storage=self._history, sampler=sampler)
        trial = self._history.get_trial(self._ids[number])
        drawn: dict[str, Any] = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))
        for name, distribution in self._distributions.items():
            if distribution.single():
                drawn[name] = to_sampled(self.space.parameters[name], self.space.parameters[name].default)
            elif name not in drawn:
                drawn[name] = sampler.sample_independent(study, trial, name, distribution)
        return {name: from_sampled(parameter, drawn[name]) for name, parameter in self.space.parameters.items()}


def _build_tpe(seed: int, _: list[FrozenTrial]) -> BaseSampler:
    return TPESampler(seed=seed)


def _build_gp(seed: int, _: list[FrozenTrial]) -> BaseSampler:
    return GPSampler(seed=seed)


def _build_cmaes(seed: int, earlier: list[FrozenTrial]) -> BaseSampler:
    # It keeps its state as a pickle in the attributes of trials. Ours are in the memory of this process and drawn anew
    # from the tables' values when a search goes on: from a database a pickle could run whatever its writer likes.
    numbers = [_numbers_of(trial) for trial in earlier]
    source = numbers if numbers and numbers[0].params else None
    return CmaEsSampler(seed=seed, source_trials=source, warn_independent_sampling=False)


def _numbers_of(trial: FrozenTrial) -> FrozenTrial:
    """The part of a trial that CMA-ES knows what to do with."""
    distributions = {
        name: distribution
        for name, distribution in trial.distributions.items()
        if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
    }
    params = {name: trial.params[name] for name in distributions}
    return create_trial(params=params, distributions=distributions, values=trial.values)


SAMPLERS: dict[str, Callable[[StudyFile, str, int], Sampler]] = {
    "tpe": partial(LearningSampler, build=_build_tpe, shown=1000),
    "random": RandomSampler,
    "qmc": MatchedSampler,
    "gp": partial(LearningSampler, build=_build_gp, shown=200),
    "cmaes": partial(LearningSampler, build=_build_cmaes, shown=1000, stateful=True),
    "grid": GridSampler,
}
