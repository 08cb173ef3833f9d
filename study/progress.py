"""What is seen while a study runs: the table of arms on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live

from study.record import Outcome, Trial
from study.standing import Standing, duration


class ProgressDisplay:
    """A listener of all phases. What an interrupted study had done counts from the start.

    Args:
        console: where to show it.
        standing: what to show.
    """

    def __init__(self, console: Console, standing: Standing) -> None:
        self.console, self.standing = console, standing
        self.live: Live | None = None
        if console.is_terminal:
            self.live = Live(get_renderable=lambda: standing.view(driven=True), console=console, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def trial_started(self, trial: Trial, place: str) -> None:
        self.standing.trial_started(trial, place)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self.standing.epoch_reported(trial, epoch)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self.standing.trial_ended(trial, outcome)
        if self.live is None:
            self.console.print(f"{self._sentence(trial, outcome)} [{self._count(trial)}]", soft_wrap=True)

    def _count(self, trial: Trial) -> str:
        standing = self.standing
        if trial.request.phase == "search":
            count = f"{standing.ended}/{standing.planned}"
        elif trial.request.phase == "shortlist":
            arms = standing.arms.values()
            count = f"{sum(arm.reruns_ended for arm in arms)}/{sum(arm.shortlisted for arm in arms)}"
        else:
            confirmed = [arm for arm in standing.arms.values() if arm.confirm not in ("waiting", "running")]
            count = f"{len(confirmed)}/{len(standing.arms)}"
        left = standing.time_left_s()
        return f"{count}, {duration(left)} left" if left else count

    def _sentence(self, trial: Trial, outcome: Outcome) -> str:
        metric = self.standing.study_file.objective.metric
        epochs = f"{outcome.epochs} epoch{'' if outcome.epochs == 1 else 's'}"
        objective = "" if outcome.objective is None else f", {metric} {outcome.objective:.4f}"
        cause = f": {outcome.cause}" if outcome.cause else ""
        return f"{trial.request.phase} {trial.key}: {outcome.state} after {epochs}{objective}{cause}"
