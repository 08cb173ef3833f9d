"""``study status``: how far a study is."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from study.record import CONFIRM, Record


@dataclass(frozen=True)
class ArmStatus:
    """How many search trials of an arm are in which state, whether its winner is confirmed, and the best so far.

    A trial without an outcome is running while somebody drives the study, and interrupted while nobody does.
    """

    complete: int
    pruned: int
    failed: int
    running: int
    interrupted: int
    waiting: int
    confirm: str
    best: float | None
    best_trial: str | None


def run(name: str, *, studies: Path, as_json: bool, console: Console) -> None:
    """Print how many trials of each arm are in which state."""
    record = Record.open(studies, name)
    state, holder = record.state(), record.holder()
    arms = {arm: _status(record, arm, driven=holder is not None) for arm in record.study_file.arms}
    if as_json:
        rows = {arm: asdict(status) for arm, status in arms.items()}
        print(json.dumps({"study": name, "state": state, "holder": holder, "arms": rows}, indent=2))
        return
    console.print(f"{name}: {state}" + (f", driven by {holder}" if holder else ""))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    counts = ("complete", "pruned", "failed", "running", "interrupted", "waiting", "confirm")
    for heading in ("arm", *counts, f"best {record.study_file.objective.metric}", "trial"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, status in arms.items():
        best = "-" if status.best is None else f"{status.best:.4f}"
        table.add_row(arm, *(str(getattr(status, name)) for name in counts), best, status.best_trial or "-")
    console.print(table)


def _status(record: Record, arm: str, driven: bool) -> ArmStatus:
    trials = record.trials(arm, "search")
    states = Counter(trial.state for trial in trials)
    confirm, winner = record.trial(arm, CONFIRM), record.winner(arm)
    return ArmStatus(
        complete=states["complete"],
        pruned=states["pruned"],
        failed=states["failed"],
        running=states["running"] if driven else 0,
        interrupted=0 if driven else states["running"],
        waiting=record.study_file.trials_per_arm() - len(trials),
        confirm=confirm.state if confirm.paths.request.exists() else "waiting",
        best=winner.outcome.objective if winner and winner.outcome else None,
        best_trial=winner.request.trial if winner else None,
    )
