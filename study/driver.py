"""Carrying a study out: Ray, the phases, MLflow and the record, brought together."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console

from hpgan_core.trainable import baselines_on_test, showcase
from hpgan_core.windows import MotionData
from study import execution
from study.budget import Pace
from study.errors import UNWRITABLE, Interrupted, StoppedAtOnce, StudyError
from study.estimate import calibrate, estimate
from study.lease import keep_out
from study.log import write_log
from study.motion import split_sizes
from study.phases import ConfirmPhase, Listener, SearchPhase, ShortlistPhase
from study.progress import ProgressDisplay
from study.provenance import environment
from study.record import Outcome, Record, References, Trial
from study.search import database_url
from study.standing import Standing, duration
from study.stopping import Stopping
from study.study_file import StudyFile
from study.tracking import Publisher, Tracker
from study.warm_start import Lesson, write_lessons


class Driver:
    """One process that carries a study out.

    Args:
        record: the study's folder; it may not exist yet.
        study_file: what to do.
        data: on what.
        console: where to tell.

    Raises:
        BadStudyInput: no MLflow, or no database of Optuna's, can be at the address that is given.
    """

    def __init__(self, record: Record, study_file: StudyFile, data: MotionData, console: Console) -> None:
        self.record, self.study_file, self.data, self.console = record, study_file, data, console
        self.resources = execution.Resources(
            study_file.resources.cpus_per_trial,
            study_file.resources.gpus_per_trial,
            study_file.resources.max_concurrent,
        )
        self.stopping = Stopping(record.paths, self._tell)
        # Addresses that cannot be are told before anything is locked.
        self.tracker = Tracker(record, study_file)
        database_url(study_file.storage)

    def run(self, prepare: Callable[[Record], None], address: str | None) -> None:
        """Search, confirm and publish, or go on with it, and write into the record how it ended.

        Args:
            prepare: makes or amends the record, once this process alone writes it.
            address: the Ray cluster to join; None starts a local one.

        Raises:
            StudyError: Ray cannot be reached, another process runs this study, or the folder cannot be written.
            DamagedRecord: the plan has been changed since it was locked.
            Interrupted: Ctrl-C, SIGTERM or `study stop`; what has been done is recorded.
        """
        try:
            with self._writing(), self.stopping.listening():
                self._run(prepare, address)
        except KeyboardInterrupt:
            raise self._interruption() from None

    def amend(self, amend: Callable[[Record], None]) -> None:
        """Amend the record of a study that has ended, without going on with it.

        Raises:
            StudyError: another process runs this study, or the folder cannot be written.
        """
        with self._writing(), self.record.driving():
            amend(self.record)

    def publish(self) -> None:
        """Send MLflow what it misses of a study that has ended."""
        with keep_out(self.record.paths):
            self._publisher().close()

    def set_aside(self) -> str:
        """Make room for another study of this name: rename the experiment and the folder; returns the new name."""
        tracker = Tracker(self.record, self.record.study_file)
        with self._writing(), self.record.driving():
            if self.record.study_file.tracking.experiment is None:
                tracker.rename(self.record.free_name())
            return self.record.set_aside()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raises StudyError, with what to do, where the folder cannot be written."""
        try:
            yield
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise self._failure(f"cannot write to {self.record.paths.folder}: {error.strerror}") from error

    def _run(self, prepare: Callable[[Record], None], address: str | None) -> None:
        if self.record.exists:
            # Refuses a plan that is no longer the locked one.
            self.record.plan_digest()
        with ExitStack() as stack:
            lease = stack.enter_context(ExitStack())
            # Before Ray, which takes seconds to start: `study stop` reaches a launch by then, and no other one begins.
            holding = lease.enter_context(
                self.record.driving(self.stopping.look, self.stopping.lose, lambda text: self.console.print(text))
            )
            self.stopping.clear()
            with self.console.status("Starting Ray ..."):
                stack.enter_context(execution.cluster(address))
                # Ray has taken the signals for itself.
                stack.enter_context(self.stopping.listening())
                slots = self._slots(address)
                # Of a study that has begun the record knows better.
                cost = None
                if not self.record.exists:
                    cost = estimate(self.study_file, calibrate(self.study_file, self.data), slots)
            if cost is not None:
                text = f"about {duration(cost.total_s)} with {slots} trials at a time, less what is pruned"
                self.console.print(f"Time     {text}")
            # It is released before Ray is brought down: the study has ended by then, and cannot be stopped any more.
            stack.callback(lease.close)
            self._note_environment()
            self.record.reopen()
            prepare(self.record)
            self._tell_log(f"driven by {holding.lease}, {slots} trials at a time")
            publisher = self._publisher()
            stack.callback(publisher.close)
            try:
                pace = Pace(holding.driven_s, slots)
                self._conclude(self._phases(publisher, pace, str(holding.lease)))
            except StudyError as error:
                raise self._failure(str(error)) from error

    def _slots(self, address: str | None) -> int:
        """Trials at a time. Nobody joins a Ray that is this process' own."""
        if address is None:
            return execution.slots(self.resources)
        return execution.slots_once_joined(self.resources, self._tell)

    def _note_environment(self) -> None:
        """Say and record in what it is another than before: trials of one study are compared with each other."""
        if not self.record.exists:
            return
        if changed := self.record.amend_environment(environment()):
            lines = [f"  {name}: {before} before, {now} now" for name, (before, now) in changed.items()]
            self._tell("\n".join(["The environment has changed since this study was last driven:", *lines]))

    def _phases(self, publisher: Listener, pace: Pace, driver: str) -> tuple[str, str | None]:
        """All phases; how the study ends, and why."""
        stopping, listeners = self.stopping.is_requested, [publisher, _Journal(self._tell_log)]
        search = SearchPhase(self.record, listeners, stopping=stopping, pace=pace, tell=self._tell)
        self._execute(search, pace)
        if search.too_many_failed:
            return "too_many_failed", search.too_many_failed
        if search.budget_spent:
            self._tell(f"The search ends here. {search.budget_spent}.")
        if self.study_file.shortlist() is not None:
            self._execute(ShortlistPhase(self.record, listeners, stopping=stopping), pace)
        if self.study_file.confirm is not None:
            self._confirm(ConfirmPhase(self.record, listeners, stopping=stopping), pace, driver)
        if missing := self._arms_without_result():
            return "failed", missing
        spent = search.budget_spent or self._trials_cut()
        return ("budget_spent", spent) if spent else ("finished", None)

    def _confirm(self, phase: ConfirmPhase, pace: Pace, driver: str) -> None:
        """Open the test split, where there is anything left to measure on it."""
        confirmed = self.record.trials(phase="confirm")
        if phase.waiting or (confirmed and not self.record.baselines()):
            self.record.open_test_split(driver, [request.key for request in phase.waiting])
            self._execute(phase, pace)
            # Every arm has the same: it is no parameter.
            final_windows = {trial.request.settings["final_windows"] for trial in self.record.trials(phase="confirm")}
            self.record.write_baselines(baselines_on_test(self.data, max(final_windows)))

    def _execute(self, phase: SearchPhase | ShortlistPhase | ConfirmPhase, pace: Pace) -> None:
        # What chooses gets no test split: no mistake in it can open that.
        data = self.data if isinstance(phase, ConfirmPhase) else self.data.sealed()
        standing = Standing(self.record, pace)
        with ProgressDisplay(self.console, standing) as display, self.stopping.draining():
            phase.listeners.insert(0, display)
            execution.run(phase, data, self.resources, self.record.paths.ray, tell=self._tell)
        if self.stopping.requested:
            raise KeyboardInterrupt

    def _conclude(self, ending: tuple[str, str | None]) -> None:
        state, reason = ending
        self.record.conclude(state, reason)
        self._tell_log(f"concluded: {state}" + (f", {reason}" if reason else ""))

    def _arms_without_result(self) -> str | None:
        result = self.record.confirmation if self.study_file.confirm is not None else self.record.winner
        missing = [arm for arm in self.study_file.arms if not result(arm)]
        if not missing:
            return None
        outcomes = [trial.outcome for arm in missing for trial in self.record.trials(arm)]
        causes = sorted({outcome.cause for outcome in outcomes if outcome and outcome.cause})
        return f"no result for {', '.join(missing)}: {'; '.join(causes) or 'every trial was stopped early'}"

    def _trials_cut(self) -> str | None:
        """Says so when ``budget.trials`` leaves an arm fewer trials than the search was to have."""
        wanted, planned = self.study_file.search.trials_per_arm, self.study_file.trials_per_arm()
        if wanted is None or planned >= wanted:
            return None
        return f"budget.trials is {self.study_file.budget.trials}: {planned} trials an arm instead of {wanted}"

    def _interruption(self) -> StudyError:
        name = self.record.paths.name
        if self.stopping.lost:
            return StudyError(f"study {name!r} has been taken over by {self.record.holder() or 'another process'}")
        kind = StoppedAtOnce if self.stopping.at_once else Interrupted
        self._tell_log("stopped at once" if self.stopping.at_once else "stopped")
        return kind(name, self._how_to_go_on())

    def _failure(self, text: str) -> StudyError:
        self._tell_log(text)
        return StudyError(f"{text}. Put that right, then go on with:\n  {self._how_to_go_on()}")

    def _how_to_go_on(self) -> str:
        return self.record.command("resume") if self.record.exists else "the same `study launch`"

    def _publisher(self) -> Publisher:
        return Publisher(self.tracker, self._tell)

    def _tell(self, text: str) -> None:
        self.console.print(text, style="yellow", soft_wrap=True)
        self._tell_log(text)

    def _tell_log(self, text: str) -> None:
        if self.record.exists:
            write_log(self.record.paths.log, text)


@dataclass(frozen=True)
class _Journal:
    """A listener that writes the driver's log."""

    write: Callable[[str], None]

    def trial_started(self, trial: Trial, place: str) -> None:
        self.write(f"{trial.key} is started on {place}")

    def epoch_reported(self, trial: Trial, epoch: dict[str, object]) -> None:
        """The trial's own log has it."""

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        cause = f": {outcome.cause}" if outcome.cause else ""
        self.write(f"{trial.key} is {outcome.state} after epoch {outcome.epochs}{cause}")


def create(record: Record, study_file: StudyFile, source: str, data: MotionData, lessons: list[Lesson]) -> None:
    """Lock the plan of a new study.

    Args:
        record: its folder.
        study_file: what to do.
        source: the text of that file.
        data: on what.
        lessons: of an earlier study.

    Raises:
        StudyError: another launch was faster.
    """
    if record.exists:
        raise StudyError(f"{record.paths.folder} has just been made by another launch; launch again to go on with it")
    past, truth = showcase(data)
    record.write_references(References(past, truth, data.skeleton.name, data.frame_rate_hz))
    write_lessons(record.paths, lessons)
    record.create(study_file, source, data.digest, environment(), split_sizes(data))
