"""Does it learn? Presets and combinations of losses, trained on one data set, against the baselines.

    python -m benchmarks.learning
    python -m benchmarks.learning --data FOLDER
    python -m benchmarks.learning --preset original --losses consistency+bone --set hidden_size=128

prints a Markdown table: mean over seeds ± half of the 95 % interval, on the people of the test split. In the preset
``recommended`` weights are fixed at values at which each loss has about the size of the critic's gradient; a study
searches them. The presets ``original`` and ``report`` keep theirs.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from hpgan_core.config import LOSS_NAMES, TrainingConfig
from hpgan_core.data import read_recordings
from hpgan_core.evaluation import evaluate_baselines, held_out_windows, measure
from hpgan_core.presets import PRESETS
from hpgan_core.trainable import configure_torch, train
from hpgan_core.windows import MotionData, build_motion_data
from study.stats import mean_interval

ARMS = [losses for size in range(len(LOSS_NAMES) + 1) for losses in combinations(LOSS_NAMES, size)]
RECOMMENDED = {
    "batch_size": 32,
    "critic_iterations": 5,
    "gt_weight": 100.0,
    "consistency_weight": 0.1,
    "bone_weight": 10.0,
}
COLUMNS = {
    "ade": ".3f",
    "fde": ".3f",
    "apd": ".2f",
    "joint_error_mm": ".0f",
    "bone_error": ".3f",
    "jerk_ratio": ".2f",
    "raw_jerk_ratio": ".2f",
}


def source_at(folder: Path | None, people: int = 40) -> dict[str, Any]:
    """What is read: a folder of ``.skeleton`` files, or so many synthetic people."""
    synthetic = {"dataset": "synthetic", "people": people, "clips_per_action": 3}
    return {"dataset": "ntu_rgbd", "root": folder} if folder else synthetic


def motion_data(source: dict[str, Any]) -> MotionData:
    return build_motion_data(read_recordings(source))


def final_metrics(source: dict[str, Any], settings: dict[str, Any], seeds: int) -> dict[str, list[float]]:
    """Test metrics of every member of one population."""
    configure_torch()
    last: dict[str, list[float]] = {}
    train(
        TrainingConfig.from_mapping(settings),
        motion_data(source),
        range(seeds),
        lambda report: last.update(report.members),
        test=True,
    )
    return {name.removeprefix("test/"): values for name, values in last.items() if name.startswith("test/")}


def rows(source: dict[str, Any], cases: list[dict[str, Any]], seeds: int) -> Iterator[list[str]]:
    """Cells of the table."""
    with ProcessPoolExecutor(2) as pool:
        running = [pool.submit(final_metrics, source, settings, seeds) for settings in cases]
        for settings, future in zip(cases, running, strict=True):
            intervals = {name: mean_interval(values) for name, values in future.result().items()}
            cells = [
                f"{intervals[name].mean:{form}} ±{intervals[name].high - intervals[name].mean:{form}}"
                for name, form in COLUMNS.items()
            ]
            yield [settings["preset"], " + ".join(settings["losses"]) or "none", *cells]
    data = motion_data(source)
    windows = held_out_windows(data, data.test, TrainingConfig().final_windows)
    mean_pose = torch.from_numpy(data.train.frames.mean(axis=0)).expand_as(windows.truth)
    fixed = torch.stack([mean_pose, windows.truth]).unsqueeze(2)
    mean, truth = measure(windows, lambda some: (fixed[:, some], {}), at_once=len(windows))
    for name, metrics in (evaluate_baselines(windows) | {"mean pose": mean, "the truth itself": truth}).items():
        yield ["", name.replace("_", " "), *(format(metrics[column], form) for column, form in COLUMNS.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of .skeleton files; default: synthetic motion")
    parser.add_argument("--people", type=int, default=40, help="of the synthetic motion; default: %(default)s")
    parser.add_argument("--preset", action="append", choices=list(PRESETS), help="default: all; may be repeated")
    parser.add_argument("--losses", action="append", help="e.g. gt+bone or none; default: all combinations; repeatable")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting; repeatable")
    options = parser.parse_args()
    arms = [tuple(losses.split("+")) if losses != "none" else () for losses in options.losses or []] or ARMS
    more = {name: json.loads(value) for name, value in (setting.split("=") for setting in options.set)}
    cases = [
        {"preset": preset, "losses": losses, "epochs": options.epochs}
        | (RECOMMENDED if preset == "recommended" else {})
        | more
        for preset in options.preset or PRESETS
        for losses in arms
    ]
    print("| preset | losses | ADE m | FDE m | APD m | joint mm | bones | jerk | raw jerk |")
    print("|" + " --- |" * (2 + len(COLUMNS)))
    for row in rows(source_at(options.data, options.people), cases, options.seeds):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
