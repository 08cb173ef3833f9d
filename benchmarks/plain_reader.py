"""Two readers of ``.skeleton`` files, line by line, an object a joint; to compare speed with.

``read_plainly`` does what the original code's reader does for a file (``braniac/format`` of ebarsoum/hpgan): every body
gets a sensor, names for the sides of its bones, extents that grow with each joint, and an array of its positions.
``read_leanly`` makes the same objects and nothing else: the least that a reader of this kind can do.
"""

import math
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from hpgan_core.skeleton import KINECT_V2

JointType = Enum("JointType", [("unknown", -1), *((name, number) for number, name in enumerate(KINECT_V2.joints))])


class Sensor:
    """The depth camera of a Kinect v2: metres, degrees, pixels."""

    def __init__(self) -> None:
        self.max_depth = 8.0
        self.horizontal_view, self.vertical_view = 70.0, 60.0
        self.width, self.height = 512.0, 424.0
        self.x_over_z = 2 * math.tan(math.radians(self.horizontal_view / 2))
        self.y_over_z = 2 * math.tan(math.radians(self.vertical_view / 2))


class TypedJoint:
    """A joint that knows which it is, filled in after it is made."""

    def __init__(self, number: int = -1) -> None:
        self.type = JointType(number)
        self.x = self.y = self.z = 0.0
        self.depth_x = self.depth_y = 0.0
        self.colour_x = self.colour_y = 0.0
        self.orientation_w = self.orientation_x = self.orientation_y = self.orientation_z = 0.0
        self.tracking = 0


class MeasuredBody:
    """A body with its sensor, its bones, the extents of its joints and their positions as an array."""

    def __init__(self, identity: int) -> None:
        self.identity = identity
        self.clipped_edges = 0
        self.hand_left_confidence = self.hand_left_state = 0
        self.hand_right_confidence = self.hand_right_state = 0
        self.restricted = 0
        self.lean_x = self.lean_y = 0.0
        self.tracking = 0
        self.joints: list[TypedJoint] = []
        self.positions = np.empty((0, 3), dtype=np.float32)
        self.sensor = Sensor()
        self.min_x = self.min_y = self.min_z = sys.float_info.max
        self.max_x = self.max_y = self.max_z = -sys.float_info.max
        self.min_depth_x = self.min_depth_y = self.min_colour_x = self.min_colour_y = sys.float_info.max
        self.max_depth_x = self.max_depth_y = self.max_colour_x = self.max_colour_y = -sys.float_info.max
        self.bones = [(start, end, _side(start, end)) for start, end in KINECT_V2.listed_bones]

    def add_joints(self, joints: list[TypedJoint]) -> None:
        self.joints = joints
        positions = np.empty((len(joints), 3), dtype=np.float32)
        for number, joint in enumerate(joints):
            self._extend(joint)
            positions[number, 0] = joint.x
            positions[number, 1] = joint.y
            positions[number, 2] = joint.z
        self.positions = positions

    def _extend(self, joint: TypedJoint) -> None:
        self.min_x, self.max_x = min(joint.x, self.min_x), max(joint.x, self.max_x)
        self.min_y, self.max_y = min(joint.y, self.min_y), max(joint.y, self.max_y)
        self.min_z, self.max_z = min(joint.z, self.min_z), max(joint.z, self.max_z)
        self.min_depth_x, self.max_depth_x = min(joint.depth_x, self.min_depth_x), max(joint.depth_x, self.max_depth_x)
        self.min_depth_y, self.max_depth_y = min(joint.depth_y, self.min_depth_y), max(joint.depth_y, self.max_depth_y)
        self.min_colour_x = min(joint.colour_x, self.min_colour_x)
        self.max_colour_x = max(joint.colour_x, self.max_colour_x)
        self.min_colour_y = min(joint.colour_y, self.min_colour_y)
        self.max_colour_y = max(joint.colour_y, self.max_colour_y)


def _side(start: int, end: int) -> str:
    names = JointType(start).name, JointType(end).name
    if any("right" in name.lower() for name in names):
        return "right"
    return "left" if any("left" in name.lower() for name in names) else "centre"


def read_plainly(path: Path) -> np.ndarray:
    """Positions of the first body of every frame, metres, float32 ``(frames, joints, 3)``."""
    with path.open() as file:
        lines = iter(file.read().splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            header = next(lines).split(" ")
            body = MeasuredBody(int(header[0]))
            body.clipped_edges = int(header[1])
            body.hand_left_confidence = int(header[2])
            body.hand_left_state = int(header[3])
            body.hand_right_confidence = int(header[4])
            body.hand_right_state = int(header[5])
            body.restricted = int(header[6])
            body.lean_x = float(header[7])
            body.lean_y = float(header[8])
            body.tracking = int(header[9])
            joints = []
            for _ in range(int(next(lines))):
                words = next(lines).split(" ")
                joint = TypedJoint()
                joint.x = float(words[0])
                joint.y = float(words[1])
                joint.z = float(words[2])
                joint.depth_x = float(words[3])
                joint.depth_y = float(words[4])
                joint.colour_x = float(words[5])
                joint.colour_y = float(words[6])
                joint.orientation_w = float(words[7])
                joint.orientation_x = float(words[8])
                joint.orientation_y = float(words[9])
                joint.orientation_z = float(words[10])
                joint.tracking = int(words[11])
                joints.append(joint)
            body.add_joints(joints)
            bodies.append(body)
        frames.append(bodies)
    return np.stack([bodies[0].positions for bodies in frames])


@dataclass
class Joint:
    """A line of 12 numbers."""

    x: float
    y: float
    z: float
    depth_x: float
    depth_y: float
    colour_x: float
    colour_y: float
    orientation_w: float
    orientation_x: float
    orientation_y: float
    orientation_z: float
    tracking: int


@dataclass
class Body:
    """A line of 10 numbers and the joints below it."""

    identity: int
    clipped_edges: int
    hand_left_confidence: int
    hand_left_state: int
    hand_right_confidence: int
    hand_right_state: int
    restricted: int
    lean_x: float
    lean_y: float
    tracking: int
    joints: list[Joint]


def read_leanly(path: Path) -> np.ndarray:
    """Positions of the first body of every frame, metres, float64 ``(frames, joints, 3)``."""
    with path.open() as file:
        frames = []
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                header = file.readline().split()
                joints = []
                for _ in range(int(file.readline())):
                    words = file.readline().split()
                    joint = Joint(
                        float(words[0]),
                        float(words[1]),
                        float(words[2]),
                        float(words[3]),
                        float(words[4]),
                        float(words[5]),
                        float(words[6]),
                        float(words[7]),
                        float(words[8]),
                        float(words[9]),
                        float(words[10]),
                        int(words[11]),
                    )
                    joints.append(joint)
                body = Body(
                    int(header[0]),
                    int(header[1]),
                    int(header[2]),
                    int(header[3]),
                    int(header[4]),
                    int(header[5]),
                    int(header[6]),
                    float(header[7]),
                    float(header[8]),
                    int(header[9]),
                    joints,
                )
                bodies.append(body)
            frames.append(bodies)
    return np.array([[[joint.x, joint.y, joint.z] for joint in bodies[0].joints] for bodies in frames])
