"""What a person sees while a study runs, and what `study status` says of it."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console

from study.budget import Pace
from study.commands import status
from study.errors import BadStudyInput
from study.progress import ProgressDisplay
from study.record import Record, Trial
from study.standing import Standing, duration

NewRecord = Callable[..., Record]
AddTrial = Callable[..., Trial]
PACE = Pace(driven_s=lambda: 60.0, slots=1)


def end(display: ProgressDisplay, trial: Trial) -> None:
    """Tell a display all that happened to a trial."""
    display.trial_started(trial, "here")
    for epoch in trial.epochs():
        display.epoch_reported(trial, epoch)
    assert trial.outcome is not None
    display.trial_ended(trial, trial.outcome)


def shown(record: Record, *, driven: bool, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(Standing(record, PACE).view(driven))
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_each_trial_is_one_line(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    with ProgressDisplay(Console(file=out, width=40), Standing(record, PACE)) as display:
        end(display, add_trial(record, "none", "t00", [0.5] * 4))
        end(display, add_trial(record, "gt", "t00", [0.4], "pruned"))
        end(display, add_trial(record, "paper", "t00", [0.4], "failed"))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("search none/t00: complete after 4 epochs, val/score 0.5000 [1/12, ")
    assert lines[0].endswith(" left]")
    assert lines[1].startswith("search gt/t00: pruned after 1 epoch, val/score 0.4000 [2/12, ")
    assert lines[2].startswith("search paper/t00: failed after 1 epoch: it broke [3/12, ")
    assert len(lines) == 3


def test_a_narrow_terminal_shows_every_arm_and_every_number(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    add_trial(record, "paper", "t00", [0.4])
    lines = shown(record, driven=False, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    rows = [line.split() for line in lines if line.startswith("paper ")]
    assert [cell for row in rows for cell in row if cell != "paper"] == [
        *("1/4", "1", "0", "0", "0", "0.4000", "t00", "waiting")
    ]


def test_a_resumed_study_counts_what_was_done_before(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    for arm in ("none", "gt", "paper"):
        for number in range(3):
            add_trial(record, arm, f"t0{number}", [0.5] * 4)
    interrupted = add_trial(record, "gt", "t03", [0.5, 0.4], state=None)
    standing = Standing(record, PACE)
    assert standing.arms["gt"].states == {"complete": 3, "running": 1}
    with ProgressDisplay(Console(file=out), standing) as display:
        display.trial_started(interrupted, "here")
        epoch = interrupted.epochs()[-1] | {"epoch": 3}
        interrupted.append_epoch(epoch)
        display.epoch_reported(interrupted, epoch)
        display.trial_ended(interrupted, interrupted.close("complete", 0.3))
    assert "[10/12, " in out.getvalue()
    assert standing.arms["gt"].states == {"complete": 4, "running": 0}
    assert (standing.arms["gt"].best, standing.arms["gt"].best_trial) == (0.3, "t03")


def test_on_a_terminal_the_table_of_arms_is_kept_up_to_date(new_record: NewRecord, add_trial: AddTrial) -> None:
    record, out = new_record(), io.StringIO()
    add_trial(record, "paper", "t00", [0.25] * 4)
    with ProgressDisplay(Console(file=out, force_terminal=True, width=80), Standing(record, PACE)) as display:
        end(display, add_trial(record, "gt", "t00", [0.5] * 4))
        end(display, add_trial(record, "gt", "t01", [0.75] * 4))
    last = out.getvalue().split("arm ")[-1]
    (gt,) = [line.split() for line in last.splitlines() if line.strip().startswith("gt")]
    assert gt == ["gt", "2/4", "2", "0", "0", "0", "0.5000", "t00", "waiting"]


def test_time_left_counts_what_pruning_saves_and_the_confirmations(new_record: NewRecord, add_trial: AddTrial) -> None:
    """Three trials of 2 members ended after 4, 1 and 1 epochs, 12 member-epochs in a minute: 5 s each."""
    record = new_record()
    add_trial(record, "none", "t00", [0.5] * 4)
    add_trial(record, "gt", "t00", [0.5], "pruned")
    add_trial(record, "paper", "t00", [0.5], "pruned")
    search, confirm = 9 * 4, 3 * 3 * 4
    assert Standing(record, PACE).time_left_s() == pytest.approx((search + confirm) * 5)
    add_trial(record, "gt", "t01", [0.5], state=None)
    assert Standing(record, PACE).time_left_s() == pytest.approx((search - 2 + confirm) * 60 / 14)


def test_before_the_first_epoch_nobody_knows_the_time_left(new_record: NewRecord) -> None:
    assert Standing(new_record(), PACE).time_left_s() is None


def test_failures_are_counted_by_kind(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record()
    for number, kind in enumerate(("diverged", "diverged", "out_of_memory")):
        add_trial(record, "gt", f"t0{number}", [], state=None).close("failed", None, "no", kind)  # type: ignore[arg-type]
    assert "failed   2 diverged, 1 out of memory\n" in shown(record, driven=False)
    assert Standing(record, PACE).to_json(driven=False)["arms"]["gt"]["failed_by"] == {
        "diverged": 2,
        "out_of_memory": 1,
    }


def test_trials_in_training_are_shown_with_their_place_while_somebody_drives(
    new_record: NewRecord, add_trial: AddTrial
) -> None:
    record = new_record()
    trial = add_trial(record, "gt", "t00", [0.5, 0.4], state=None)
    trial.begin_attempt("one")
    trial.begin_attempt("two")
    assert "running  gt/t00: epoch 2 of 4 on two, attempt 2\n" in shown(record, driven=True)
    assert "open     gt/t00: epoch 2 of 4, attempt 2\n" in shown(record, driven=False)
    plain = Standing(record, PACE).to_json(driven=False)
    assert plain["training"] == [{"trial": "gt/t00", "place": "two", "attempt": 2, "epoch": 2, "epochs": 4}]
    assert (plain["arms"]["gt"]["running"], plain["arms"]["gt"]["interrupted"]) == (0, 1)


def test_what_is_used_of_each_budget_is_shown(new_record: NewRecord, add_trial: AddTrial) -> None:
    budget = {"trials": 12, "wall_time_s": 7200.0, "device_hours": 0.01, "failed_fraction": 0.5}
    record = new_record(budget=budget, resources={"cpus_per_trial": 2})
    add_trial(record, "gt", "t00", [0.5] * 4)
    add_trial(record, "gt", "t01", [0.5] * 4, "failed")
    text = "budget   2 of 12 trials; 60 s of 2.0 h; 0.00222 of 0.01 device hours; 8% failed of 50% allowed"
    assert text in shown(record, driven=True, width=120)


def test_everything_fits_a_small_terminal(new_record: NewRecord, add_trial: AddTrial) -> None:
    record = new_record(
        arms={
            "none": [],
            "gt": ["gt"],
            "gt+consistency+bone": ["gt", "consistency", "bone"],
            "paper": ["consistency", "bone"],
        },
        budget={"wall_time_s": 7200.0, "failed_fraction": 0.5},
        search={"trials_per_arm": 100, "epochs": 4},
    )
    for number in range(60):
        add_trial(record, "paper", f"t{number:02d}", [-123.4567] * 4)
    for number in range(60, 75):
        add_trial(record, "paper", f"t{number:02d}", [0.5], state=None).begin_attempt("10.123.123.123")
    for driven in (True, False):
        lines = shown(record, driven=driven).splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 22
        assert not any("…" in line for line in lines)
        assert "         and 7 more" in lines


def look(record: Record, capsys: pytest.CaptureFixture[str], name: str | None = "small", **options: Any) -> str:
    options = {"studies": record.paths.studies, "as_json": False, "watch": False} | options
    status.run(name, console=Console(width=80), **options)
    return capsys.readouterr().out


def test_an_interrupted_study_says_how_to_go_on(new_record: NewRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record = new_record()
    out = look(record, capsys)
    assert out.startswith("small: interrupted\n")
    assert "go on    study resume small --studies " in out


def test_why_a_study_has_ended_is_told(new_record: NewRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record = new_record()
    record.conclude("budget_spent", "budget.trials is 3")
    out = look(record, capsys)
    assert out.startswith("small: budget spent\n")
    assert "reason   budget.trials is 3\n" in out
    plain = json.loads(look(record, capsys, as_json=True))
    assert (plain["state"], plain["reason"], plain["holder"]) == ("budget_spent", "budget.trials is 3", None)


def test_without_a_name_every_study_is_a_line(
    new_record: NewRecord, add_trial: AddTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    record = new_record()
    add_trial(record, "gt", "t00", [0.5])
    other = record.paths.studies / "damaged"
    other.mkdir()
    (other / "plan.json").write_text("{")
    rows = [line.split()[:4] for line in look(record, capsys, None).splitlines()[2:]]
    assert rows == [["damaged", "damaged", "0/0", "0/0"], ["small", "interrupted", "1/12", "0/3"]]
    plain = json.loads(look(record, capsys, None, as_json=True))
    assert [study["state"] for study in plain] == ["damaged", "interrupted"]


def test_watching_ends_when_nobody_drives_any_more(new_record: NewRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert "small: interrupted" in look(new_record(), capsys, watch=True)


def test_all_studies_are_watched_until_nobody_drives_any(
    new_record: NewRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "REFRESH_S", 0.02)
    record, console = new_record(), Console(file=io.StringIO(), width=80, force_terminal=True)
    options = {"studies": record.paths.studies, "as_json": False, "watch": True, "console": console}
    with record.driving():
        watching = Thread(target=status.run, args=(None,), kwargs=options, daemon=True)
        watching.start()
        watching.join(1)
        assert watching.is_alive()
    watching.join(30)
    assert not watching.is_alive()
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert 0 < shown.index("running") < shown.rindex("interrupted")


def test_an_empty_folder_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status.run(None, studies=tmp_path, as_json=False, watch=False, console=Console(width=200))
    assert "holds no study yet; start one with `study launch FILE`" in capsys.readouterr().out
    with pytest.raises(BadStudyInput, match="no study 'small'"):
        status.run("small", studies=tmp_path, as_json=False, watch=False, console=Console())


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_only_a_trial_that_may_win_has_the_winner_looked_up(
    new_record: NewRecord, add_trial: AddTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record()
    standing, looked_up, winner = Standing(record, PACE), list[str](), record.winner

    def counted(arm: str) -> Trial | None:
        looked_up.append(arm)
        return winner(arm)

    monkeypatch.setattr(record, "winner", counted)
    for number, score in enumerate((0.5, 0.6, 0.4, 0.7)):
        trial = add_trial(record, "gt", f"t{number:02d}", [score])
        standing.trial_started(trial, "here")
        standing.epoch_reported(trial, trial.epochs()[0])
        assert trial.outcome is not None
        standing.trial_ended(trial, trial.outcome)
        assert standing.arms["gt"].best_trial == Standing(Record(record.paths), PACE).arms["gt"].best_trial
    assert looked_up == ["gt", "gt"]
    assert standing.arms["gt"].best == 0.4
