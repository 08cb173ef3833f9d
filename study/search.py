"""Optuna: one study an arm, asked and told by us; nothing else in this package knows it.

Arms are strata, never a sampled parameter: each has its own sampler, its own rungs and the same number of trials.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import Trial, TrialState
from sqlalchemy import event

from study.space import CategoricalParameter, IntParameter, Parameter
from study.study_file import Median, Pruner, StudyFile, SuccessiveHalving

# Not a choice of ours: optuna logs every trial to stderr.
optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def build_sampler(name: str, seed: int) -> BaseSampler:
    """A sampler by its name in the study file."""
    if name == "tpe":
        return TPESampler(seed=seed)
    return {"random": RandomSampler, "qmc": QMCSampler}[name](seed=seed)


def build_pruner(pruner: Pruner) -> BasePruner:
    """The pruner of the study file; none stops a trial before its ``grace_epochs`` are over."""
    if isinstance(pruner, SuccessiveHalving):
        return SuccessiveHalvingPruner(min_resource=pruner.grace_epochs, reduction_factor=pruner.reduction_factor)
    return MedianPruner(n_startup_trials=3, n_warmup_steps=pruner.grace_epochs) if isinstance(pruner, Median) else NopPruner()


def build_distribution(parameter: Parameter) -> BaseDistribution:
    """The Optuna distribution of a parameter of the study file."""
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.min, parameter.max, log=parameter.log, step=parameter.step or 1)
    return FloatDistribution(parameter.min, parameter.max, log=parameter.log, step=parameter.step)


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
        search = study_file.search
        self.distributions = {name: build_distribution(parameter) for name, parameter in parameters.items()}
        self.study = optuna.create_study(
            storage=storage,
            study_name=f"{study_file.name}/{arm}",
            direction=study_file.objective.goal,
            sampler=build_sampler(search.sampler.name, search.sampler.seed + position),
            pruner=build_pruner(search.pruner),
            load_if_exists=True,
        )
        if not self.study.trials:
            self.study.enqueue_trial({name: parameter.default for name, parameter in parameters.items()})
        self._open = {trial.number: self._attach(trial._trial_id) for trial in self.study.trials if trial.state == TrialState.RUNNING}

    def _attach(self, trial_id: int) -> Trial:
        """A handle on a trial that an earlier process has asked for."""
        return Trial(self.study, trial_id)

    def asked(self) -> int:
        """How many trials have been asked for, in whatever state."""
        return sum(trial.state != TrialState.WAITING for trial in self.study.get_trials(deepcopy=False))

    def open_trials(self) -> dict[int, dict[str, Any]]:
        """Number and values of the trials that have no outcome yet."""
        return {number: dict(trial.params) for number, trial in self._open.items()}

    def ask(self) -> tuple[int, dict[str, Any]]:
        """The next trial's number and parameter values; the first has every parameter's default."""
        trial = self.study.ask(self.distributions)
        self._open[trial.number] = trial
        return trial.number, dict(trial.params)

    def report(self, number: int, epoch: int, objective: float) -> bool:
        """Record an intermediate value; True when the pruner wants the trial stopped."""
        trial = self._open[number]
        trial.report(objective, epoch)
        return trial.should_prune()

    def tell(self, number: int, state: str, objective: float | None, cause: str | None = None) -> None:
        """Close a trial. Optuna takes a pruned trial's last reported value by itself."""
        trial = self._open.pop(number)
        if cause is not None:
            trial.set_user_attr("cause", cause)
        self.study.tell(trial, objective if state == "complete" else None, STATES[state])
