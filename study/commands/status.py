"""``study status``: how far a study is."""

import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.record import Record

STATES = ("complete", "pruned", "failed", "running")


def run(name: str, *, studies: Path, as_json: bool, console: Console) -> None:
    """Print how many trials of each arm are in which state."""
    record = Record.open(studies, name)
    state = record.state()
    planned = record.study_file.trials_per_arm()
    arms = {}
    for arm in record.study_file.arms:
        trials = record.trials(arm, "search")
        counts = Counter(trial.state for trial in trials)
        winner = record.winner(arm)
        arms[arm] = {
            **{name: counts[name] for name in STATES},
            "waiting": planned - len(trials),
            "confirm": record.trial(arm, "confirm").state
            if record.trial(arm, "confirm").paths.request.exists()
            else "waiting",
            "best": winner.outcome.objective if winner and winner.outcome else None,
            "best_trial": winner.request.trial if winner else None,
        }
    if as_json:
        print(
            json.dumps({"study": record.paths.name, "state": state, "holder": record.holder(), "arms": arms}, indent=2)
        )
        return
    holder = record.holder()
    console.print(f"{record.paths.name}: {state}" + (f", driven by {holder}" if holder else ""))
    table = Table()
    for heading in ("arm", *STATES, "waiting", "confirm", f"best {record.study_file.objective.metric}", "trial"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, row in arms.items():
        best = "-" if row["best"] is None else f"{row['best']:.4f}"
        table.add_row(
            arm, *(str(row[name]) for name in (*STATES, "waiting", "confirm")), best, row["best_trial"] or "-"
        )
    console.print(table)
