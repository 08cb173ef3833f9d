"""Every row of LOSSES keeps the promises of a motion loss."""

import pytest
import torch
from torch import Tensor

from hpgan_core.config import LOSS_NAMES, RANGES, SETTINGS
from hpgan_core.losses import LOSSES, LossRow
from hpgan_core.metrics import METRICS
from hpgan_core.skeleton import KINECT_V2

MEMBERS, BATCH, PAST, FUTURE, JOINTS = 3, 4, 5, 6, KINECT_V2.n_joints

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def random_motions() -> list[Tensor]:
    """Past, predicted and true future."""
    random = torch.Generator().manual_seed(0)
    shapes = [(MEMBERS, BATCH, frames, JOINTS, 3) for frames in (PAST, FUTURE, FUTURE)]
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


def value(loss: LossRow, past: Tensor, predicted: Tensor, future: Tensor) -> Tensor:
    return loss.function(past, predicted, future, KINECT_V2)


def test_losses_of_a_configuration_are_those_of_the_table() -> None:
    assert tuple(LOSSES) == LOSS_NAMES == ("gt", "consistency", "bone")


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_weight(name: str) -> None:
    assert SETTINGS[f"{name}_weight"] is float
    assert RANGES[f"{name}_weight"][0] == 0


@every_loss
def test_what_a_loss_trains_on_are_metrics(loss: LossRow) -> None:
    assert loss.trains_on
    assert set(loss.trains_on) <= METRICS.keys()


@every_loss
def test_one_finite_positive_number_for_each_member(loss: LossRow) -> None:
    values = value(loss, *random_motions())
    assert values.shape == (MEMBERS,)
    assert values.isfinite().all()
    assert (values > 0).all()


@every_loss
def test_a_member_is_judged_by_its_own_motion_alone(loss: LossRow) -> None:
    motions = random_motions()
    alone = value(loss, *(motion[1:2] for motion in motions))
    for motion in motions:
        motion[0] = torch.nan
    torch.testing.assert_close(value(loss, *motions)[1:2], alone)


@every_loss
def test_without_a_population_there_is_one_number(loss: LossRow) -> None:
    motions = random_motions()
    single = value(loss, *(motion[0] for motion in motions))
    assert single.shape == ()
    torch.testing.assert_close(single, value(loss, *motions)[0])


@every_loss
def test_where_the_person_stands_does_not_matter(loss: LossRow) -> None:
    motions = random_motions()
    elsewhere = [motion + torch.tensor([1.0, -2.0, 3.5], dtype=torch.float64) for motion in motions]
    torch.testing.assert_close(value(loss, *elsewhere), value(loss, *motions))


@every_loss
def test_a_pose_that_is_kept_costs_nothing(loss: LossRow) -> None:
    past, _, _ = random_motions()
    frozen = past[:, :, -1:].expand(-1, -1, FUTURE, -1, -1)
    assert value(loss, past, frozen, frozen).max() < 1e-5


@every_loss
def test_every_predicted_joint_of_every_frame_gets_a_gradient(loss: LossRow) -> None:
    past, predicted, future = random_motions()
    torch.autograd.backward(value(loss, past, predicted.requires_grad_(), future).sum())
    assert predicted.grad is not None
    assert (predicted.grad.norm(dim=-1) > 0).all()


@every_loss
def test_gradients_stay_finite_where_joints_and_frames_coincide(loss: LossRow) -> None:
    past, predicted, future = (torch.zeros_like(motion) for motion in random_motions())
    torch.autograd.backward(value(loss, past, predicted.requires_grad_(), future).sum())
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@every_loss
def test_a_step_down_the_gradient_lowers_the_loss(loss: LossRow) -> None:
    past, predicted, future = random_motions()
    before = value(loss, past, predicted.requires_grad_(), future)
    (gradient,) = torch.autograd.grad(before.sum(), predicted)
    assert (value(loss, past, predicted - 1e-3 * gradient, future) < before).all()
