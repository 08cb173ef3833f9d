"""``study plan``: what a study would take, before it is launched."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from hpgan_core.metrics import METRICS
from study.comparison import compare
from study.errors import BadStudyInput
from study.estimate import calibrate, estimate
from study.foresight import PlannedPower, planned_power
from study.motion import load_motion
from study.reading import read_study_file
from study.record import Record
from study.standing import duration
from study.study_file import StudyFile

if TYPE_CHECKING:
    from study.simulation import Forecast


def run(
    file: Path,
    *,
    overrides: Sequence[str],
    data_root: Path | None,
    workers: Sequence[int],
    simulate: str | None,
    sd: float | None,
    pilot: str | None,
    studies: Path,
    as_json: bool,
    console: Console,
) -> None:
    """Say what a study would take, for several numbers of workers, and what its claims could show.

    Args:
        file: the study file.
        overrides: changes to it.
        data_root: other recordings.
        workers: numbers of trials at a time; default: one for each trial that this machine's processors hold, and more.
        simulate: a study whose recorded curves are replayed instead of a calibration here.
        sd: of the paired differences that claims are about, in log badness.
        pilot: a confirmed study with the same claims, which gives SD and margins.
        studies: folder of all studies.
        as_json: print JSON.
        console: where to tell.

    Raises:
        BadStudyInput, BadInput: the file or the data cannot be used, the study to replay lacks an arm, the pilot has
            decided none of the claims, or power is asked for beside a replay.
        DamagedRecord: the plan of one of these studies is no longer the one that was locked.
    """
    if simulate is not None and (sd is not None or pilot is not None):
        option = "--sd" if sd is not None else "--pilot"
        raise BadStudyInput(f"{option}: --simulate forecasts times and no power; leave one of the two out")
    study_file = read_study_file(file, overrides, data_root, METRICS)
    numbers = sorted(set(workers)) or _usual_workers(study_file)
    power = planned_power(study_file, sd, compare(Record.open(studies, pilot)) if pilot else None)
    if simulate is None:
        _calibrated(study_file, numbers, power, sd, as_json, console)
    else:
        replayed = Record.open(studies, simulate)
        replayed.plan_digest()
        _simulated(study_file, replayed, numbers, as_json, console)


def _usual_workers(study_file: StudyFile) -> list[int]:
    here = max(1, (os.cpu_count() or 1) // study_file.resources.cpus_per_trial)
    return sorted({here, 4 * here, 16 * here})


def _calibrated(
    study_file: StudyFile,
    workers: list[int],
    power: PlannedPower | None,
    sd: float | None,
    as_json: bool,
    console: Console,
) -> None:
    data = load_motion(study_file.data)
    with console.status("Training a few steps ..."):
        calibration = calibrate(study_file, data)
    estimates = [estimate(study_file, calibration, number) for number in workers]
    plain: dict[str, Any] = {
        "study": study_file.name,
        "search_trials": study_file.n_trials(),
        "search_member_epochs": study_file.search_member_epochs(),
        "shortlist_trials": study_file.n_shortlisted(),
        "shortlist_member_epochs": study_file.shortlist_member_epochs(),
        "confirm_member_epochs": study_file.confirm_member_epochs(),
        "calibration": asdict(calibration),
        "estimates": [asdict(one) | {"total_s": one.total_s} for one in estimates],
        "power": asdict(power) if power else None,
    }
    if as_json:
        print(json.dumps(plain, indent=2))
        return
    search, confirm, arms = study_file.search, study_file.confirm, len(study_file.arms)
    console.print(
        f"Search   {study_file.n_trials()} trials of {arms} arms, {search.members} members, {search.epochs} epochs: "
        f"{study_file.search_member_epochs()} epochs of one member"
    )
    if shortlist := study_file.shortlist():
        console.print(
            f"Again    {study_file.n_shortlisted()} shortlisted trials, {shortlist.members} members, "
            f"{study_file.confirm_epochs()} epochs: {study_file.shortlist_member_epochs()} epochs of one member"
        )
    if confirm:
        console.print(
            f"Confirm  {arms} winners, {confirm.members} members, {study_file.confirm_epochs()} epochs: "
            f"{study_file.confirm_member_epochs()} epochs of one member"
        )
    console.print(f"Measured {calibration.epoch_s:.3g} s for one of them here, with every parameter at its default")
    table = _table("trials at a time", "search", "shortlist", "confirm", "in all", "device hours", "disk")
    for one in estimates:
        times = (duration(seconds) for seconds in (one.search_s, one.shortlist_s, one.confirm_s, one.total_s))
        table.add_row(str(one.slots), *times, f"{one.device_hours:.3g}", decimal(int(one.disk_bytes)))
    console.print(table)
    console.print("Nothing of it pruned. Replay a finished study to see what pruning saves: --simulate NAME.")
    if power:
        _show_power(power, sd, console)


def _show_power(power: PlannedPower, sd: float | None, console: Console) -> None:
    console.print(
        f"\nPower    of {power.seeds} seeds to show non-inferiority where there is no difference, at "
        f"{power.level:.1%} (Holm's first step)",
        soft_wrap=True,
    )
    if any(one.power is not None for one in power.claims):
        table = _table("claim", "metric", "margin", "SD", "power", "seeds for 80 %")
        for one in power.claims:
            margin, spread = ("-" if value is None else f"{value:.3g}" for value in (one.margin, one.sd))
            share = "-" if one.power is None else f"{one.power:.0%}"
            table.add_row(one.claim, one.metric, margin, spread, share, str(one.seeds_needed or "-"))
        console.print(table)
        for one in power.claims:
            if one.why_none:
                console.print(f"{one.claim}, {one.metric}: no power, since {one.why_none}.", soft_wrap=True)
        for whole in power.wholes:
            share = f"{whole.least:.0%} to {whole.most:.0%}" if whole.least < whole.most else f"{whole.most:.0%}"
            console.print(f"{whole.claim}: all of its metrics must pass, power {share}.", soft_wrap=True)
        console.print("Guardrails, where there are any, must hold as well.")
        return
    table = _table("margin / SD", *(f"{ratio:g}" for ratio, _, _ in power.by_ratio))
    table.add_row("power", *(f"{share:.0%}" for _, share, _ in power.by_ratio))
    table.add_row("seeds for 80 %", *(str(seeds or "-") for _, _, seeds in power.by_ratio))
    console.print(table)
    if sd is not None:
        console.print(
            f"--sd {sd:g} is of no use here: the margin of every claim is a share of a gain that is not known yet. "
            "Give the claims a `margin`, or take margins from a confirmed study: --pilot NAME.",
            soft_wrap=True,
        )
        return
    console.print(
        "SD of the paired difference in log badness. Give one with --sd where claims have a margin, or both from a "
        "confirmed study: --pilot NAME. Of a claim with several metrics all must pass.",
        soft_wrap=True,
    )


def _simulated(study_file: StudyFile, record: Record, workers: list[int], as_json: bool, console: Console) -> None:
    from study.simulation import Replay, forecast

    replay = Replay(record, study_file)
    forecasts: list[Forecast] = []
    for number in workers:
        with console.status(f"Replaying {record.paths.name!r} with {number} trials at a time ..."):
            forecasts.append(forecast(study_file, replay, number))
    if as_json:
        plain = [asdict(one) | {"makespan_s": one.makespan_s} for one in forecasts]
        print(json.dumps({"study": study_file.name, "replayed": record.paths.name, "forecasts": plain}, indent=2))
        return
    pruner, sampler = study_file.pruner().name.replace("_", " "), study_file.search.sampler.name
    console.print(f"Replayed {record.paths.name}, {sampler} sampler, pruner: {pruner}")
    table = _table(
        "trials at a time", "search", "shortlist", "confirm", "in all", "device hours", "idle", "complete", "pruned"
    )
    for one in forecasts:
        times = (duration(seconds) for seconds in (one.search_s, one.shortlist_s, one.confirm_s, one.makespan_s))
        states = (str(one.states.get(state, 0)) for state in ("complete", "pruned"))
        table.add_row(str(one.workers), *times, f"{one.device_hours:.3g}", f"{one.idle:.0%}", *states)
    console.print(table)
    for one in forecasts:
        if one.budget_spent:
            console.print(f"With {one.workers}: {one.budget_spent}", soft_wrap=True)
    console.print("A forecast of times. Each configuration trains as the nearest one that was recorded.")


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
