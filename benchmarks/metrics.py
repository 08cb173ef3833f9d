"""The metrics against loops that spell them out, and what an evaluation costs beside the training it judges."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.plain_metrics import measure_plainly
from benchmarks.timing import interleaved_medians
from hpgan_core.config import TrainingConfig
from hpgan_core.data.synthetic import synthesise
from hpgan_core.evaluation import EvaluationWindows, evaluate_population, held_out_windows, measure
from hpgan_core.training import Population
from hpgan_core.windows import build_motion_data

WINDOWS, FUTURES, COMPARED = 96, 10, 12
ROUNDS = 5


def measurements() -> Iterator[tuple[str, float]]:
    """Windows of K = 10 measured a second, the speed as a multiple of the loops', and evaluation over training time.

    The last is of the recommended preset with its own numbers of windows and futures, on 40 people.
    """
    data = build_motion_data(synthesise(people=40, clips_per_action=3))
    windows, few = (held_out_windows(data, data.validation, most) for most in (WINDOWS, COMPARED))
    futures, few_futures = _noisy(windows), _noisy(few)
    contenders = {
        "many": lambda: _ours(windows, futures),
        "few": lambda: _ours(few, few_futures),
        "loops": lambda: _loops(few, few_futures),
    }
    ours, plain = contenders["few"](), contenders["loops"]()
    if not all(np.isclose(ours[name], plain[name], rtol=1e-3) for name in ours.keys() & plain.keys()):
        raise RuntimeError("the metrics and their definitions disagree")
    seconds = interleaved_medians(contenders, ROUNDS)
    yield "metrics.windows_per_s", WINDOWS / seconds["many"]
    yield "metrics.vs_loops", seconds["loops"] / seconds["few"]

    config = TrainingConfig.from_mapping({"preset": "recommended"})
    population = Population(config, data, seeds=[0])
    held_out = held_out_windows(data, data.validation, config.evaluation_windows)
    seconds = interleaved_medians(
        {
            "epoch": population.train_epoch,
            "evaluation": lambda: evaluate_population(population, held_out, config.evaluation_samples, epoch=0),
        },
        ROUNDS,
    )
    yield "metrics.share_of_epoch", seconds["evaluation"] / seconds["epoch"]


def _noisy(windows: EvaluationWindows) -> Tensor:
    """Futures around the true ones, ``(1, N, K, T, J, 3)``."""
    truth = windows.truth.unsqueeze(1).expand(1, -1, FUTURES, -1, -1, -1)
    return truth + 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))


def _ours(windows: EvaluationWindows, futures: Tensor) -> dict[str, float]:
    (metrics,) = measure(windows, lambda some: (futures[:, some], {}), at_once=len(windows))
    return metrics


def _loops(windows: EvaluationWindows, futures: Tensor) -> dict[str, float]:
    past, predicted, truth, actions = (
        values.numpy() for values in (windows.past, futures[0], windows.truth, windows.actions)
    )
    by_window = measure_plainly(past, predicted, truth, actions, windows.skeleton, windows.frame_rate_hz)
    return {name: float(np.mean(values)) for name, values in by_window.items()}
