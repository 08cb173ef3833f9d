"""Reading ``.skeleton`` files against two plain readers, on files whose lines are as wide as those of NTU RGB+D."""

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.plain_reader import read_leanly, read_plainly
from benchmarks.timing import interleaved_medians
from hpgan_core.data.ntu_rgbd import read_skeleton_file
from hpgan_core.data.synthetic import synthesise

ROUNDS = 15
# Part of the key, bodies a frame, end of a line.
CASES = (("", 1, "\n"), ("two_bodies.", 2, "\n"), ("crlf.", 1, "\r\n"), ("trailing_blanks.", 1, " \n"))


def measurements() -> Iterator[tuple[str, float]]:
    """Clips of one person a second, and the speed as a multiple of the other readers'.

    All read without the garbage collector's passes over what else the process holds: they would be the others' alone,
    which make many objects.
    """
    clips = synthesise(people=4, clips_per_action=1, frames=82, noise_m=0.002).clips  # NTU's median length
    for case, n_bodies, newline in CASES:
        with TemporaryDirectory() as folder:
            files = [Path(folder) / f"{clip.name}.skeleton" for clip in clips]
            for file, clip in zip(files, clips, strict=True):
                file.write_bytes(as_recorded(clip.positions, n_bodies, newline).encode())
                for reader in (read_plainly, read_leanly):
                    if not np.array_equal(read_skeleton_file(file), reader(file).astype(np.float32)):
                        raise RuntimeError(f"{reader.__name__} has read something else in {file.name}")
            gc.collect()
            gc.freeze()
            try:
                seconds = interleaved_medians(
                    {
                        "plain": lambda files=files: [read_plainly(file) for file in files],
                        "lean": lambda files=files: [read_leanly(file) for file in files],
                        "ours": lambda files=files: [read_skeleton_file(file) for file in files],
                    },
                    ROUNDS,
                )
            finally:
                gc.unfreeze()
        if not case:
            yield "parse.clips_per_s", len(files) / seconds["ours"]
        for other in ("plain", "lean"):
            yield f"parse.{case}vs_{other}_reader", seconds[other] / seconds["ours"]


def as_recorded(positions: np.ndarray, n_bodies: int, newline: str) -> str:
    """A clip as the sensor writes it, seven digits a number; beside the person stand others, who move less.

    The sensor has zeros for the orientation of the ends of limbs; here every joint has one, so that no line is short.
    """
    random = np.random.default_rng(0)
    lines = [f"{len(positions)}"]
    for pose in positions.astype(np.float64):
        lines.append(f"{n_bodies}")
        for body in range(n_bodies):
            lean = random.normal(scale=0.1, size=2)
            lines += [f"{72057594037931101 + body} 0 1 1 1 1 0 {lean[0]:.7g} {lean[1]:.7g} 2", f"{len(pose)}"]
            shown = pose if body == 0 else (pose + positions[0]) / 2 + [body, 0, 0]
            orientations = random.normal(size=(len(pose), 4))
            orientations /= np.linalg.norm(orientations, axis=1, keepdims=True)
            for (x, y, z), orientation in zip(shown, orientations, strict=True):
                across, down = x / z, -y / z
                pixels = (256 + 366 * across, 212 + 367 * down, 960 + 1060 * across, 540 + 1060 * down)
                lines.append(" ".join(f"{number:.7g}" for number in (x, y, z, *pixels, *orientation)) + " 2")
    return newline.join([*lines, ""])
