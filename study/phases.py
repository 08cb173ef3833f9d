"""The two phases of a study as foremen of the executor: search every arm, then confirm every arm's winner.

Each fact goes to the record first and to Optuna second, so that a driver that dies between the two is put right by the
next one.
"""

import shutil
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
    """A trial in training."""

    trial: Trial
    last_epoch: int
    objective: float | None


class _Phase:
    """What both phases share: the trials in training and their way into the record."""

    def __init__(self, record: Record, listeners: list[Listener]) -> None:
        self.record, self.listeners, self.study_file = record, listeners, record.study_file
        self.running: dict[str, _Running] = {}

    def enter(self, request: Request) -> Trial:
        """Enter a trial in the record; what an earlier driver has recorded of it is judged again, and may end it."""
        trial = self.record.start(request)
        for epoch in trial.epochs():
            self.conclude(trial, epoch)
        return trial

    def job(self, trial: Trial) -> Job:
        """Make a trial a job; an interrupted one goes on from its checkpoint."""
        request, recorded, resources = trial.request, trial.epochs(), self.study_file.resources
        last_epoch, objective = (recorded[-1]["epoch"], self.objective(recorded[-1])) if recorded else (0, None)
        self.running[request.key] = _Running(trial, last_epoch, objective)
        return Job(
            key=request.key,
            settings=request.settings,
            seeds=tuple(request.seeds),
            folder=str(trial.paths.folder.resolve()),
            test=request.phase == "confirm",
            threads=resources.cpus_per_trial,
            gpu=resources.gpus_per_trial > 0,
        )

    def objective(self, epoch: dict[str, Any]) -> float | None:
        """The mean over the members that have not diverged; None when all have."""
        value: float | None = epoch["mean"].get(self.study_file.objective.metric)
        return value

    def on_start(self, key: str, place: str) -> None:
        for listener in self.listeners:
            listener.trial_started(self.running[key].trial, place)

    def on_epoch(self, key: str, report: EpochReport) -> bool:
        running = self.running[key]
        if report.epoch > running.last_epoch:
            # A resumed process tells again what is known.
            epoch = asdict(replace(report, motions=None)) | {"time": time.time()}
            del epoch["motions"]
            running.trial.append_epoch(epoch)
            running.last_epoch, running.objective = report.epoch, self.objective(epoch)
            self.conclude(running.trial, epoch)
            for listener in self.listeners:
                listener.epoch_reported(running.trial, epoch)
        return running.trial.state in ("pruned", "failed")

    def conclude(self, trial: Trial, epoch: dict[str, Any]) -> None:
        """Write the trial's outcome where this epoch is its last."""
        if ending := self.judge(trial.request, epoch):
            state, cause = ending
            trial.close(state, None if state == "failed" else self.objective(epoch), cause)

    def judge(self, request: Request, epoch: dict[str, Any]) -> tuple[State, str | None] | None:
        """How the trial ends with this epoch, and why if it fails; None when it goes on."""
        if not epoch["mean"]:
            return "failed", f"every member diverged by epoch {epoch['epoch']}"
        return ("complete", None) if epoch["epoch"] == request.settings["epochs"] else None

    def on_end(self, key: str, error: str | None) -> None:
        running = self.running.pop(key)
        stopped = f"stopped after epoch {running.last_epoch} of {running.trial.request.settings['epochs']}"
        # An outcome that an epoch has decided stands.
        outcome = running.trial.close("failed", running.objective, error or stopped)
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
        self.interrupted = deque(trial for arm in self.arms for trial in self._reconcile(arm))

    def _reconcile(self, arm: str) -> list[Trial]:
        """Bring Optuna up to the record; the trials that have no outcome are to be gone on with.

        Everything is told again in the order in which it happened, since pruners compare with what was there.
        """
        for number, values in self.arms[arm].open_trials().items():
            self.record.start(self.request(arm, number, values))
        trials = self.record.trials(arm, "search")
        open_trials = [trial for trial in trials if trial.outcome is None]
        epochs = [(epoch["time"], trial, epoch) for trial in trials for epoch in trial.epochs()]
        endings = [(outcome.ended_at, trial, None) for trial in trials if (outcome := trial.outcome)]
        for _, trial, epoch in sorted([*epochs, *endings], key=lambda event: event[0]):
            if epoch is not None:
                self.conclude(trial, epoch)
            elif outcome := trial.outcome:
                self.tell(trial, outcome)
        for trial in open_trials:
            if outcome := trial.outcome:
                self.tell(trial, outcome)
        return [trial for trial in open_trials if trial.outcome is None]

    def request(self, arm: str, number: int, values: dict[str, Any]) -> Request:
        search = self.study_file.search
        return Request(
            arm=arm,
            trial=f"t{number:02d}",
            phase="search",
            number=number,
            parameters=values,
            settings=TrainingConfig.from_mapping(
                configuration(self.study_file, arm, values, search.epochs)
            ).to_mapping(),
            seeds=list(range(search.members)),
            started_at=time.time(),
        )

    def next_job(self) -> Job | None:
        if self.interrupted:
            return self.job(self.interrupted.popleft())
        arm = min(self.asked, key=lambda name: self.asked[name])
        if self.asked[arm] >= self.trials_per_arm:
            return None
        # A round that has begun is finished: arms are compared on equal budgets.
        begun = self.asked[arm] < max(self.asked.values())
        if self.deadline is not None and time.monotonic() > self.deadline and not begun:
            self.out_of_time = True
            return None
        number, values = self.arms[arm].ask()
        self.asked[arm] += 1
        return self.job(self.enter(self.request(arm, number, values)))

    def judge(self, request: Request, epoch: dict[str, Any]) -> tuple[State, str | None] | None:
        if epoch["diverged"]:
            return "failed", f"{epoch['diverged']} of {len(request.seeds)} members diverged at epoch {epoch['epoch']}"
        objective = epoch["mean"][self.study_file.objective.metric]
        prune = self.arms[request.arm].report(request.number, epoch["epoch"], objective)
        return super().judge(request, epoch) or (("pruned", None) if prune else None)

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        # Weights of search trials are many and beaten; configuration and seeds give them back.
        shutil.rmtree(trial.paths.checkpoints, ignore_errors=True)
        request = trial.request
        self.arms[request.arm].tell(request.number, outcome.state, outcome.objective, outcome.cause)


class ConfirmPhase(_Phase):
    """Each arm's winner once more, on fresh seeds, in full length, with the test split."""

    def __init__(self, record: Record, listeners: list[Listener]) -> None:
        super().__init__(record, listeners)
        self.waiting = deque(self.request(winner) for arm in self.study_file.arms if (winner := record.winner(arm)))

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
        while self.waiting:
            trial = self.enter(self.waiting.popleft())
            if trial.outcome is None:
                return self.job(trial)
        return None
