"""What a step asks of a device: no waiting for its results, the same operations on the same shapes every time.

Both are what a CUDA graph needs. Tensors of the device ``meta`` have shapes and no values: whatever would bring a value
to the host fails there.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hpgan_core.config import LOSS_NAMES, TrainingConfig
from hpgan_core.errors import BadInput
from hpgan_core.presets import PRESETS
from hpgan_core.training import Population
from hpgan_core.windows import MotionData
from tests.oracle.populations import narrow

every_preset = pytest.mark.parametrize("preset", PRESETS)


class Trace(TorchDispatchMode):
    """Every operation, backward passes and optimisers included, with the shapes and devices of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[str, list[tuple[int, ...]]]] = []
        self.devices: set[str] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        self.operations.append((str(operation), [tuple(tensor.shape) for tensor in tensors]))
        self.devices |= {tensor.device.type for tensor in tensors}
        return result


class NoHostNumbers(TorchFunctionMode):
    """Refuses to make tensors of the host's numbers, and to index by them: each is a copy that a device waits for."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        index = args[1] if function in (Tensor.__getitem__, Tensor.__setitem__) else ()
        indexed_by_numbers = any(isinstance(part, list) for part in (index if isinstance(index, tuple) else (index,)))
        if indexed_by_numbers or function in (torch.tensor, torch.as_tensor, torch.from_numpy):
            raise RuntimeError(f"{function.__name__} copies numbers of the host to the device")
        return function(*args, **(kwargs or {}))


def step_inputs(population: Population, fill: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Windows, z and interpolation factors of one step, random unless ``fill`` is given."""
    config, members = population.config, len(population.seeds)
    mixed = 1 if config.gp_alpha == "batch" else config.batch_size
    n_z = config.critic_iterations + config.generator_iterations if config.resample_z else 1
    shapes = [
        (members, config.batch_size, population.data.window, population.data.skeleton.n_joints, 3),
        (members, config.batch_size, n_z, config.z_size),
        (members, mixed, config.critic_iterations),
    ]
    random = torch.Generator().manual_seed(0)
    windows, z, mixes = (
        (torch.rand(shape, generator=random) if fill is None else torch.full(shape, fill)).to(population.device)
        for shape in shapes
    )
    return windows, z, mixes


def with_all_losses(preset: str) -> TrainingConfig:
    return narrow(preset, losses=LOSS_NAMES)


@every_preset
def test_a_step_never_waits_for_the_device(motion: MotionData, preset: str) -> None:
    population = Population(with_all_losses(preset), motion, [0, 1], device="meta")
    inputs = step_inputs(population)
    population.train_step(*inputs)  # the first one makes what the others keep
    with Trace() as trace, NoHostNumbers():
        losses = population.train_step(*inputs)
    assert trace.devices == {"meta"}
    assert losses.keys() >= {"critic", *LOSS_NAMES}


@pytest.mark.parametrize(
    "wait",
    [
        lambda values: values.sum().item(),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: bool(values.sum() > 0),
        lambda values: values.cpu(),
        lambda values: values.tolist(),
        lambda values: values[..., [0, 1]],
        lambda values: values * torch.tensor([1.0], device=values.device),
    ],
    ids=["item", "mask", "nonzero", "condition", "copy", "list", "indices", "constant"],
)
def test_waiting_for_a_device_would_be_noticed(wait: Callable[[Tensor], Any]) -> None:
    values = torch.ones(3, 4, device="meta")
    with NoHostNumbers(), pytest.raises((RuntimeError, NotImplementedError)):
        wait(values)


@every_preset
def test_every_step_is_the_same_operations_on_the_same_shapes(motion: MotionData, preset: str) -> None:
    population = Population(with_all_losses(preset), motion, [0, 1])
    inputs = step_inputs(population)
    population.train_step(*inputs)
    traces = []
    for values in (inputs, step_inputs(population, fill=0.0), step_inputs(population, fill=torch.nan)):
        with Trace() as trace:
            population.train_step(*values)
        traces.append(trace.operations)
    assert len(traces[0]) > 1000
    assert traces[0] == traces[1] == traces[2]


@every_preset
def test_what_a_capture_puts_back_is_all_that_its_warm_up_changed(motion: MotionData, preset: str) -> None:
    fresh, warm = (Population(with_all_losses(preset), motion, [0, 1]) for _ in range(2))
    inputs = step_inputs(fresh)
    before = {name: tensor.clone() for name, tensor in warm._tensors().items()}
    for _ in range(2):
        warm.train_step(*inputs)
    with torch.no_grad():
        for name, tensor in warm._tensors().items():
            tensor.copy_(before[name])
    losses, expected = warm.train_step(*inputs), fresh.train_step(*inputs)
    assert all(torch.equal(losses[name], expected[name]) for name in expected)
    assert warm._tensors().keys() == fresh._tensors().keys()
    assert all(torch.equal(tensor, fresh._tensors()[name]) for name, tensor in warm._tensors().items())


def test_a_step_is_not_captured_without_a_cuda_device(motion: MotionData) -> None:
    population = Population(narrow("recommended"), motion, [0], cuda_graph=True)
    with pytest.raises(BadInput, match="a CUDA graph needs a CUDA device, found cpu; leave cuda_graph off"):
        population.train_epoch()


def test_a_larger_population_is_no_more_operations(motion: MotionData) -> None:
    names = []
    for seeds in ([0], [0, 1, 2, 3]):
        population = Population(with_all_losses("recommended"), motion, seeds)
        inputs = step_inputs(population)
        population.train_step(*inputs)
        with Trace() as trace:
            population.train_step(*inputs)
        names.append([name for name, _ in trace.operations])
    assert names[0] == names[1]
