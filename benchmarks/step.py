"""The training step of a population against the report's loop: the same networks, batch and updates."""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from statistics import median

import torch
from torch import Tensor

from benchmarks.reports_loop import ReportsLoop
from benchmarks.timing import interleaved_medians
from hpgan_core.config import TrainingConfig
from hpgan_core.data.synthetic import synthesise
from hpgan_core.presets import PRESETS
from hpgan_core.streams import sample_uniform, stream, streams
from hpgan_core.trainable import configure_torch
from hpgan_core.training import Population
from hpgan_core.windows import MotionData, build_motion_data, gather

CRITIC_SIZE = 512
ROUNDS = 9
LARGE_MATRIX = 2048
# Hidden size, critic iterations, members.
CASES = [(hidden, iterations, members) for hidden in (128, 256, 512) for iterations in (5, 10) for members in (1, 8)]


def measurements() -> Iterator[tuple[str, float]]:
    """A member's steps a second, as a multiple of the report's loop, and as a share of the large-matrix rate."""
    large_matrix = []
    for hidden_size, critic_iterations, members in CASES:
        config = case_config(hidden_size, critic_iterations)
        seconds = interleaved_medians(
            {
                "report": build_reports_loop(config),
                "ours": build_step(config, members),
                "matrix": LargeProduct(),
            },
            ROUNDS,
        )
        case = f"step.h{hidden_size}.n{critic_iterations}" + (f".members{members}" if members > 1 else "")
        rate = members / seconds["ours"]
        yield f"{case}.threads1.member_steps_per_s", rate
        yield f"{case}.threads1.vs_report", rate * seconds["report"]
        large_matrix.append(LargeProduct.FLOP / seconds["matrix"])
        yield f"{case}.gemm_share", minimal_flop(config) * rate / large_matrix[-1]
    yield "machine.large_matrix_gflop_per_s", median(large_matrix) / 1e9
    yield "machine.two_processes.vs_report_default", two_processes_against_report(case_config(256, 10))


def case_config(hidden_size: int, critic_iterations: int) -> TrainingConfig:
    return replace(
        PRESETS["report"],
        hidden_size=hidden_size,
        critic_iterations=critic_iterations,
        critic_size=CRITIC_SIZE,
        drop_last=True,
    )


def minimal_flop(config: TrainingConfig, past_frames: int = 10, future_frames: int = 20, pose_size: int = 75) -> float:
    """Floating-point operations of the matrix products that one step of the report's networks needs at the least.

    Two for each weight and row. Rows of B windows: the critic's weights meet 2 B in its forward pass, 2 B in their
    gradient, and B each in the penalty's input gradient, its adjoint and its weight gradient (hidden layers meet 3 B
    more, not counted here). The discriminator's meet 2 B forwards and 2 B in their gradient, hidden layers 2 B
    backwards. The generator's update meets the critic's twice, and each of its own weights three times a frame.
    """
    gates, layers, batch = 3, config.generator_layers, config.batch_size
    first = (past_frames + future_frames) * pose_size * config.critic_size
    hidden = (config.critic_layers - 1) * config.critic_size**2 + config.critic_size
    encoder = gates * config.hidden_size * (pose_size + (2 * layers - 1) * config.hidden_size)
    decoder = gates * pose_size * 2 * layers * pose_size
    critic_rows = 7 * batch * config.critic_iterations + 2 * batch
    return 2 * float(
        critic_rows * (first + hidden)
        + 4 * batch * first
        + 6 * batch * hidden
        + 3 * batch * (past_frames * encoder + future_frames * decoder)
    )


class LargeProduct:
    """The machine's own rate: a product of large square matrices, float32."""

    FLOP = 2.0 * LARGE_MATRIX**3

    def __init__(self) -> None:
        self.left, self.right = torch.randn(2, LARGE_MATRIX, LARGE_MATRIX).unbind()

    def __call__(self) -> Tensor:
        return self.left @ self.right


def motion_data() -> MotionData:
    return build_motion_data(synthesise(people=8, clips_per_action=1, frames=60))


def build_step(config: TrainingConfig, members: int) -> Callable[[], object]:
    """One training step of a population on a fixed batch."""
    data, seeds = motion_data(), range(members)
    population = Population(config, data, seeds)
    starts = torch.stack([data.train.epoch_starts(data.window, one, None) for one in streams(seeds, "windows")])
    windows = gather(population.frames, starts[:, : config.batch_size], data.window)
    z = population.sample_z(streams(seeds, "z"), config.batch_size, 1, config.z_size)
    mixes = sample_uniform(streams(seeds, "interpolation"), config.batch_size, config.critic_iterations)
    return lambda: population.train_step(windows, z, mixes)


def build_reports_loop(config: TrainingConfig) -> ReportsLoop:
    data = motion_data()
    starts = data.train.epoch_starts(data.window, stream(0, "windows"), None)[: config.batch_size]
    poses = gather(torch.tensor(data.train.frames), starts, data.window).flatten(-2)
    z = torch.rand(config.batch_size, config.z_size) * 0.2 - 0.1
    return ReportsLoop(config, poses[:, : data.past_frames], poses[:, data.past_frames :], z)


def two_processes_against_report(config: TrainingConfig) -> float:
    """Steps a second of two one-thread processes at once, as a multiple of the report's loop at torch's own threads."""
    context = multiprocessing.get_context("spawn")
    workers = [Worker(context, config, reports=False) for _ in range(2)]
    report = Worker(context, config, reports=True)
    seconds = interleaved_medians({"report": report.run, "ours": lambda: run_together(workers)}, ROUNDS)
    for worker in (*workers, report):
        worker.close()
    return len(workers) * seconds["report"] / seconds["ours"]


class Worker:
    """A process that takes ``STEPS`` steps whenever it is told to."""

    STEPS = 5

    def __init__(self, context: multiprocessing.context.SpawnContext, config: TrainingConfig, *, reports: bool) -> None:
        self.connection, remote = context.Pipe()
        self.process = context.Process(target=serve, args=(remote, config, reports), daemon=True)
        self.process.start()

    def start(self) -> None:
        self.connection.send(self.STEPS)

    def wait(self) -> None:
        self.connection.recv()

    def run(self) -> None:
        self.start()
        self.wait()

    def close(self) -> None:
        self.connection.send(0)
        self.process.join()


def run_together(workers: list[Worker]) -> None:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.wait()


def serve(connection: Connection, config: TrainingConfig, reports: bool) -> None:
    """Body of a worker process: the report's loop keeps torch's default threads, ours takes one."""
    if not reports:
        configure_torch(threads=1)
    step = build_reports_loop(config) if reports else build_step(config, members=1)
    while steps := connection.recv():
        for _ in range(steps):
            step()
        connection.send(None)
