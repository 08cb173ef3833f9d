"""Normalisation: fitted on training people, exact both ways."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hpgan_core.config import CHOICES
from hpgan_core.normalise import MIN_DEVIATION_M, Normaliser
from hpgan_core.training import fit_normaliser
from hpgan_core.windows import MotionData, gather

every_kind = pytest.mark.parametrize("kind", CHOICES["normalisation"])


def training_windows(motion: MotionData) -> torch.Tensor:
    starts = motion.train.strided_starts(motion.past_frames, motion.window)
    return gather(torch.tensor(motion.train.frames), starts, motion.window)


@every_kind
def test_metres_undoes_normalise(motion: MotionData, kind: str) -> None:
    windows = training_windows(motion).double()
    normaliser = fit_normaliser(motion, kind).to("cpu", torch.float64)
    anchor = normaliser.anchor(windows[:, :10])
    restored = normaliser.metres(normaliser.normalise(windows, anchor), anchor)
    torch.testing.assert_close(restored, windows, rtol=0, atol=1e-12)


@every_kind
def test_only_training_people_are_looked_at(motion: MotionData, kind: str) -> None:
    unread = replace(motion.validation, frames=np.full_like(motion.validation.frames, np.nan))
    blind = fit_normaliser(replace(motion, validation=unread, opened_test=unread), kind)
    seen = fit_normaliser(motion, kind)
    assert torch.equal(blind.mean, seen.mean)
    assert torch.equal(blind.scale, seen.scale)
    assert blind.scale.isfinite().all()


def test_per_joint_gives_zero_mean_and_half_deviation(motion: MotionData) -> None:
    windows = training_windows(motion)
    normaliser = fit_normaliser(motion, "per_joint")
    normalised = normaliser.normalise(windows, normaliser.anchor(windows[:, :10]))
    torch.testing.assert_close(normalised.mean(dim=(0, 1)), torch.zeros(25, 3), rtol=0, atol=1e-4)
    torch.testing.assert_close(normalised.std(dim=(0, 1), correction=0), torch.full((25, 3), 0.5), rtol=1e-3, atol=0)


def test_root_centred_keeps_the_proportions_of_bones_and_forgets_the_place(motion: MotionData) -> None:
    windows = training_windows(motion).double()
    normaliser = fit_normaliser(motion, "root_centred").to("cpu", torch.float64)
    assert (normaliser.scale == normaliser.scale[0, 0]).all()
    normalised = normaliser.normalise(windows, normaliser.anchor(windows[:, :10]))
    moved = windows + torch.tensor([0.7, 0.0, -1.1])
    torch.testing.assert_close(normaliser.normalise(moved, normaliser.anchor(moved[:, :10])), normalised)
    torch.testing.assert_close(normalised[:, 9, 0], -(normaliser.mean / normaliser.scale)[0].expand(len(windows), 3))


def test_without_normalisation_metres_go_in(motion: MotionData) -> None:
    windows = training_windows(motion)
    normaliser = fit_normaliser(motion, "none")
    assert torch.equal(normaliser.normalise(windows, normaliser.anchor(windows[:, :10])), windows)


@pytest.mark.parametrize(("kind", "least"), [("root_centred", MIN_DEVIATION_M), ("per_joint", 2 * MIN_DEVIATION_M)])
def test_joints_that_never_move_are_not_blown_up(kind: str, least: float) -> None:
    normaliser = Normaliser.fit(torch.ones(4, 30, 25, 3), past_frames=10, kind=kind, root=0)
    torch.testing.assert_close(normaliser.scale, torch.full((25, 3), least))


def test_statistics_of_many_windows_do_not_drift() -> None:
    windows = torch.full((20_000, 30, 1, 3), 4.1) + 0.01 * torch.randn(
        20_000, 1, 1, 3, generator=torch.Generator().manual_seed(0)
    )
    exact = windows.numpy().astype(np.longdouble).mean(axis=(0, 1))
    found = Normaliser.fit(windows, past_frames=10, kind="per_joint", root=0).mean.numpy()
    assert np.abs(found - exact).max() < 5e-7
