"""Skeletons: which joints there are, which pairs of them are bones, and which mirror each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints.

    Attributes:
        name: the sensor or data set that defines it.
        joints: joint names; the position in this tuple is the joint's index everywhere.
        root: index of the joint the tree hangs from.
        bones: ``(parent, child)`` index pairs, parents before children, one for each joint but the root.
        mirrored: ``(left, right)`` index pairs of joints that swap in a mirror.
    """

    name: str
    joints: tuple[str, ...]
    root: int
    bones: tuple[tuple[int, int], ...]
    mirrored: tuple[tuple[int, int], ...]

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    def side(self, joint: int) -> str:
        """``"left"``, ``"right"`` or ``"centre"``."""
        if any(joint == left for left, _ in self.mirrored):
            return "left"
        return "right" if any(joint == right for _, right in self.mirrored) else "centre"


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
    bones=(
        (0, 1), (1, 20), (20, 2), (2, 3),
        (20, 4), (4, 5), (5, 6), (6, 7), (7, 21), (7, 22),
        (20, 8), (8, 9), (9, 10), (10, 11), (11, 23), (11, 24),
        (0, 12), (12, 13), (13, 14), (14, 15),
        (0, 16), (16, 17), (17, 18), (18, 19),
    ),
    mirrored=((4, 8), (5, 9), (6, 10), (7, 11), (12, 16), (13, 17), (14, 18), (15, 19), (21, 23), (22, 24)),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (KINECT_V2,)}
