"""The two phases of a study as foremen of the executor: search every arm, then confirm every arm's winner.

Each fact goes to the record first and to Optuna second, so that a driver that dies between the two is put right by the next one.
"""

import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from hpgan_core.config import TrainingConfig
from hpgan_core.trainable import EpochReport
from study.job import Job
from study.record import CONFIRM, Outcome, Record, Request, State, Trial
from study.search import ArmSearch, open_storage
from study.space import active_parameters, configuration

# Seeds of the confirm phase; the search phase counts from 0. Fresh, and the same in every arm.
FIRST_CONFIRM_SEED = 1_000_000


class Listener(Protocol):
    """Who is told what happens: the progress display, the tracker."""

    def trial_started(self, trial: Trial, place: str) -> None: ...

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None: ...

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None: ...


@dataclass
class _Running:
    """A trial in training, and the ending that was decided for it before its process has stopped."""

    trial: Trial
    epochs: int
    last_epoch: int
    objective: float | None = None
    ending: State | None = None
    cause: str | None = None


class _Phase:
    """What both phases share: the trials in training and their way into the record."""

    def __init__(self, record: Record, listeners: list[Listener]) -> None:
        self.record, self.listeners, self.study_file = record, listeners, record.study_file
        self.running: dict[str, _Running] = {}

    def job(self, request: Request) -> Job:
        """Enter a trial in the record and make it a job; an interrupted one goes on from its checkpoint."""
        trial = self.record.start(request)
        recorded = trial.epochs()
        running = _Running(trial, request.settings["epochs"], last_epoch=recorded[-1]["epoch"] if recorded else 0)
        if recorded:
            running.objective = recorded[-1]["mean"].get(self.study_file.objective.metric)
        self.running[request.key] = running
        return Job(
            key=request.key,
            settings=request.settings,
            seeds=tuple(request.seeds),
            folder=str(trial.paths.folder.resolve()),
            test=request.phase == "confirm",
            threads=max(1, int(self.study_file.resources.cpus_per_trial)),
        )

    def on_start(self, key: str, place: str) -> None:
        for listener in self.listeners:
            listener.trial_started(self.running[key].trial, place)

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        running = self.running[key]
        if running.ending is not None:
            return True
        if report.epoch <= running.last_epoch:
            # A resumed process tells again what is known.
            return False
        epoch = asdict(replace(report, motions=None)) | {"time": time.time()}
        del epoch["motions"]
        running.trial.append_epoch(epoch)
        running.last_epoch = report.epoch
        running.objective = report.mean.get(self.study_file.objective.metric)
        self.decide(running, report)
        for listener in self.listeners:
            listener.epoch_reported(running.trial, epoch)
        return running.ending is not None

    def decide(self, running: _Running, report: EpochReport) -> None:
        """Set ``running.ending`` where this report ends the trial early."""
        if not report.mean:
            running.ending, running.cause = "failed", f"every member diverged by epoch {report.epoch}"

    def on_end(self, key: str, error: str | None) -> None:
        running = self.running.pop(key)
        if running.ending is None:
            finished = running.last_epoch >= running.epochs
            running.ending = "complete" if finished else "failed"
            running.cause = None if finished else error or f"stopped after epoch {running.last_epoch} of {running.epochs}"
        outcome = running.trial.close(running.ending, running.objective, running.cause)
        self.tell(running.trial, outcome)
        for listener in self.listeners:
            listener.trial_ended(running.trial, outcome)

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Pass an outcome on."""


class SearchPhase(_Phase):
    """Equal numbers of trials for every arm, in turn."""

    def __init__(self, record: Record, listeners: list[Listener], deadline: float | None = None) -> None:
        super().__init__(record, listeners)
        self.deadline, self.out_of_time = deadline, False
        self.trials_per_arm = self.study_file.trials_per_arm()
        storage = open_storage(record.paths.optuna)
        self.arms = {
            arm: ArmSearch(storage, self.study_file, arm, active_parameters(self.study_file, arm), position)
            for position, arm in enumerate(self.study_file.arms)
        }
        self.asked = {arm: search.asked() for arm, search in self.arms.items()}
        self.interrupted = deque(request for arm in self.arms for request in self._reconcile(arm))

    def _reconcile(self, arm: str) -> list[Request]:
        """Bring Optuna up to the record; the trials that neither has closed are to be gone on with."""
        search, unfinished = self.arms[arm], []
        for number, values in search.open_trials().items():
            trial = self.record.start(self.request(arm, number, values))
            for epoch in trial.epochs():
                if epoch["mean"]:
                    search.report(number, epoch["epoch"], epoch["mean"][self.study_file.objective.metric])
            outcome = trial.outcome
            if outcome is None:
                unfinished.append(trial.request)
            else:
                self.tell(trial, outcome)
        return unfinished

    def request(self, arm: str, number: int, values: dict[str, Any]) -> Request:
        search = self.study_file.search
        return Request(
            arm=arm,
            trial=f"t{number:02d}",
            phase="search",
            number=number,
            parameters=values,
            settings=TrainingConfig.from_mapping(configuration(self.study_file, arm, values, search.epochs)).to_mapping(),
            seeds=list(range(search.members)),
            started_at=time.time(),
        )

    def next_job(self) -> Job | None:
        if self.interrupted:
            return self.job(self.interrupted.popleft())
        arm = min(self.asked, key=lambda name: self.asked[name])
        if self.asked[arm] >= self.trials_per_arm:
            return None
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.out_of_time = True
            return None
        number, values = self.arms[arm].ask()
        self.asked[arm] += 1
        return self.job(self.request(arm, number, values))

    def decide(self, running: _Running, report: EpochReport) -> None:
        if report.diverged:
            members = len(running.trial.request.seeds)
            running.ending, running.objective = "failed", None
            running.cause = f"{report.diverged} of {members} members diverged at epoch {report.epoch}"
            return
        request = running.trial.request
        objective = report.mean[self.study_file.objective.metric]
        prune = self.arms[request.arm].report(request.number, report.epoch, objective)
        if prune and report.epoch < running.epochs:
            running.ending = "pruned"

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        request = trial.request
        self.arms[request.arm].tell(request.number, outcome.state, outcome.objective, outcome.cause)


class ConfirmPhase(_Phase):
    """Each arm's winner once more, on fresh seeds, in full length, with the test split."""

    def __init__(self, record: Record, listeners: list[Listener]) -> None:
        super().__init__(record, listeners)
        self.waiting = deque(
            request
            for arm in self.study_file.arms
            if (winner := record.winner(arm)) and (request := self.request(winner)) and not self._closed(request)
        )

    def _closed(self, request: Request) -> bool:
        return self.record.trial(request.arm, request.trial).outcome is not None

    def request(self, winner: Trial) -> Request:
        confirm = self.study_file.confirm
        assert confirm is not None
        of_winner = winner.request
        return replace(
            of_winner,
            trial=CONFIRM,
            phase="confirm",
            settings=of_winner.settings | {"epochs": self.study_file.confirm_epochs()},
            seeds=list(range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + confirm.members)),
            started_at=time.time(),
        )

    def next_job(self) -> Job | None:
        return self.job(self.waiting.popleft()) if self.waiting else None
