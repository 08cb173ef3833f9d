"""Skeletons: what every one of them promises, and how Human3.6M's two belong together."""

import pytest

from hpgan_core.skeleton import HUMAN36M_17, HUMAN36M_32, HUMAN36M_KEPT, KINECT_V2, SKELETONS, Skeleton

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


def names(pairs: tuple[tuple[int, int], ...], skeleton: Skeleton) -> list[tuple[str, str]]:
    return [(skeleton.joints[one], skeleton.joints[other]) for one, other in pairs]


def test_there_are_three_skeletons() -> None:
    assert {name: skeleton.n_joints for name, skeleton in SKELETONS.items()} == {
        "kinect_v2": 25, "human36m_32": 32, "human36m_17": 17
    }  # fmt: skip


@every_skeleton
def test_every_bone_hangs_from_a_joint_that_hangs_already(skeleton: Skeleton) -> None:
    hanging = {skeleton.root}
    for parent, child in skeleton.bones:
        assert parent in hanging
        assert child not in hanging
        hanging.add(child)


@every_skeleton
def test_joints_have_names_of_their_own(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joints)) == skeleton.n_joints


@every_skeleton
def test_mirrored_joints_differ_by_their_side_alone(skeleton: Skeleton) -> None:
    for left, right in names(skeleton.mirrored, skeleton):
        assert left != right
        assert right in (left.replace("Left", "Right"), "R" + left.removeprefix("L"))
    assert len({joint for pair in skeleton.mirrored for joint in pair}) == 2 * len(skeleton.mirrored)


@every_skeleton
def test_a_mirror_turns_bones_into_bones(skeleton: Skeleton) -> None:
    swap = dict(skeleton.mirrored) | {right: left for left, right in skeleton.mirrored}
    for bones in (skeleton.bones, skeleton.listed_bones):
        assert {(swap.get(parent, parent), swap.get(child, child)) for parent, child in bones} == set(bones)


def test_kinects_listed_bones_hold_the_spine_from_both_ends() -> None:
    assert len(KINECT_V2.bones) == 24
    assert sorted(KINECT_V2.listed_bones) == sorted([*KINECT_V2.bones, (1, 0)])


def test_human36m_lists_the_sixteen_bones_of_its_17_joints() -> None:
    assert len(HUMAN36M_32.listed_bones) == 16
    assert set(HUMAN36M_32.listed_bones) < set(HUMAN36M_32.bones)
    assert set(HUMAN36M_17.bones) == set(HUMAN36M_17.listed_bones)
    assert names(HUMAN36M_17.listed_bones, HUMAN36M_17) == names(HUMAN36M_32.listed_bones, HUMAN36M_32)


def test_seven_of_32_joints_repeat_others_and_have_no_bone() -> None:
    without = set(range(32)) - {HUMAN36M_32.root} - {child for _, child in HUMAN36M_32.bones}
    assert without == {11, 16, 20, 22, 24, 28, 30}
    assert not without & set(HUMAN36M_KEPT)


def test_bones_are_listed_unless_others_are() -> None:
    assert Skeleton("stick", ("one", "other"), 0, ((0, 1),), ()).listed_bones == ((0, 1),)


def test_sides_are_the_persons_own() -> None:
    sides = {name: HUMAN36M_17.side(joint) for joint, name in enumerate(HUMAN36M_17.joints)}
    assert sides["LWrist"] == "left"
    assert sides["RFoot"] == "right"
    assert sides["Head"] == "centre"
