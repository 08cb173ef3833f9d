"""Skeletons: which joints there are, which pairs of them are bones, and which mirror each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints.

    Attributes:
        name: the sensor or data set that defines it.
        joints: joint names; the position in this tuple is the joint's index everywhere.
        root: index of the joint the tree hangs from.
        bones: ``(parent, child)`` index pairs, parents before children, at most one for each child. A joint without a
            bone lies on another one by definition: a bone of no length has no relative change and nothing to draw.
        mirrored: ``(left, right)`` index pairs of joints that swap in a mirror.
        listed_bones: the pairs that the original code sums its bone loss over; ``bones`` unless given.
    """

    name: str
    joints: tuple[str, ...]
    root: int
    bones: tuple[tuple[int, int], ...]
    mirrored: tuple[tuple[int, int], ...]
    listed_bones: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "listed_bones", self.listed_bones or self.bones)

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    def side(self, joint: int) -> str:
        """``"left"``, ``"right"`` or ``"centre"``."""
        if any(joint == left for left, _ in self.mirrored):
            return "left"
        return "right" if any(joint == right for _, right in self.mirrored) else "centre"


_KINECT_V2_BONES = (
    (0, 1), (1, 20), (20, 2), (2, 3),
    (20, 4), (4, 5), (5, 6), (6, 7), (7, 21), (7, 22),
    (20, 8), (8, 9), (9, 10), (10, 11), (11, 23), (11, 24),
    (0, 12), (12, 13), (13, 14), (14, 15),
    (0, 16), (16, 17), (17, 18), (18, 19),
)  # fmt: skip

# Order and connections as in NTU RGB+D's official list (1-based there). That list names the bone
# SpineBase-SpineMid from both of its ends; a tree holds it once, which leaves 24 bones.
KINECT_V2 = Skeleton(
    name="kinect_v2",
    joints=(
        "SpineBase", "SpineMid", "Neck", "Head",
        "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft",
        "ShoulderRight", "ElbowRight", "WristRight", "HandRight",
        "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft",
        "HipRight", "KneeRight", "AnkleRight", "FootRight",
        "SpineShoulder", "HandTipLeft", "ThumbLeft", "HandTipRight", "ThumbRight",
    ),
    root=0,
    bones=_KINECT_V2_BONES,
    mirrored=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
    listed_bones=((1, 0), *_KINECT_V2_BONES),
)  # fmt: skip

# The 17 that pose estimation uses carry its usual names. Of the others the motion capture rig repeats Hip as
# SpineBase, Thorax as LCollar and RCollar, and a wrist as its thumb's base; its hand lies, depending on who made the
# file, on the wrist or on the fingertips. These seven have no bone, and what hangs from them hangs from the joint
# that they repeat.
HUMAN36M_32 = Skeleton(
    name="human36m_32",
    joints=(
        "Hip", "RHip", "RKnee", "RFoot", "RToes", "RToeTip",
        "LHip", "LKnee", "LFoot", "LToes", "LToeTip",
        "SpineBase", "Spine", "Thorax", "Neck", "Head",
        "LCollar", "LShoulder", "LElbow", "LWrist", "LThumbBase", "LThumb", "LHand", "LFingertips",
        "RCollar", "RShoulder", "RElbow", "RWrist", "RThumbBase", "RThumb", "RHand", "RFingertips",
    ),
    root=0,
    bones=(
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5),
        (0, 6), (6, 7), (7, 8), (8, 9), (9, 10),
        (0, 12), (12, 13), (13, 14), (14, 15),
        (13, 17), (17, 18), (18, 19), (19, 21), (19, 23),
        (13, 25), (25, 26), (26, 27), (27, 29), (27, 31),
    ),
    mirrored=(
        (6, 1), (7, 2), (8, 3), (9, 4), (10, 5),
        (16, 24), (17, 25), (18, 26), (19, 27), (20, 28), (21, 29), (22, 30), (23, 31),
    ),
    listed_bones=(
        (0, 1), (1, 2), (2, 3), (0, 6), (6, 7), (7, 8), (0, 12), (12, 13), (13, 14), (14, 15),
        (13, 17), (17, 18), (18, 19), (13, 25), (25, 26), (26, 27),
    ),
)  # fmt: skip


def _part(whole: Skeleton, name: str, kept: tuple[int, ...]) -> Skeleton:
    """The skeleton of some of the joints, in the order given, with the bones and mirrored pairs between them."""

    def within(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((kept.index(one), kept.index(other)) for one, other in pairs if {one, other} <= set(kept))

    return Skeleton(
        name,
        tuple(whole.joints[joint] for joint in kept),
        kept.index(whole.root),
        within(whole.bones),
        within(whole.mirrored),
        within(whole.listed_bones),
    )


# Of Human3.6M's 32 joints those that pose estimation uses, and their indices there.
HUMAN36M_KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
HUMAN36M_17 = _part(HUMAN36M_32, "human36m_17", HUMAN36M_KEPT)

SKELETONS = {skeleton.name: skeleton for skeleton in (KINECT_V2, HUMAN36M_32, HUMAN36M_17)}
