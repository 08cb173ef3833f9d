"""Pruners by their names in a study file: which trials of an arm end early."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState, create_trial

from study.sections import Hyperband, Median, NoPruning, SuccessiveHalving, Wilcoxon
from study.study_file import StudyFile


class Rungs:
    """One arm's intermediate values in memory, and the pruner that judges them.

    Optuna's pruners keep what they have decided among a study's own data and decide once. Theirs is therefore not the
    study of the tables but one that the record rebuilds, event by event: a driver that dies over a decision leaves it
    to be taken again. It holds nothing of an earlier study, whose data may have been others.

    Args:
        pruner: of Optuna.
        goal: ``minimize`` or ``maximize``.
        grace_epochs: epochs that every trial may run.
    """

    def __init__(self, pruner: BasePruner, goal: str, grace_epochs: int) -> None:
        self.pruner, self.grace_epochs = pruner, grace_epochs
        self._memory = InMemoryStorage()
        # Hyperband chooses a bracket by this name and the trial's number: the same ones in every arm.
        self._study_id = self._memory.create_new_study([StudyDirection[goal.upper()]], "rungs")
        self._study = Study("rungs", self._memory, pruner=pruner)
        self._ids: list[int] = []

    def enter(self) -> None:
        """One more trial has begun; they come in the order of numbers."""
        self._ids.append(self._memory.create_new_trial(self._study_id))

    def report(self, number: int, epoch: int, objective: float, members: Sequence[float]) -> bool:
        """Take an intermediate value; True when the trial is to stop."""
        self._memory.set_trial_intermediate_value(self._ids[number], epoch, objective)
        return epoch >= self.grace_epochs and self.judge(number, epoch, members)

    def judge(self, number: int, epoch: int, members: Sequence[float]) -> bool:
        """Whether the trial is to stop after this epoch."""
        return self.pruner.prune(self._study, self._memory.get_trial(self._ids[number]))

    def tell(self, number: int, state: TrialState, results: Sequence[float] | None) -> None:
        """A trial has ended."""
        self._memory.set_trial_state_values(self._ids[number], state, results)


class MatchedRungs(Rungs):
    """Compares a trial with the best one at the same epoch, member by member, by Wilcoxon's signed-rank test.

    Optuna's pruner takes the steps of a trial for the pairs of the test. Epochs of one training depend on each other
    and would make any small difference significant; its members are independent and have the same seeds in every trial.
    """

    def __init__(self, pruner: BasePruner, goal: str, grace_epochs: int) -> None:
        super().__init__(pruner, goal, grace_epochs)
        self._members: dict[int, dict[int, tuple[float, ...]]] = {}

    def report(self, number: int, epoch: int, objective: float, members: Sequence[float]) -> bool:
        self._members.setdefault(number, {})[epoch] = tuple(members)
        return super().report(number, epoch, objective, members)

    def judge(self, number: int, epoch: int, members: Sequence[float]) -> bool:
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            return False
        best = self._study.best_trial.number
        pair = optuna.create_study(direction=self._study.direction, pruner=self.pruner)
        pair.add_trial(create_trial(value=0.0, intermediate_values=dict(enumerate(self._members[best][epoch]))))
        trial = pair.ask()
        for member, value in enumerate(members):
            trial.report(value, member)
        return trial.should_prune()


def build_rungs(study_file: StudyFile) -> Rungs | None:
    """The pruner of the study file; None where every trial runs to its end."""
    pruner = study_file.pruner()
    if isinstance(pruner, NoPruning):
        return None
    kind = MatchedRungs if isinstance(pruner, Wilcoxon) else Rungs
    optunas = PRUNERS[pruner.name](pruner, study_file.search.epochs)
    return kind(optunas, study_file.objective.goal, pruner.grace_epochs)


def _build_successive_halving(pruner: SuccessiveHalving, _: int) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=pruner.grace_epochs, reduction_factor=pruner.reduction_factor)


def _build_hyperband(pruner: Hyperband, epochs: int) -> BasePruner:
    return HyperbandPruner(
        min_resource=pruner.grace_epochs,
        max_resource=max(epochs, pruner.grace_epochs),
        reduction_factor=pruner.reduction_factor,
    )


def _build_median(pruner: Median, _: int) -> BasePruner:
    return MedianPruner(n_startup_trials=3, n_warmup_steps=pruner.grace_epochs)


def _build_wilcoxon(pruner: Wilcoxon, _: int) -> BasePruner:
    with warnings.catch_warnings():
        # Nobody who runs a study can do anything about it.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return WilcoxonPruner(p_threshold=pruner.p_threshold, n_startup_steps=0)


PRUNERS: dict[str, Callable[[Any, int], BasePruner]] = {
    "successive_halving": _build_successive_halving,
    "hyperband": _build_hyperband,
    "median": _build_median,
    "wilcoxon": _build_wilcoxon,
}
