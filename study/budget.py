"""What a study has used, and whether its budget allows it to begin another round of trials."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.agenda import confirm_members, planned_trials, shortlisted
from study.record import Outcome, Record, Trial


@dataclass(frozen=True)
class Pace:
    """How fast a study goes here.

    Attributes:
        driven_s: says how long the study has been driven, over all launches.
        slots: trials at a time.
    """

    driven_s: Callable[[], float]
    slots: int


class Spending:
    """What the trials of a study have used so far. A listener of the search phase.

    Args:
        record: what earlier drivers have used, and the budget.
        pace: how fast it goes.
    """

    def __init__(self, record: Record, pace: Pace) -> None:
        self.record, self.pace, self.study_file = record, pace, record.study_file
        self.budget, resources = record.study_file.budget, record.study_file.resources
        self.devices = resources.gpus_per_trial or resources.cpus_per_trial
        self.seconds: dict[str, float] = dict.fromkeys(self.study_file.arms, 0.0)
        self.member_epochs, self.trials = Counter[str](), Counter[str]()
        self.failed = 0
        self.planned = sum(planned_trials(record, arm) for arm in self.study_file.arms)
        for trial in record.trials():
            if (outcome := trial.outcome) is not None:
                self._add(trial, outcome.seconds, outcome.epochs)
                self._count_failure(trial, outcome)
            else:
                epochs = trial.epochs()
                self._add(trial, sum(epoch["seconds"] for epoch in epochs), len(epochs))
            self.trial_started(trial, "")

    def trial_started(self, trial: Trial, place: str) -> None:
        if trial.request.phase == "search":
            self.trials[trial.request.arm] = max(self.trials[trial.request.arm], trial.request.number + 1)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self._add(trial, epoch["seconds"], 1)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self._count_failure(trial, outcome)

    def _add(self, trial: Trial, seconds: float, epochs: int) -> None:
        self.seconds[trial.request.arm] += seconds
        self.member_epochs[trial.request.arm] += epochs * len(trial.request.seeds)

    def _count_failure(self, trial: Trial, outcome: Outcome) -> None:
        is_retried = trial.key in self.record.amendments.retried
        self.failed += trial.request.phase == "search" and outcome.state == "failed" and not is_retried

    @property
    def device_hours(self) -> float:
        """Training time of all recorded epochs, on the devices of a trial."""
        return sum(self.seconds.values()) * self.devices / 3600

    def too_many_failed(self) -> str | None:
        """Says so when more trials have failed than the budget allows, whatever the rest will do."""
        allowed = self.budget.failed_fraction
        if allowed is None or self.failed <= allowed * self.planned:
            return None
        return f"{self.failed} of {self.planned} planned trials have failed, and budget.failed_fraction is {allowed:g}"

    def too_dear(self) -> str | None:
        """Says which budget another round of trials would overrun, with what the phases after it will need kept."""
        if self.member_epochs.total() == 0:
            return None  # An arm without a trial has no winner: the first round always begins.
        round_s = [self._trial_s(arm) for arm in self.study_file.arms]
        shortlist_s = [seconds for arm in self.study_file.arms for seconds in self._shortlist_s(arm)]
        confirm_s = [self._confirm_s(arm) for arm in self.study_file.arms]
        shortlist = "the shortlist and " if shortlist_s else ""
        next_steps = f"another round of trials with {shortlist}the confirmations takes about"
        wall_time_s, device_hours = self.budget.wall_time_s, self.budget.device_hours
        if wall_time_s is not None:
            used = self.pace.driven_s()
            needed = sum(map(self._elapsed_s, (round_s, shortlist_s, confirm_s)))
            if used + needed > wall_time_s:
                return f"budget.wall_time_s is {wall_time_s:g}: {used:.0f} s are used, and {next_steps} {needed:.0f} s"
        if device_hours is not None:
            used, needed = self.device_hours, sum(map(sum, (round_s, shortlist_s, confirm_s))) * self.devices / 3600
            if used + needed > device_hours:
                return f"budget.device_hours is {device_hours:g}: {used:.3g} are used, and {next_steps} {needed:.3g}"
        return None

    def _elapsed_s(self, durations_s: list[float]) -> float:
        """How long trials take that run beside each other."""
        return max(max(durations_s, default=0.0), sum(durations_s) / self.pace.slots)

    def _trial_s(self, arm: str) -> float:
        """One more trial of an arm, as pruning leaves it."""
        return self.seconds[arm] / self.trials[arm] if self.trials[arm] else 0.0

    def _shortlist_s(self, arm: str) -> list[float]:
        """The arm's shortlist, a trial each; further trials may yet change all of it."""
        shortlist = self.study_file.shortlist()
        if shortlist is None:
            return []
        one_s = shortlist.members * self.study_file.confirm_epochs() * self._member_epoch_s(arm)
        return [one_s] * shortlisted(self.record, arm)

    def _confirm_s(self, arm: str) -> float:
        return confirm_members(self.record) * self.study_file.confirm_epochs() * self._member_epoch_s(arm)

    def _member_epoch_s(self, arm: str) -> float:
        """One member's epoch in an arm, or in all where the arm has trained nothing yet."""
        if self.member_epochs[arm]:
            return self.seconds[arm] / self.member_epochs[arm]
        return sum(self.seconds.values()) / self.member_epochs.total()
