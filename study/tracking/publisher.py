"""Publishing while a study runs: from a thread of its own, so that MLflow delays nothing whatever becomes of it."""

import time
from collections.abc import Callable
from dataclasses import astuple
from threading import Event, Lock, Thread
from typing import Any

from study.errors import StudyError
from study.record import Outcome, Trial
from study.tracking.tracker import VIEWS, Tracker, Unreachable

INTERVAL_S = 2.0
LONGEST_PAUSE_S = 30.0
# At the end of a study: MLflow is given up when nothing has arrived there for so long.
PATIENCE_S = 60.0


class Publisher:
    """A listener of the phases: what happens is only noted, the record says the rest.

    The first note is of the saved views, which a person may look for while the study runs. Many notes of one trial are
    one publication. While MLflow is away it is tried again at growing intervals; what it misses is sent when it is
    back, or in the end by ``study publish``.

    Args:
        tracker: used by the publisher's thread alone until ``close`` returns.
        warn: tells a person; called from that thread.
    """

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self.tracker, self.warn = tracker, warn
        self._noted: dict[str, Callable[[], None]] = {VIEWS: tracker.install_views}
        self._noting = Lock()
        self._closing = Event()
        self._missing: str | None = None
        self._told: set[str] = set()
        for trial in tracker.record.trials():
            # MLflow may have been away when an earlier driver ended them.
            if trial.outcome is not None:
                self._note(trial)
        self._thread = Thread(target=self._work, name="publisher", daemon=True)
        self._thread.start()

    def trial_started(self, trial: Trial, place: str) -> None:
        self._note(trial)

    def epoch_reported(self, trial: Trial, epoch: dict[str, Any]) -> None:
        self._note(trial)

    def trial_ended(self, trial: Trial, outcome: Outcome) -> None:
        self._note(trial)

    def close(self) -> None:
        """Publish what is left, and everything that failed before; once nothing arrives for a minute, give up."""
        self._closing.set()
        before, since = self._progress(), time.monotonic()
        while self._thread.is_alive() and time.monotonic() - since < PATIENCE_S:
            self._thread.join(0.1)
            if (now := self._progress()) != before or self.tracker.preparing:
                before, since = now, time.monotonic()
        missing = "nothing arrives there" if self._thread.is_alive() else self._missing
        if missing is not None:
            paths = self.tracker.record.paths
            self.warn(
                f"MLflow at {self.tracker.uri} misses some of this study ({missing}); "
                f"`study publish {paths.name} --studies {paths.studies}` sends the rest"
            )

    def _note(self, trial: Trial) -> None:
        with self._noting:
            self._noted[trial.key] = lambda: self.tracker.publish_trial(trial)

    def _progress(self) -> tuple[int, ...]:
        """Changes while MLflow answers, also where it has everything: to look through many trials takes minutes."""
        return self.tracker.steps, *astuple(self.tracker.published)

    def _work(self) -> None:
        pause, closing = 0.0, False
        while not closing:
            closing = self._closing.wait(pause)
            try:
                self._publish_noted()
                if closing:
                    self.tracker.publish()
                pause, self._missing = INTERVAL_S, None
            except Exception as error:
                # Whatever it is: the study goes on, and it is tried again.
                if self._missing is None and not self._closing.is_set():
                    self.warn(f"{error}; the study goes on, and MLflow gets the rest later")
                pause, self._missing = min(max(2 * pause, INTERVAL_S), LONGEST_PAUSE_S), str(error)

    def _publish_noted(self) -> None:
        with self._noting:
            noted, self._noted = self._noted, {}
        try:
            while noted:
                key = next(iter(noted))
                try:
                    noted[key]()
                except Unreachable:
                    raise
                except StudyError as error:
                    # Its own trouble, not MLflow's: others must not wait for it.
                    if key not in self._told:
                        self.warn(str(error))
                    self._told.add(key)
                del noted[key]
        finally:
            with self._noting:
                self._noted = noted | self._noted
