"""The training step of a population against the report's loop: same network sizes, batch and updates, one thread."""

from collections.abc import Iterator

import torch

from benchmarks.reports_loop import ReportsLoop
from benchmarks.timing import interleaved_medians
from hpgan_core.config import TrainingConfig
from hpgan_core.data.synthetic import synthesise
from hpgan_core.streams import sample_uniform, streams
from hpgan_core.training import Population
from hpgan_core.windows import MotionData, build_motion_data, gather

BATCH, CRITIC_SIZE, Z_SIZE = 16, 512, 128
ROUNDS = 7
# Hidden size, critic iterations, members.
CASES = [
    *((hidden_size, critic_iterations, 1) for hidden_size in (128, 256, 512) for critic_iterations in (5, 10)),
    (256, 10, 8),
]


class Step:
    """One training step of a population on a fixed batch."""

    def __init__(self, config: TrainingConfig, data: MotionData, members: int) -> None:
        seeds = range(members)
        self.population = Population(config, data, seeds)
        starts = torch.stack([data.train.random_starts(one, data.window) for one in streams(seeds, "windows")])
        self.windows = gather(self.population.frames, starts[:, :BATCH], data.window)
        self.z = self.population.sample_z(streams(seeds, "z"), BATCH, Z_SIZE)
        self.mixes = sample_uniform(streams(seeds, "interpolation"), BATCH, config.critic_iterations)

    def __call__(self) -> None:
        self.population.train_step(self.windows, self.z, self.mixes)


def measurements() -> Iterator[tuple[str, float]]:
    """For each case the speed of a member's step, absolute and as a multiple of the report's loop."""
    data = build_motion_data(synthesise(people=6, clips_per_action=1, frames=60))
    for hidden_size, critic_iterations, members in CASES:
        config = TrainingConfig(
            losses=("gt",),
            critic_iterations=critic_iterations,
            hidden_size=hidden_size,
            z_size=Z_SIZE,
            critic_size=CRITIC_SIZE,
            critic_layers=2,
            batch_size=BATCH,
        )
        ours = Step(config, data, members)
        normaliser = ours.population.normaliser
        anchor = normaliser.anchor(ours.windows[0, :, : data.past_frames])
        poses = normaliser.normalise(ours.windows[0], anchor).flatten(-2)
        report = ReportsLoop(config, poses[:, : data.past_frames], poses[:, data.past_frames :], ours.z[0])
        seconds = interleaved_medians({"report": report, "ours": ours}, ROUNDS)
        case = f"step.h{hidden_size}.n{critic_iterations}.threads1" + (f".members{members}" if members > 1 else "")
        yield f"{case}.member_steps_per_s", members / seconds["ours"]
        yield f"{case}.vs_report", members * seconds["report"] / seconds["ours"]
