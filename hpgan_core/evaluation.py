"""What a population predicts on held-out windows, measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hpgan_core.metrics import Reference, evaluate, measure_reference, summarise
from hpgan_core.streams import streams
from hpgan_core.training import Population
from hpgan_core.windows import Clips, gather

# Rows (members x windows x futures) that one evaluation pass holds in memory.
EVALUATION_ROWS = 4096


@dataclass(frozen=True)
class EvaluationWindows:
    """Fixed windows of a held-out split, in metres, and what the score compares with on them."""

    past: Tensor
    truth: Tensor
    reference: Reference


def evaluation_windows(population: Population, clips: Clips, most: int | None) -> EvaluationWindows:
    """Strided windows of a held-out split, one every ``past_frames``, at most ``most``."""
    data = population.data
    starts = clips.strided_starts(data.past_frames, data.window, most)
    windows = gather(torch.tensor(clips.frames, dtype=population.dtype), starts, data.window).to(population.device)
    past, truth = windows[:, : data.past_frames], windows[:, data.past_frames :]
    return EvaluationWindows(past, truth, measure_reference(past, truth, data.skeleton, data.frame_rate_hz))


@torch.no_grad()
def evaluate_population(
    population: Population, windows: EvaluationWindows, samples: int, epoch: int
) -> list[dict[str, float]]:
    """Every metric of every member on held-out windows: ``samples`` futures a past, with the z of ``epoch``."""
    past, truth, data = windows.past, windows.truth, population.data
    z = population.sample_z(
        streams(population.seeds, "evaluation", epoch), len(past), samples, population.config.z_size
    )
    chunk = max(1, EVALUATION_ROWS // (samples * len(population.seeds)))
    collected: list[list[dict[str, Tensor]]] = [[] for _ in population.seeds]
    for first in range(0, len(past), chunk):
        some = slice(first, first + chunk)
        predicted = population.predict(past[some], z[:, some])
        probabilities = population.probabilities(past[some], predicted)
        for member, futures in enumerate(predicted):
            collected[member].append(
                evaluate(past[some], futures, truth[some], data.skeleton, data.frame_rate_hz)
                | {"discriminator_probability": probabilities[member]}
            )
    return [
        summarise({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, windows.reference)
        for parts in collected
    ]


def diverged(metrics: Mapping[str, float]) -> bool:
    """Whether a member's numbers have left the finite ones."""
    return not all(math.isfinite(value) for value in metrics.values())
