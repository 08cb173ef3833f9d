"""Reading ``.skeleton`` files against a plain reader, on files written for the purpose."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.plain_reader import read_plainly
from benchmarks.timing import interleaved_medians
from hpgan_core.data.ntu_rgbd import read_skeleton_file
from hpgan_core.data.synthetic import write_synthetic

ROUNDS = 15


def measurements() -> Iterator[tuple[str, float]]:
    """Clips a second, and the speed as a multiple of the plain reader's."""
    with TemporaryDirectory() as folder:
        write_synthetic(folder, people=4, clips_per_action=1, frames=82, noise_m=0.002)  # NTU's median length
        files = sorted(Path(folder).iterdir())
        for file in files:
            if not np.array_equal(read_skeleton_file(file), read_plainly(file).astype(np.float32)):
                raise RuntimeError(f"the two readers disagree about {file.name}")
        seconds = interleaved_medians(
            {
                "plain": lambda: [read_plainly(file) for file in files],
                "ours": lambda: [read_skeleton_file(file) for file in files],
            },
            ROUNDS,
        )
        yield "parse.clips_per_s", len(files) / seconds["ours"]
        yield "parse.vs_plain_reader", seconds["plain"] / seconds["ours"]
