"""What is seen while a study runs: a bar an arm on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from study.record import Outcome, Trial
from study.study_file import StudyFile


class ProgressDisplay:
    """A listener of one phase.

    Args:
        console: where to show it.
        phase: its name.
        study_file: arms and objective.
        trials: how many each arm runs in this phase.
        epochs: length of each.
    """

    def __init__(self, console: Console, phase: str, study_file: StudyFile, trials: int, epochs: int) -> None:
        self.console, self.phase, self.objective = console, phase, study_file.objective
        self.trials, self.epochs = trials, epochs
        self.epochs_done = dict.fromkeys(study_file.arms, 0.0)
        self.ended = dict.fromkeys(study_file.arms, 0)
        self.best: dict[str, float] = {}
        self.started = time.monotonic()
        self.bars: dict[str, TaskID] = {}
        self.display: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[news]}"))
            self.display = Progress(*columns, console=console, transient=False)
            width = max(len(arm) for arm in study_file.arms)
            self.bars = {arm: self.display.add_task(f"{phase} {arm:<{width}}", total=trials, news="") for arm in study_file.arms}

    def __enter__(self) -> Self:
        if self.display:
            self.display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.display:
            self.display.stop()

    def trial_started(self, trial: Trial, place: str) -> None:
        """Nothing to show yet."""

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self.epochs_done[trial.request.arm] += 1 / trial.request.settings["epochs"]
        self._refresh(trial.request.arm)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        arm = trial.request.arm
        self.ended[arm] += 1
        # A trial that was stopped early is a whole one of the budget.
        self.epochs_done[arm] = float(self.ended[arm])
        if outcome.state == "complete" and outcome.objective is not None:
            better = min if self.objective.goal == "minimize" else max
            self.best[arm] = better(self.best.get(arm, outcome.objective), outcome.objective)
        self._refresh(arm)
        if self.display is None:
            objective = "" if outcome.objective is None else f", {self.objective.metric} {outcome.objective:.4f}"
            cause = f": {outcome.cause}" if outcome.cause else ""
            done, total = sum(self.ended.values()), self.trials * len(self.ended)
            self.console.print(
                f"{self.phase} {trial.key}: {outcome.state} after {outcome.epochs} epochs{objective}{cause} "
                f"[{done}/{total}{self._time_left()}]", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip

    def _refresh(self, arm: str) -> None:
        if self.display:
            best = f"best {self.best[arm]:.3f}" if arm in self.best else ""
            self.display.update(self.bars[arm], completed=self.ended[arm], news=f"{best}{self._time_left()}")

    def _time_left(self) -> str:
        """By the speed so far; nothing before there is any."""
        done, total = sum(self.epochs_done.values()), self.trials * len(self.ended)
        if done <= 0 or done >= total:
            return ""
        seconds = (time.monotonic() - self.started) * (total - done) / done
        return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"
