"""A population's training step as one CUDA graph: launched once instead of kernel by kernel.

Untried on hardware: nobody has run this on a GPU yet, which is why it is off unless asked for. What it rests on, a step
of fixed shapes that never waits for the host, is tested.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hpgan_core.errors import BadInput

# Lazily made buffers and library handles must exist before a capture; torch's own examples take three steps.
WARM_UP_STEPS = 3


class CapturedStep:
    """``step`` recorded once and replayed on new inputs of the same shapes.

    Args:
        step: takes tensors, updates weights in place, returns losses.
        inputs: an example of its inputs, on a CUDA device.
        state: gives every tensor that a step changes, under stable names.

    Raises:
        BadInput: the inputs are not on a CUDA device.
    """

    def __init__(
        self,
        step: Callable[..., Mapping[str, Tensor]],
        inputs: tuple[Tensor, ...],
        state: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        if any(tensor.device.type != "cuda" for tensor in inputs):
            raise BadInput(f"a CUDA graph needs a CUDA device, found {inputs[0].device}; leave cuda_graph off")
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        before = {name: tensor.clone() for name, tensor in state().items()}
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                step(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        # The warm-up must leave no trace.
        for name, tensor in state().items():
            tensor.detach().copy_(before[name])
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = step(*self.inputs)

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        self.graph.replay()
        return {name: loss.clone() for name, loss in self.losses.items()}
