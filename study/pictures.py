"""A trial's pictures, drawn from the record: past and truth beside what the trial predicts, the same clips and z in every trial."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpgan_core.skeleton import SKELETONS
from hpgan_core.viz import contact_sheet, motion_gif
from study.record import Record, Trial


@dataclass(frozen=True)
class ClipPictures:
    """One clip as a still of chosen frames, ``(height, width, 3)`` uint8, and as the file of an animation."""

    clip: int
    contact_sheet: np.ndarray
    gif: Path


def draw_pictures(record: Record, trial: Trial) -> Iterator[ClipPictures]:
    """Draw the trial's newest predictions, clip by clip; nothing where it ended before its first epoch."""
    predicted = trial.motions()
    if predicted is None:
        return
    references = record.references()
    skeleton, past_frames, frame_rate_hz = SKELETONS[references.skeleton], references.past.shape[1], references.frame_rate_hz
    for index, futures in enumerate(predicted):
        past, clip = references.past[index], index + 1
        motions = {"truth": np.concatenate([past, references.truth[index]])}
        motions |= {f"z{number}": np.concatenate([past, future]) for number, future in enumerate(futures, start=1)}
        motion_gif(trial.paths.gif(clip), motions, skeleton, past_frames=past_frames, frame_rate_hz=frame_rate_hz)
        sheet = contact_sheet(motions, skeleton, past_frames=past_frames, frame_rate_hz=frame_rate_hz)
        yield ClipPictures(clip, sheet, trial.paths.gif(clip))
