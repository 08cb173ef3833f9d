"""What is seen while a study runs: a bar an arm on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from study.record import Outcome, Phase, Record, Trial


class ProgressDisplay:
    """A listener of one phase. What an interrupted study had done counts from the start.

    Args:
        console: where to show it.
        record: arms, objective, and the trials that have ended.
        phase: which phase.
    """

    def __init__(self, console: Console, record: Record, phase: Phase) -> None:
        study_file = record.study_file
        self.console, self.phase, self.objective = console, phase, study_file.objective
        self.trials = study_file.trials_per_arm() if phase == "search" else 1
        self.ended = dict.fromkeys(study_file.arms, 0)
        self.best: dict[str, float] = {}
        for trial in record.trials(phase=phase):
            if (outcome := trial.outcome) is not None:
                self._count(trial, outcome)
        # In trials; what is left of one that is going on counts in parts.
        self.done = {arm: float(ended) for arm, ended in self.ended.items()}
        self.done_before = sum(self.done.values())
        self.started = time.monotonic()
        self.bars: dict[str, TaskID] = {}
        self.display: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[ended]}/{task.total}"),
                TextColumn("{task.fields[news]}"),
            )
            self.display = Progress(*columns, console=console, transient=False)
            width = max(len(arm) for arm in self.ended)
            for arm, ended in self.ended.items():
                description = f"{phase} {arm:<{width}}"
                self.bars[arm] = self.display.add_task(
                    description, total=self.trials, completed=ended, ended=ended, news=""
                )

    def __enter__(self) -> Self:
        if self.display:
            self.display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.display:
            self.display.stop()

    def trial_started(self, trial: Trial, place: str) -> None:
        """Nothing to show yet."""

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self.done[trial.request.arm] += 1 / trial.request.settings["epochs"]
        self._refresh()

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        arm = trial.request.arm
        # A trial that was stopped early is a whole one of the budget.
        self.done[arm] += 1 - outcome.epochs / trial.request.settings["epochs"]
        self._count(trial, outcome)
        self._refresh()
        if self.display is None:
            objective = "" if outcome.objective is None else f", {self.objective.metric} {outcome.objective:.4f}"
            cause = f": {outcome.cause}" if outcome.cause else ""
            ended, total = sum(self.ended.values()), self.trials * len(self.ended)
            line = f"{self.phase} {trial.key}: {outcome.state} after {outcome.epochs} epochs{objective}{cause}"
            line += f" [{', '.join(filter(None, (f'{ended}/{total}', self._time_left())))}]"
            self.console.print(line, soft_wrap=True)

    def _count(self, trial: Trial, outcome: Outcome) -> None:
        arm = trial.request.arm
        self.ended[arm] += 1
        if outcome.state == "complete" and outcome.objective is not None:
            better = min if self.objective.goal == "minimize" else max
            self.best[arm] = better(self.best.get(arm, outcome.objective), outcome.objective)

    def _refresh(self) -> None:
        if self.display:
            left = self._time_left()
            for arm, bar in self.bars.items():
                best = f"best {self.best[arm]:.3f}" if arm in self.best else ""
                news = ", ".join(filter(None, (best, left)))
                self.display.update(bar, completed=self.done[arm], ended=self.ended[arm], news=news)

    def _time_left(self) -> str:
        """By the speed so far; nothing before there is any."""
        done, total = sum(self.done.values()), self.trials * len(self.ended)
        done_here = done - self.done_before
        if done_here <= 0 or done >= total:
            return ""
        seconds = (time.monotonic() - self.started) * (total - done) / done_here
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
