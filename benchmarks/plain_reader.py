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
    orientation: list[float]
    tracking: int


@dataclass
class Body:
    """A line of 10 numbers and the joints below it."""

    identity: int
    header: list[str]
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
                    x, y, z, depth_x, depth_y, colour_x, colour_y, *orientation = (float(word) for word in words[:11])
                    joint = Joint(x, y, z, depth_x, depth_y, colour_x, colour_y, orientation, int(words[11]))
                    joints.append(joint)
                bodies.append(Body(int(header[0]), header[1:], joints))
            frames.append(bodies)
    return np.array([[[joint.x, joint.y, joint.z] for joint in bodies[0].joints] for bodies in frames])
