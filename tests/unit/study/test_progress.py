"""What a person sees while a study runs."""

import io
from collections.abc import Callable

from rich.console import Console

from study.progress import ProgressDisplay
from study.record import Record, Trial

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]


def end(display: ProgressDisplay, trial: Trial) -> None:
    for epoch in trial.epochs():
        display.epoch_reported(trial, epoch)
    assert trial.outcome is not None
    display.trial_ended(trial, trial.outcome)


def test_elsewhere_than_on_a_terminal_each_trial_is_one_line(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    with ProgressDisplay(Console(file=out, width=40), record, "search") as display:
        end(display, add_trial(record, "none", "t00", [0.5] * 4))
        end(display, add_trial(record, "gt", "t00", [0.4], "pruned"))
        end(display, add_trial(record, "paper", "t00", [0.4], "failed"))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("search none/t00: complete after 4 epochs, val/score 0.5000 [1/12, ")
    assert lines[0].endswith(" left]")
    assert lines[1].startswith("search gt/t00: pruned after 1 epochs, val/score 0.4000 [2/12, ")
    assert lines[2].startswith("search paper/t00: failed after 1 epochs: it broke [3/12, ")
    assert len(lines) == 3


def test_a_resumed_study_counts_what_was_done_before(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    for arm in ("none", "gt", "paper"):
        for number in range(3):
            add_trial(record, arm, f"t0{number}", [0.5] * 4)
    interrupted = add_trial(record, "gt", "t03", [0.5, 0.4], state=None)
    with ProgressDisplay(Console(file=out), record, "search") as display:
        interrupted.append_epoch({"epoch": 3, "mean": {"val/score": 0.3}})
        display.epoch_reported(interrupted, interrupted.epochs()[-1])
        display.trial_ended(interrupted, interrupted.close("complete", 0.3))
    assert "[10/12, " in out.getvalue()


def test_on_a_terminal_each_arm_has_a_bar_with_its_best(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    add_trial(record, "paper", "t00", [0.25] * 4)
    with ProgressDisplay(Console(file=out, force_terminal=True, width=100), record, "search") as display:
        end(display, add_trial(record, "gt", "t00", [0.5] * 4))
        end(display, add_trial(record, "gt", "t01", [0.75] * 4))
        display.epoch_reported(record.trial("paper", "t00"), {})
    shown = out.getvalue()
    assert all(f"search {arm}" in shown for arm in ("none", "gt", "paper"))
    assert "2/4" in shown
    assert "best 0.500" in shown
    assert "best 0.250" in shown
    assert "best 0.750" not in shown


def test_the_last_trial_leaves_no_time(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    with ProgressDisplay(Console(file=out), record, "confirm") as display:
        for arm in ("none", "gt", "paper"):
            end(display, add_trial(record, arm, "confirm", [0.5] * 4))
    assert out.getvalue().splitlines()[-1].endswith("[3/3]")
