"""A reader of ``.skeleton`` files as one writes it first: line by line, an object a joint; to compare speed with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


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


def read_plainly(path: Path) -> np.ndarray:
    """Positions of the first body of every frame, metres, ``(frames, joints, 3)``."""
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
