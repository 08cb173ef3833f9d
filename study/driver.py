"""Carrying a study out: Ray, the two phases, MLflow and the record, brought together."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console

from hpgan_core.trainable import baselines_on_test, showcase
from hpgan_core.windows import MotionData
from study import execution
from study.errors import Interrupted
from study.estimate import estimate
from study.phases import ConfirmPhase, Listener, SearchPhase
from study.progress import ProgressDisplay
from study.provenance import environment
from study.record import Record, References
from study.study_file import StudyFile
from study.tracking import Publisher, Tracker


@dataclass(frozen=True)
class Driver:
    """One process that carries a study out.

    Attributes:
        record: the study's folder; it may not exist yet.
        study_file: what to do.
        data: on what.
        console: where to tell.
    """

    record: Record
    study_file: StudyFile
    data: MotionData
    console: Console

    def run(self, source: str, address: str | None) -> str | None:
        """Search, confirm and publish, or go on with it; returns why arms ended without a result, if any did.

        Args:
            source: text of the study file, for the record of a new study.
            address: the Ray cluster to join; None starts a local one.

        Raises:
            StudyError: Ray or MLflow cannot be reached, or another process runs this study.
            Interrupted: Ctrl-C or SIGTERM; what has been done is recorded.
        """
        resources = execution.Resources(
            self.study_file.resources.cpus_per_trial,
            self.study_file.resources.gpus_per_trial,
            self.study_file.resources.max_concurrent,
        )
        try:
            return self._run(source, address, resources)
        except KeyboardInterrupt:
            raise Interrupted(self.record.paths.name) from None

    def _run(self, source: str, address: str | None, resources: execution.Resources) -> str | None:
        with ExitStack() as stack:
            stack.enter_context(execution.terminate_like_interrupt())
            with self.console.status("Starting Ray and MLflow ..."):
                stack.enter_context(execution.cluster(address))
                tracker = Tracker(self.record, self.study_file)
                slots = execution.slots(resources)
                cost = estimate(self.study_file, self.data, slots)
            self.console.print(
                f"Time     about {duration(cost.total_s)} with {slots} trials at a time, less what is pruned"
            )
            stack.enter_context(self.record.driving())
            if not self.record.exists:
                self._create(source)
            publisher = self._publisher(tracker)
            stack.callback(publisher.close)
            self._search(resources, publisher)
            if self.study_file.confirm is not None:
                self._confirm(resources, publisher)
            missing = self._arms_without_result()
            self.record.conclude("failed" if missing else "finished", missing)
        return missing

    def publish(self) -> None:
        """Send MLflow what it misses of a study that has ended."""
        self._publisher(Tracker(self.record, self.study_file)).close()

    def set_aside(self) -> str:
        """Make room for another study of this name: rename the experiment and the folder; returns the new name."""
        tracker = Tracker(self.record, self.record.study_file)
        with self.record.driving():
            if self.record.study_file.tracking.experiment is None:
                tracker.rename(self.record.free_name())
            return self.record.set_aside()

    def _publisher(self, tracker: Tracker) -> Publisher:
        return Publisher(tracker, lambda text: self.console.print(text, style="yellow"))

    def _create(self, source: str) -> None:
        past, truth = showcase(self.data)
        self.record.write_references(References(past, truth, self.data.skeleton.name, self.data.frame_rate_hz))
        self.record.create(self.study_file, source, self.data.digest, environment())

    def _search(self, resources: execution.Resources, publisher: Listener) -> None:
        wall_time_s = self.study_file.budget.wall_time_s
        deadline = None if wall_time_s is None else time.monotonic() + wall_time_s
        with ProgressDisplay(self.console, self.record, "search") as display:
            phase = SearchPhase(self.record, [display, publisher], deadline)
            self._execute(phase, resources)
        if phase.out_of_time:
            self.console.print(f"The search ended after {wall_time_s:g} s, the budget of `budget.wall_time_s`.")

    def _confirm(self, resources: execution.Resources, publisher: Listener) -> None:
        with ProgressDisplay(self.console, self.record, "confirm") as display:
            self._execute(ConfirmPhase(self.record, [display, publisher]), resources)
        # Every arm has the same: it is no parameter.
        final_windows = {trial.request.settings["final_windows"] for trial in self.record.trials(phase="confirm")}
        if final_windows:
            self.record.write_baselines(baselines_on_test(self.data, max(final_windows)))

    def _execute(self, phase: execution.Foreman, resources: execution.Resources) -> None:
        if not execution.run(phase, self.data, resources, self.record.paths.ray):
            raise Interrupted(self.record.paths.name)

    def _arms_without_result(self) -> str | None:
        result = self.record.confirmation if self.study_file.confirm is not None else self.record.winner
        missing = [arm for arm in self.study_file.arms if not result(arm)]
        if not missing:
            return None
        outcomes = [trial.outcome for arm in missing for trial in self.record.trials(arm)]
        causes = sorted({outcome.cause for outcome in outcomes if outcome and outcome.cause})
        return f"no result for {', '.join(missing)}: {'; '.join(causes) or 'every trial was stopped early'}"


def duration(seconds: float) -> str:
    """For people: ``45 s``, ``12 min``, ``2.5 h``."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
