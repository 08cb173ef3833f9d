"""How many members of a trial a GPU's memory holds at once."""

import torch

from hpgan_core.config import TrainingConfig
from hpgan_core.evaluation import evaluate_population, evaluation_windows
from hpgan_core.training import Population
from hpgan_core.windows import MotionData

# What the allocator loses between blocks, and what kernels take without telling it.
USABLE = 0.85


def members_that_fit(one: int, two: int, available: int) -> int:
    """How many members fit, at least one, from what one and two of them have taken at their peak; all in bytes."""
    each = max(two - one, 1)
    return max(1, 1 + (available - one) // each)


def measure_members_that_fit(config: TrainingConfig, data: MotionData, device: str) -> int:
    """How many members this process may train at once on a CUDA device: a step and an evaluation of one and two, tried.

    Of a fraction of a GPU, ``torch.cuda.set_per_process_memory_fraction`` has said so before. Untried on hardware:
    nobody has run this on a GPU yet.
    """
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    one = _peak(config, data, [0], device)
    try:
        two = _peak(config, data, [0, 1], device)
    except torch.OutOfMemoryError:
        return 1
    finally:
        torch.cuda.empty_cache()
    return members_that_fit(one, two, int(USABLE * min(free, share * total)))


def _peak(config: TrainingConfig, data: MotionData, seeds: list[int], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    population = Population(config, data, seeds, device)
    population.train_steps(epoch=1, steps=1)
    windows = evaluation_windows(population, data.validation, config.evaluation_windows)
    evaluate_population(population, windows, config.evaluation_samples, epoch=0)
    return torch.cuda.max_memory_allocated(device)
