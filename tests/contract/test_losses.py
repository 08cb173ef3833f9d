"""Every form of every row of LOSSES keeps the promises of a motion loss."""

import pytest
import torch
from torch import Tensor

from hpgan_core.config import CHOICES, LOSS_NAMES, RANGES, SETTINGS
from hpgan_core.losses import CONSISTENCY_FLOOR, LOSSES, LossRow, MotionLoss
from hpgan_core.metrics import METRICS
from hpgan_core.skeleton import KINECT_V2

MEMBERS, BATCH, PAST, FUTURE, JOINTS = 3, 4, 5, 6, KINECT_V2.n_joints

FORMS = {f"{name}-{form}": loss for name, row in LOSSES.items() for form, loss in row.forms.items()}
every_loss = pytest.mark.parametrize("loss", FORMS.values(), ids=FORMS)


def random_motions() -> list[Tensor]:
    """Past, predicted and true future."""
    random = torch.Generator().manual_seed(0)
    shapes = [(MEMBERS, BATCH, frames, JOINTS, 3) for frames in (PAST, FUTURE, FUTURE)]
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


def value(loss: MotionLoss, past: Tensor, predicted: Tensor, future: Tensor) -> Tensor:
    return loss(past, predicted, future, KINECT_V2)


def test_losses_of_a_configuration_are_those_of_the_table() -> None:
    assert tuple(LOSSES) == LOSS_NAMES


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_weight(name: str) -> None:
    assert SETTINGS[f"{name}_weight"] is float
    assert RANGES[f"{name}_weight"][0] == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_several_forms_has_a_setting_for_them(name: str) -> None:
    assert set(CHOICES.get(f"{name}_form", ("mean",))) == LOSSES[name].forms.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_the_space_of_a_loss_is_one_that_a_setting_may_name(name: str) -> None:
    assert LOSSES[name].space in CHOICES["bone_space"] == ("metres", "normalised")


@pytest.mark.parametrize("row", LOSSES.values(), ids=LOSSES)
def test_what_a_loss_trains_on_are_metrics(row: LossRow) -> None:
    assert row.trains_on
    assert set(row.trains_on) <= METRICS.keys()


@every_loss
def test_one_finite_positive_number_for_each_member(loss: MotionLoss) -> None:
    values = value(loss, *random_motions())
    assert values.shape == (MEMBERS,)
    assert values.isfinite().all()
    assert (values > 0).all()


@every_loss
def test_a_member_is_judged_by_its_own_motion_alone(loss: MotionLoss) -> None:
    motions = random_motions()
    alone = value(loss, *(motion[1:2] for motion in motions))
    for motion in motions:
        motion[0] = torch.nan
    torch.testing.assert_close(value(loss, *motions)[1:2], alone)


@every_loss
def test_without_a_population_there_is_one_number(loss: MotionLoss) -> None:
    motions = random_motions()
    single = value(loss, *(motion[0] for motion in motions))
    assert single.shape == ()
    torch.testing.assert_close(single, value(loss, *motions)[0])


@every_loss
def test_where_the_person_stands_does_not_matter(loss: MotionLoss) -> None:
    motions = random_motions()
    elsewhere = [motion + torch.tensor([1.0, -2.0, 3.5], dtype=torch.float64) for motion in motions]
    torch.testing.assert_close(value(loss, *elsewhere), value(loss, *motions))


@every_loss
def test_a_pose_that_is_kept_costs_no_more_than_the_originals_floor(loss: MotionLoss) -> None:
    past, _, _ = random_motions()
    frozen = past[:, :, -1:].expand(-1, -1, FUTURE, -1, -1)
    assert value(loss, past, frozen, frozen).max() <= CONSISTENCY_FLOOR


@every_loss
def test_every_predicted_joint_of_every_frame_gets_a_gradient(loss: MotionLoss) -> None:
    past, predicted, future = random_motions()
    torch.autograd.backward(value(loss, past, predicted.requires_grad_(), future).sum())
    assert predicted.grad is not None
    assert (predicted.grad.norm(dim=-1) > 0).all()


@every_loss
def test_gradients_stay_finite_where_joints_and_frames_coincide(loss: MotionLoss) -> None:
    past, predicted, future = (torch.zeros_like(motion) for motion in random_motions())
    torch.autograd.backward(value(loss, past, predicted.requires_grad_(), future).sum())
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@every_loss
def test_a_step_down_the_gradient_lowers_the_loss(loss: MotionLoss) -> None:
    past, predicted, future = random_motions()
    before = value(loss, past, predicted.requires_grad_(), future)
    (gradient,) = torch.autograd.grad(before.sum(), predicted)
    assert (value(loss, past, predicted - 1e-3 * gradient, future) < before).all()
