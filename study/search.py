"""Optuna: one study an arm, asked and told by us; nothing else in this package knows it.

Arms are strata, never a sampled parameter: each has its own sampler, its own rungs and the same number of trials.
"""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import Trial, TrialState
from sqlalchemy import event

from study.sections import Value
from study.space import CategoricalParameter, IntParameter, Parameter
from study.study_file import Median, Pruner, StudyFile, SuccessiveHalving

# Not a choice of ours: optuna logs every trial to stderr.
optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def build_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """A sampler by its name in the study file, for the trial of that number.

    What it draws depends on the seed, the number and the trials before it, never on how many of those this process has
    seen: an interrupted search goes on as if it had not been.
    """
    fresh = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "qmc":
        with warnings.catch_warnings():
            # Has been since Optuna 3.0; nobody who runs a study can do anything about it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            # One sequence for all trials, whose points Optuna counts in its storage; it has none for categories.
            return QMCSampler(
                scramble=True, seed=seed, independent_sampler=RandomSampler(seed=fresh), warn_independent_sampling=False
            )
    return TPESampler(seed=fresh) if name == "tpe" else RandomSampler(seed=fresh)


def build_pruner(pruner: Pruner) -> BasePruner:
    """The pruner of the study file; none stops a trial before its ``grace_epochs`` are over."""
    if isinstance(pruner, SuccessiveHalving):
        return SuccessiveHalvingPruner(min_resource=pruner.grace_epochs, reduction_factor=pruner.reduction_factor)
    return (
        MedianPruner(n_startup_trials=3, n_warmup_steps=pruner.grace_epochs)
        if isinstance(pruner, Median)
        else NopPruner()
    )


def suggest(trial: Trial, name: str, parameter: Parameter) -> Value:
    """The trial's value of a parameter of the study file; asked again, the same."""
    if isinstance(parameter, CategoricalParameter):
        return cast(Value, trial.suggest_categorical(name, parameter.values))
    if isinstance(parameter, IntParameter):
        return trial.suggest_int(name, parameter.min, parameter.max, step=parameter.step or 1, log=parameter.log)
    return trial.suggest_float(name, parameter.min, parameter.max, step=parameter.step, log=parameter.log)


def open_storage(database: Path) -> RDBStorage:
    """Optuna's tables in one SQLite file, in WAL mode so that a dashboard reads while the study writes."""
    storage = RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 30}})

    @event.listens_for(storage.engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()
    return storage


class ArmSearch:
    """Suggestions and pruning for one arm.

    Args:
        storage: where Optuna keeps it.
        study_file: sampler, pruner, goal and names.
        arm: which arm.
        parameters: the arm's active parameters.
        position: the arm's place in the study file; arms draw different points from one sampler seed.
    """

    def __init__(
        self, storage: RDBStorage, study_file: StudyFile, arm: str, parameters: Mapping[str, Parameter], position: int
    ) -> None:
        self.parameters, self.sampler = parameters, study_file.search.sampler.name
        self.seed = study_file.search.sampler.seed + position
        self.study = optuna.create_study(
            storage=storage,
            study_name=f"{study_file.name}/{arm}",
            direction=study_file.objective.goal,
            load_if_exists=True,
        )
        # Pruners keep what they have decided among a study's own data and decide once. Theirs is therefore a study in
        # memory, which the record rebuilds: a driver that dies over a decision leaves it to be taken again.
        pruner = build_pruner(study_file.search.pruner)
        self._rungs = optuna.create_study(direction=study_file.objective.goal, pruner=pruner)
        self._in_rungs: dict[int, Trial] = {}
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial({name: parameter.default for name, parameter in parameters.items()})
        interrupted = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        study_id = storage.get_study_id_from_name(self.study.study_name)
        self._open = {
            trial.number: Trial(self.study, storage.get_trial_id_from_study_id_trial_number(study_id, trial.number))
            for trial in interrupted
        }
        self._last_epoch = {trial.number: trial.last_step or 0 for trial in interrupted}

    def asked(self) -> int:
        """How many trials have been asked for, in whatever state."""
        return sum(trial.state != TrialState.WAITING for trial in self.study.get_trials(deepcopy=False))

    def open_trials(self) -> dict[int, dict[str, Value]]:
        """Number and values of the trials that have no outcome yet."""
        return {number: self._values(trial) for number, trial in self._open.items()}

    def ask(self) -> tuple[int, dict[str, Value]]:
        """The next trial's number and parameter values; the first has every parameter's default."""
        trial = self.study.ask()
        self._open[trial.number], self._last_epoch[trial.number] = trial, 0
        return trial.number, self._values(trial)

    def _values(self, trial: Trial) -> dict[str, Value]:
        """All values of a trial; those that a process died over are drawn now."""
        self.study.sampler = build_sampler(self.sampler, self.seed, trial.number)
        return {name: suggest(trial, name, parameter) for name, parameter in self.parameters.items()}

    def report(self, number: int, epoch: int, objective: float) -> bool:
        """Record an intermediate value; True when the pruner wants the trial stopped.

        A resumed search is told everything once more, in the order of time: of what is stored already nothing changes.
        """
        if number in self._open and epoch > self._last_epoch[number]:
            self._open[number].report(objective, epoch)
            self._last_epoch[number] = epoch
        if number not in self._in_rungs:
            self._in_rungs[number] = self._rungs.ask()
        self._in_rungs[number].report(objective, epoch)
        return self._in_rungs[number].should_prune()

    def tell(self, number: int, state: str, objective: float | None, cause: str | None = None) -> None:
        """Close a trial; one that is closed stays as it is. Optuna gives a pruned trial its last reported value."""
        value = objective if state == "complete" else None
        if (judged := self._in_rungs.pop(number, None)) is not None:
            self._rungs.tell(judged, value, STATES[state])
        if (trial := self._open.pop(number, None)) is not None:
            if cause is not None:
                trial.set_user_attr("cause", cause)
            self.study.tell(trial, value, STATES[state])
