"""Pictures drawn from the record: truth beside predictions, the same clips and z in every trial."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpgan_core.skeleton import SKELETONS
from hpgan_core.viz import contact_sheet, motion_gif
from study.record import Record, References, Trial


@dataclass(frozen=True)
class ClipPictures:
    """One clip as a still of chosen frames, ``(height, width, 3)`` uint8, and as the file of an animation."""

    clip: int
    contact_sheet: np.ndarray
    gif: Path


def draw_trial(record: Record, trial: Trial) -> Iterator[ClipPictures]:
    """Clip by clip the truth and what the trial predicts for each z; nothing where it ended before its first epoch."""
    predicted = trial.motions()
    if predicted is None:
        return
    references = record.references()
    for index, futures in enumerate(predicted):
        panels = {f"z{number}": future for number, future in enumerate(futures, start=1)}
        yield _draw(references, index, panels, trial.paths.gif(index + 1))


def draw_arms(record: Record) -> Iterator[ClipPictures]:
    """Clip by clip the truth and what each confirmed arm predicts for the first z."""
    confirmed = {arm: trial.motions() for arm in record.study_file.arms if (trial := record.confirmation(arm))}
    predicted = {arm: motions for arm, motions in confirmed.items() if motions is not None}
    if not predicted:
        return
    references = record.references()
    for index in range(len(references.past)):
        panels = {arm: motions[index, 0] for arm, motions in predicted.items()}
        yield _draw(references, index, panels, record.paths.gif(index + 1))


def _draw(references: References, index: int, futures: Mapping[str, np.ndarray], gif: Path) -> ClipPictures:
    past, truth = references.past[index], references.truth[index]
    motions = {name: np.concatenate([past, future]) for name, future in {"truth": truth, **futures}.items()}
    skeleton, past_frames, rate = SKELETONS[references.skeleton], len(past), references.frame_rate_hz
    motion_gif(gif, motions, skeleton, past_frames=past_frames, frame_rate_hz=rate)
    sheet = contact_sheet(motions, skeleton, past_frames=past_frames, frame_rate_hz=rate)
    return ClipPictures(index + 1, sheet, gif)
