"""The one door to the core: train a population and report once an epoch."""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from hpgan_core.checkpoint import read_newest_checkpoint, write_checkpoint
from hpgan_core.config import TrainingConfig
from hpgan_core.durable import write_durably
from hpgan_core.errors import BadInput
from hpgan_core.evaluation import (
    Outcome,
    cut,
    evaluate_baselines,
    evaluate_population,
    evaluation_windows,
    held_out_windows,
    outcome,
)
from hpgan_core.groups import Groups
from hpgan_core.streams import stream
from hpgan_core.training import Population
from hpgan_core.windows import MotionData

# A checkpoint of a large population takes longer than an epoch of a small one: at most one in so many seconds.
CHECKPOINT_INTERVAL_S = 20.0
SHOWCASE_WINDOWS, SHOWCASE_FUTURES = 3, 4
# The showcase is chosen among so many windows: enough to find lively ones in a data set of any size.
SHOWCASE_CANDIDATES = 10_000
# Every epoch is judged by the same z: evaluation streams are numbered by what they judge, not by epoch.
VALIDATION_Z, TEST_Z, SHOWCASE_Z = range(3)


@dataclass(frozen=True)
class EpochReport:
    """What a population says after an epoch.

    Attributes:
        epoch: 1-based.
        members: every metric of every member, ``{"val/ade": [member 0, member 1, ...], ...}``; where a member has
            diverged, some are not finite.
        mean: mean over the members that have not diverged; empty when all have. Collapsed ones count: they are results.
        spread: their standard deviation; empty for fewer than two.
        outcomes: what has become of each member.
        diverged: how many members have numbers that are not finite.
        collapsed: how many members predict one future whatever z is.
        seconds: training and evaluation time of this epoch.
        motions: what the first member predicts for the showcase windows, metres, ``(windows, futures, T, J, 3)``; None
            in reports that are given again.
    """

    epoch: int
    members: dict[str, list[float]]
    mean: dict[str, float]
    spread: dict[str, float]
    outcomes: list[Outcome]
    diverged: int
    collapsed: int
    seconds: float
    motions: np.ndarray | None = None

    @classmethod
    def summarise(
        cls, epoch: int, by_member: Sequence[Mapping[str, float]], seconds: float, movement: float = 0.0
    ) -> "EpochReport":
        """Gather the metrics of each member under their names.

        ``movement`` is how far people move on the validation windows, metres: what a collapse shows against. Without
        it nobody is called collapsed.
        """
        outcomes = [outcome(metrics, metrics.get("val/apd", 0.0), movement) for metrics in by_member]
        sound = [metrics for metrics, its_outcome in zip(by_member, outcomes, strict=True) if its_outcome != "diverged"]
        names = list(by_member[0])
        return cls(
            epoch,
            members={name: [metrics[name] for metrics in by_member] for name in names},
            mean={name: fmean(metrics[name] for metrics in sound) for name in names} if sound else {},
            spread={name: stdev(metrics[name] for metrics in sound) for name in names} if len(sound) > 1 else {},
            outcomes=outcomes,
            diverged=outcomes.count("diverged"),
            collapsed=outcomes.count("collapsed"),
            seconds=seconds,
        )


def train(
    config: TrainingConfig | Mapping[str, Any],
    data: MotionData,
    seeds: Sequence[int],
    report: Callable[[EpochReport], None],
    resume_from: Path | None = None,
    *,
    test: bool = False,
    device: str = "cpu",
    cuda_graph: bool = False,
    members_at_once: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Groups:
    """Train one member for each seed, stacked, and call ``report`` after every epoch.

    Args:
        config: a ``TrainingConfig``, or plain values for ``TrainingConfig.from_mapping``.
        data: the three splits.
        seeds: distinct, >= 0. The numbers of a member depend on its seed and the configuration alone.
        report: receives each epoch's report in order; whatever it raises ends the training.
        resume_from: a folder for checkpoints. Where it holds one, training goes on after it, and its epochs' reports
            are given again first, so that a caller that missed some loses none.
        test: open the test split after the last epoch; its metrics stand in the last report as ``test/...``. Only
            then does ``data`` need to hold it.
        device: where to train, e.g. ``cpu`` or ``cuda``.
        cuda_graph: launch each step as one CUDA graph; untried on hardware, see ``capture.py``.
        members_at_once: train so many members together, group after group each epoch; None is all of them.
        stop: asked once an epoch; when it says so, training ends with a checkpoint of this epoch.

    Returns:
        The trained members.

    Raises:
        BadInput: the configuration or the seeds are unusable, or the checkpoint belongs to another run.
        SealedTestSplit: ``test`` is asked of data without it.
    """
    test_clips = data.test if test else None
    if not isinstance(config, TrainingConfig):
        config = TrainingConfig.from_mapping(config)
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise BadInput(f"seeds must be distinct integers of 0 or more, found {list(seeds)}")
    groups = Groups(config, data, seeds, members_at_once or len(seeds), device, cuda_graph=cuda_graph)
    run = {"config": config.to_mapping(), "seeds": [int(seed) for seed in seeds], "data": data.digest, "test": test}
    reports = _resume(groups, resume_from, run) if resume_from else []
    for past_report in reports:
        report(past_report)

    population = groups.first()
    validation = evaluation_windows(population, data.validation, config.evaluation_windows)
    showcase_past = torch.tensor(showcase(data)[0], device=population.device, dtype=population.dtype)
    showcase_z = population.sample_z(
        [stream(0, "evaluation", SHOWCASE_Z)], len(showcase_past), SHOWCASE_FUTURES, config.z_size
    )
    epoch, view = population.epochs_done, population.view()
    # Whoever holds on to a group keeps it on the device.
    del population

    def train_epoch(population: Population) -> tuple[list[dict[str, float]], np.ndarray]:
        """Train one group; returns every metric of its members, and what the first of them predicts."""
        losses = population.train_epoch()
        by_member = _with_prefix(
            "val", evaluate_population(population, validation, config.evaluation_samples, VALIDATION_Z)
        )
        for name, values in losses.items():
            for metrics, value in zip(by_member, values.tolist(), strict=True):
                metrics[f"train/{name}"] = value
        if population.epochs_done == config.epochs and test_clips is not None:
            test_windows = evaluation_windows(population, test_clips, config.final_windows)
            test_metrics = _with_prefix(
                "test", evaluate_population(population, test_windows, config.final_samples, TEST_Z)
            )
            by_member = [metrics | more for metrics, more in zip(by_member, test_metrics, strict=True)]
        motions = population.predict(showcase_past, showcase_z.expand(len(by_member), -1, -1, -1))
        return by_member, motions[0].cpu().numpy()

    last_checkpoint = time.monotonic()
    while epoch < config.epochs:
        started = time.monotonic()
        by_group = groups.each(train_epoch)
        epoch += 1
        by_member = [metrics for group, _ in by_group for metrics in group]
        seconds = time.monotonic() - started
        reports.append(EpochReport.summarise(epoch, by_member, seconds, validation.reference.movement))
        stopping = stop()
        due = epoch == config.epochs or stopping or time.monotonic() - last_checkpoint > CHECKPOINT_INTERVAL_S
        if resume_from and due:
            content = {
                "run": run,
                "view": view,
                "reports": [asdict(past) for past in reports],
                "population": groups.state(),
            }
            write_checkpoint(resume_from, epoch, content)
            last_checkpoint = time.monotonic()
        # After the checkpoint: a run that is stopped while it reports can be resumed from here.
        report(replace(reports[-1], motions=by_group[0][1]))
        if stopping:
            break
    return groups


def showcase(data: MotionData) -> tuple[np.ndarray, np.ndarray]:
    """The windows that every picture of every run on this data shows: past and future, ``(windows, T, J, 3)``, metres.

    Validation windows at even distances among the half whose past and future are both lively: of a person
    who stands still all predictions look alike, and who is about to begin cannot be predicted.
    """
    starts = data.validation.strided_starts(data.past_frames, data.window, SHOWCASE_CANDIDATES)
    windows = torch.tensor(cut(data.validation, starts, data.window))
    distance = (windows - windows[:, data.past_frames - 1 : data.past_frames]).norm(dim=-1).mean(-1)
    liveliness = torch.minimum(_rank(distance[:, : data.past_frames]), _rank(distance[:, data.past_frames :]))
    lively = torch.nonzero(liveliness >= liveliness.median()).squeeze(1)
    chosen = lively[torch.linspace(0, len(lively) - 1, min(SHOWCASE_WINDOWS, len(lively))).round().long()]
    lively_windows = windows[chosen].numpy()
    return lively_windows[:, : data.past_frames], lively_windows[:, data.past_frames :]


def _rank(distance: torch.Tensor) -> torch.Tensor:
    """Place of each window by its mean distance over time, ``(windows, T)`` to ``(windows,)``."""
    return distance.mean(1).argsort().argsort()


def write_motions(path: Path, motions: np.ndarray) -> None:
    """Replace the predicted motions in ``path`` (``.npz``, key ``predicted``)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, predicted=motions.astype(np.float32))
    write_durably(path, buffer.getvalue())


def baselines_on_test(data: MotionData, final_windows: int) -> dict[str, dict[str, float]]:
    """Every metric of the baselines that need no training, on the test windows that populations are evaluated on."""
    return evaluate_baselines(held_out_windows(data, data.test, final_windows))


def _with_prefix(prefix: str, by_member: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{f"{prefix}/{name}": value for name, value in metrics.items()} for metrics in by_member]


def _resume(groups: Groups, folder: Path, run: dict[str, Any]) -> list[EpochReport]:
    """Load the newest whole checkpoint of this very run, and return the reports up to it."""
    content = read_newest_checkpoint(folder)
    if content is None:
        return []
    if others := [name for name, value in run.items() if content["run"].get(name) != value]:
        raise BadInput(f"{folder}: the checkpoint there is of another run ({', '.join(others)}); name an empty folder")
    groups.load_state(content["population"])
    return [EpochReport(**report) for report in content["reports"]]


def configure_torch(threads: int = 1) -> None:
    """Settings of a training process.

    One thread a trial scales over cores better than many threads in one trial; denormal numbers, which dying
    activations produce, would slow it many times over.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
