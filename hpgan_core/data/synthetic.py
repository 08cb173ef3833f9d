"""Synthetic people: constant-length bones driven by smooth joint angles, recorded as a Kinect v2 would.

People differ in proportions and manner; each of their clips differs in facing, place, tempo, amplitude and phase.
Nobody's next move is certain from the last third of a second, but much of it is.

Frames of reference: joint angles turn segments in a person's own frame (x to the left, y up, z forward), in radians;
positions are in the camera's (x to the camera's left, y up, z away from it), in metres.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpgan_core.data.ntu_rgbd import FRAME_RATE_HZ, write_skeleton_file
from hpgan_core.data.recordings import Recording, Recordings
from hpgan_core.errors import BadInput
from hpgan_core.skeleton import KINECT_V2

_SIDES = ("Left", "Right")
_SIGNS = np.array([[1.0], [-1.0]])  # of x in a person's frame, for left and right
_NEAR_M, _FAR_M = 2.05, 4.45  # where the sensor sees well


def synthesise(
    seed: int = 0, *, people: int = 10, clips_per_action: int = 4, frames: int = 120, noise_m: float = 0.0
) -> Recordings:
    """People who walk, wave, squat, reach and sit, seen by a Kinect v2 at 30 Hz.

    Each person, clip and noise has a random stream of its own: more people, more clips or another noise change
    nothing in what was there before.

    Args:
        seed: chooses everything.
        people: subjects ``P001``, ``P002``, ...; at most 999, as names have three digits.
        clips_per_action: clips of each of ``ACTIONS`` for each of them, as setups ``S001``, ``S002``, ...; at most 999.
        frames: length of every clip.
        noise_m: standard deviation of the sensor noise of a trunk joint on each axis, metres; outer joints have more.

    Raises:
        BadInput: a number is out of range.
    """
    for name, value, low, high in (
        ("seed", seed, 0, 2**64),
        ("people", people, 1, 999),
        ("clips_per_action", clips_per_action, 1, 999),
        ("frames", frames, 2, 100_000),
        ("noise_m", noise_m, 0, 1),
    ):
        if not low <= value <= high:
            raise BadInput(f"{name} = {value} is outside {low} to {high}")
    bodies = [_Body.sample(_stream(seed, person)) for person in range(people)]
    clips = []
    for clip in range(clips_per_action):
        for person, body in enumerate(bodies):
            for number, (action, move) in enumerate(ACTIONS.items()):
                rng = _stream(seed, person, number, clip)
                positions = _record(body, move(rng, body, np.arange(frames) / FRAME_RATE_HZ), rng)
                positions += noise_m * _sensor_noise(_stream(seed, person, number, clip, 0), frames)
                subject = f"P{person + 1:03d}"
                name = f"S{clip + 1:03d}C001{subject}R001{action}"
                clips.append(Recording(name, subject, action, positions.astype(np.float32)))
    return Recordings(KINECT_V2, FRAME_RATE_HZ, tuple(clips))


def write_synthetic(
    folder: str | Path,
    seed: int = 0,
    *,
    people: int = 10,
    clips_per_action: int = 4,
    frames: int = 120,
    noise_m: float = 0.0,
) -> Recordings:
    """Write what ``synthesise`` gives as one ``.skeleton`` file a clip; ``read_ntu_rgbd`` reads the same back."""
    recordings = synthesise(seed, people=people, clips_per_action=clips_per_action, frames=frames, noise_m=noise_m)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for clip in recordings.clips:
        write_skeleton_file(Path(folder) / f"{clip.name}.skeleton", clip.positions)
    return recordings


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _joint(part: str, side: str = "") -> int:
    return KINECT_V2.joints.index(part + side)


@dataclass(frozen=True)
class _Body:
    """One person.

    Attributes:
        offsets: each joint from its parent, in the frame of the segment it belongs to, metres, ``(25, 3)``.
        tempo: how quick they are; 1 on average.
        vigour: how large their movements are; 1 on average.
        stoop: how far they lean forward at rest, radians.
    """

    offsets: np.ndarray
    tempo: float
    vigour: float
    stoop: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "_Body":
        height = rng.uniform(1.5, 1.95)
        trunk, legs, arms, shoulders, hips = height * (1 + rng.uniform(-1, 1, 5) * [0.04, 0.04, 0.05, 0.08, 0.1])
        offsets = np.zeros((KINECT_V2.n_joints, 3))
        for joint, offset in {
            "SpineMid": (0, 0.165 * trunk, 0),
            "SpineShoulder": (0, 0.135 * trunk, 0),
            "Neck": (0, 0.045 * trunk, 0.005 * trunk),
            "Head": (0, 0.085 * trunk, 0.015 * trunk),
        }.items():
            offsets[_joint(joint)] = offset
        for joint, (outward, up, forward) in {
            "Shoulder": (0.105 * shoulders, -0.02 * trunk, 0),
            "Elbow": (0, -0.16 * arms, 0),
            "Wrist": (0, -0.145 * arms, 0),
            "Hand": (0, -0.042 * arms, 0),
            "HandTip": (0, -0.045 * arms, 0),
            "Thumb": (-0.01 * arms, -0.018 * arms, 0.025 * arms),
            "Hip": (0.048 * hips, -0.01 * trunk, 0),
            "Knee": (0, -0.235 * legs, 0),
            "Ankle": (0, -0.235 * legs, 0),
            "Foot": (0.012 * legs, -0.035 * legs, 0.075 * legs),
        }.items():
            for side, sign in zip(_SIDES, (1, -1), strict=True):
                offsets[_joint(joint, side)] = (sign * outward, up, forward)
        return cls(offsets, rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.15), rng.uniform(0.0, 0.08))


@dataclass
class _Angles:
    """Joint angles over time, radians: of the trunk ``(frames,)``, of the limbs left and right ``(2, frames)``.

    Attributes:
        heading: where the person faces; grows to the left.
        lean: trunk forward, from vertical.
        bend: trunk to its right, from vertical.
        hip_turn: pelvis to the left, against the heading.
        turn: shoulders to the left, against the heading.
        nod: head down, from the chest.
        look: head to the left, from the chest.
        thigh: forward, from straight down.
        knee: flexion; 0 is straight.
        spread: legs outwards, were they straight.
        toes: toes down, from level.
        raised: upper arm forward, from along the trunk.
        abducted: upper arm outwards, from along the trunk.
        twist: upper arm about itself; at a quarter turn the elbow lifts a forearm stretched out sideways.
        elbow: flexion; 0 is straight.
    """

    heading: np.ndarray
    lean: np.ndarray
    bend: np.ndarray
    hip_turn: np.ndarray
    turn: np.ndarray
    nod: np.ndarray
    look: np.ndarray
    thigh: np.ndarray
    knee: np.ndarray
    spread: np.ndarray
    toes: np.ndarray
    raised: np.ndarray
    abducted: np.ndarray
    twist: np.ndarray
    elbow: np.ndarray

    @classmethod
    def standing(cls, rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> "_Angles":
        """A person who faces the camera, more or less, arms hanging, never quite still."""
        still, both = np.zeros(len(seconds)), np.zeros((2, len(seconds)))
        return cls(
            heading=np.pi + rng.uniform(-0.7, 0.7) + _drift(rng, seconds, 0.02),
            lean=body.stoop + _drift(rng, seconds, 0.02),
            bend=_drift(rng, seconds, 0.02),
            hip_turn=still + _drift(rng, seconds, 0.03),
            turn=still + _drift(rng, seconds, 0.04),
            nod=0.1 + _drift(rng, seconds, 0.06),
            look=_drift(rng, seconds, 0.15),
            thigh=both + 0.06 + _drift(rng, seconds, 0.02),
            knee=both + 0.12 + _drift(rng, seconds, 0.02),
            spread=both + rng.uniform(0.02, 0.08),
            toes=both.copy(),
            raised=np.stack([_drift(rng, seconds, 0.06) for _ in _SIDES]) + body.stoop,
            abducted=0.14 + np.stack([_drift(rng, seconds, 0.03) for _ in _SIDES]),
            twist=both.copy(),
            elbow=0.3 + np.stack([_drift(rng, seconds, 0.04) for _ in _SIDES]),
        )


def _walk(rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> _Angles:
    """Steps out, keeps going, stops, and goes again; long ways curve, to stay in the room."""
    angles = _Angles.standing(rng, body, seconds)
    going = _episodes(rng, seconds, rest_s=(0.2, 1.0), move_s=(0.5, 1.0), hold_s=(2.0, 6.0))
    stride = body.vigour * rng.uniform(0.8, 1.1) * going
    strides_per_s = 0.75 * body.tempo * rng.uniform(0.85, 1.15) * (1 + _drift(rng, seconds, 0.06)) * (0.5 + 0.5 * going)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(strides_per_s) / FRAME_RATE_HZ
    leg = phase + np.array([[0.0], [np.pi]])  # 0 where that heel strikes
    way_m = np.cumsum(1.05 * strides_per_s * stride) / FRAME_RATE_HZ
    curvature = rng.choice((-1, 1)) * rng.uniform(1.0, 1.3) * np.clip(way_m[-1] - 1, 0, 1)
    angles.heading = rng.uniform(0, 2 * np.pi) + curvature * way_m + _drift(rng, seconds, 0.1)
    angles.thigh += stride * (0.34 * np.cos(leg + 0.2) + 0.03 * np.cos(3 * (leg + 0.2)) + 0.08)
    angles.knee += stride * (0.85 * _pulse(leg, 0.72, 3) + 0.15 * _pulse(leg, 0.13, 6))
    angles.toes += stride * (0.55 * _pulse(leg, 0.6, 6) - 0.2 * _pulse(leg, 0.97, 6))
    angles.raised += stride * (-0.42 * np.cos(leg) + 0.04)
    angles.elbow += stride * (0.2 - 0.2 * np.cos(leg))
    angles.hip_turn = angles.hip_turn - 0.09 * stride * np.cos(phase)
    angles.turn = angles.turn + 0.12 * stride * np.cos(phase)
    angles.bend = angles.bend - 0.03 * stride * np.sin(phase)
    angles.lean = angles.lean + 0.05 * stride
    return angles


def _wave(rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> _Angles:
    """Lifts one hand above the head and swings the forearm from side to side."""
    angles = _Angles.standing(rng, body, seconds)
    up = _episodes(rng, seconds, rest_s=(0.2, 1.0), move_s=(0.7, 1.2), hold_s=(1.5, 4.0), levels=(0.85, 1.0))
    arm = rng.integers(2)
    waves_per_s = 1.2 * body.tempo * rng.uniform(0.75, 1.25) * (1 + _drift(rng, seconds, 0.1))
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(waves_per_s) / FRAME_RATE_HZ
    swing = rng.uniform(0.35, 0.5) * body.vigour * (1 + _drift(rng, seconds, 0.15)) * np.sin(phase)
    angles.abducted[arm] += up * (rng.uniform(1.75, 2.1) + 0.12 * swing)
    angles.raised[arm] += up * rng.uniform(0.0, 0.3)
    angles.twist[arm] += up * rng.uniform(1.4, 1.6)
    angles.elbow[arm] += up * (rng.uniform(0.7, 1.0) + up * swing)
    angles.bend = angles.bend + (0.05 * up + 0.03 * up * swing) * _SIGNS[arm]
    return angles


def _squat(rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> _Angles:
    """Goes down on planted feet with the arms held out in front, and comes up again."""
    angles = _Angles.standing(rng, body, seconds)
    down = _episodes(rng, seconds, rest_s=(0.2, 0.9), move_s=(0.7, 1.3), hold_s=(0.0, 0.6))
    angles.thigh += rng.uniform(1.2, 1.6) * down
    angles.knee += rng.uniform(1.75, 2.0) * down
    angles.spread += rng.uniform(0.04, 0.14)
    angles.lean = angles.lean + rng.uniform(0.4, 0.65) * down
    angles.nod = angles.nod - 0.3 * down
    angles.raised += rng.uniform(1.75, 2.15) * down + np.stack([_drift(rng, seconds, 0.04) for _ in _SIDES])
    angles.elbow -= 0.15 * down
    return angles


def _reach(rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> _Angles:
    """Stretches one arm out to a target, high or low, the trunk following."""
    angles = _Angles.standing(rng, body, seconds)
    out = _episodes(rng, seconds, rest_s=(0.2, 1.0), move_s=(0.7, 1.2), hold_s=(0.1, 1.0), levels=(0.93, 1.0))
    arm = rng.integers(2)
    height = rng.uniform(0, 1)
    lean = 0.6 - 0.35 * height
    angles.raised[arm] += (1.15 + 1.2 * height) * out
    angles.abducted[arm] += rng.uniform(-0.2, 0.4) * out
    # Bent on the way, straight at the target.
    angles.elbow[arm] += 3.0 * out * (1 - out) - 0.15 * out
    angles.lean = angles.lean + lean * out
    angles.turn = angles.turn - 0.45 * _SIGNS[arm] * out
    angles.hip_turn = angles.hip_turn - 0.12 * _SIGNS[arm] * out
    angles.bend = angles.bend - 0.08 * _SIGNS[arm] * out
    angles.nod = angles.nod - (0.5 * height + 0.1) * out
    angles.thigh += 0.2 * lean * out
    angles.knee += 0.3 * lean * out
    angles.raised[1 - arm] += lean * out
    return angles


def _sit(rng: np.random.Generator, body: _Body, seconds: np.ndarray) -> _Angles:
    """Sits down on a chair, trunk forward on the way, hands on the lap, and stands up again."""
    angles = _Angles.standing(rng, body, seconds)
    down = _episodes(rng, seconds, rest_s=(0.3, 1.2), move_s=(1.0, 1.7), hold_s=(0.8, 2.5), levels=(0.97, 1.0))
    angles.thigh += rng.uniform(1.35, 1.5) * down
    angles.knee += rng.uniform(1.35, 1.5) * down
    angles.spread += rng.uniform(0.02, 0.1)
    angles.lean = angles.lean + rng.uniform(2.2, 2.8) * down * (1 - down) - 0.08 * down
    angles.raised += 0.45 * down + 0.6 * down * (1 - down)
    angles.elbow += 0.75 * down
    return angles


# Numbers are ours, below 50, so that the original filter keeps them.
ACTIONS: dict[str, Callable[[np.random.Generator, _Body, np.ndarray], _Angles]] = {
    "A001": _walk,
    "A002": _wave,
    "A003": _squat,
    "A004": _reach,
    "A005": _sit,
}


def _drift(rng: np.random.Generator, seconds: np.ndarray, scale: float) -> np.ndarray:
    """A smooth random curve of standard deviation ``scale`` or so, slower than a hertz."""
    hertz, phase = rng.uniform(0.05, 0.7, 4), rng.uniform(0, 2 * np.pi, 4)
    curve: np.ndarray = scale * np.sin(2 * np.pi * np.outer(seconds, hertz) + phase).sum(axis=1) / np.sqrt(2)
    return curve


def _pulse(phase: np.ndarray, centre: float, sharpness: float) -> np.ndarray:
    """A bump of height 1 once a cycle, at a fraction of it."""
    bump: np.ndarray = np.exp(sharpness * (np.cos(phase - 2 * np.pi * centre) - 1))
    return bump


def _episodes(
    rng: np.random.Generator,
    seconds: np.ndarray,
    rest_s: tuple[float, float],
    move_s: tuple[float, float],
    hold_s: tuple[float, float],
    levels: tuple[float, float] = (0.7, 1.0),
) -> np.ndarray:
    """A curve that rests at 0, moves to some level, holds it and moves back, again and again, from a random moment on.

    Source:
        Flash and Hogan 1985: people move so that jerk is least, along 10 s^3 - 15 s^4 + 6 s^5.
    """
    low, high = np.array([rest_s, move_s, hold_s, move_s]).T
    cycles = int(seconds[-1] / low.sum()) + 2
    durations = rng.uniform(low, high, (cycles, 4))
    ends = np.cumsum(durations).reshape(cycles, 4) - rng.uniform(0, durations[0].sum())
    progress = np.clip(1 - (ends[:, 1::2] - seconds[:, None, None]) / durations[:, 1::2], 0, 1)
    moved = progress**3 * (10 - 15 * progress + 6 * progress**2)  # (frames, cycles, there and back)
    curve: np.ndarray = (moved[..., 0] - moved[..., 1]) @ rng.uniform(*levels, cycles)
    return curve


def _record(body: _Body, angles: _Angles, rng: np.random.Generator) -> np.ndarray:
    """Positions before the camera, metres, float64 ``(frames, 25, 3)``, the lowest points of the feet on the floor."""
    motion = _forward_kinematics(body, angles)
    contacts = motion[:, [_joint(part, side) for part in ("Ankle", "Foot") for side in _SIDES]]
    contacts[:, :2, 1] += body.offsets[_joint("Foot", "Left"), 1]  # heels, level with the toes
    # Weight rests on what is lowest, and where weight rests the foot stays.
    weight = np.exp(-(contacts[..., 1] - contacts[..., 1].min(axis=1, keepdims=True)) / 0.012)
    weight /= weight.sum(axis=1, keepdims=True)
    steps = -np.diff(contacts, axis=0) * (weight[1:] + weight[:-1])[..., None] / 2
    root = np.zeros((len(motion), 3))
    root[1:] = np.cumsum(_smooth(steps.sum(axis=1)), axis=0)  # a body has inertia
    root[:, 1] = rng.uniform(-0.985, -0.905) - np.sum(weight * contacts[..., 1], axis=1)
    positions: np.ndarray = motion + root[:, None]
    low, high = positions.min(axis=(0, 1)), positions.max(axis=(0, 1))
    middle = np.array([0.0, 0.0, (_NEAR_M + _FAR_M) / 2])
    room = np.clip([0.4, 0.0, (_FAR_M - _NEAR_M - high[2] + low[2]) / 2], 0, 0.4)
    positions += (middle + rng.uniform(-1, 1, 3) * room - (low + high) / 2) * [1, 0, 1]
    return positions


def _smooth(curves: np.ndarray, frames: int = 11) -> np.ndarray:
    """Weighted means of curves ``(frames, n)`` over a few frames around each."""
    kernel = np.hanning(frames + 2)[1:-1]
    padded = np.pad(curves, ((frames // 2, frames // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(curve, kernel / kernel.sum(), mode="valid") for curve in padded.T], axis=1)


def _forward_kinematics(body: _Body, angles: _Angles) -> np.ndarray:
    """Positions relative to the root, ``(frames, 25, 3)``."""
    heading = _about("y", angles.heading)
    pelvis = heading @ _about("y", angles.hip_turn) @ _about("x", 0.4 * angles.lean)
    belly = heading @ _about("y", (angles.hip_turn + angles.turn) / 2) @ _trunk(angles, 0.8)
    chest = heading @ _about("y", angles.turn) @ _trunk(angles, 1.1)
    head = chest @ _about("y", angles.look) @ _about("x", angles.nod - 0.5 * angles.lean)
    upper_arm = (
        chest @ _about("z", _SIGNS * angles.abducted) @ _about("x", -angles.raised) @ _about("y", _SIGNS * angles.twist)
    )
    forearm = upper_arm @ _about("x", -angles.elbow)
    # Legs bend in planes that open as the hips sink, so that the feet stay as far apart.
    spread = np.arcsin(2 * np.sin(angles.spread) / (np.cos(angles.thigh) + np.cos(angles.knee - angles.thigh)))
    thigh = heading @ _about("z", _SIGNS * spread) @ _about("x", -angles.thigh)
    shank = thigh @ _about("x", angles.knee)
    foot = heading @ _about("x", angles.toes)
    segments = {"SpineMid": belly, "SpineShoulder": chest, "Neck": chest, "Head": head}
    for index, side in enumerate(_SIDES):
        segments |= {f"Hip{side}": pelvis, f"Shoulder{side}": chest}
        segments |= {f"Elbow{side}": upper_arm[index], f"Wrist{side}": forearm[index]}
        segments |= {f"{part}{side}": forearm[index] for part in ("Hand", "HandTip", "Thumb")}
        segments |= {f"Knee{side}": thigh[index], f"Ankle{side}": shank[index], f"Foot{side}": foot[index]}
    positions = np.zeros((len(angles.heading), KINECT_V2.n_joints, 3))
    for parent, child in KINECT_V2.bones:
        positions[:, child] = positions[:, parent] + segments[KINECT_V2.joints[child]] @ body.offsets[child]
    return positions


def _trunk(angles: _Angles, share: float) -> np.ndarray:
    trunk: np.ndarray = _about("z", -share * angles.bend) @ _about("x", share * angles.lean)
    return trunk


def _about(axis: str, angle: np.ndarray) -> np.ndarray:
    """Rotations about an axis, counter-clockwise seen from its tip, ``(..., 3, 3)``."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.zeros((*angle.shape, 3, 3))
    rotation[...] = np.eye(3)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation[..., first, first] = rotation[..., second, second] = cosine
    rotation[..., first, second], rotation[..., second, first] = -sine, sine
    return rotation


def _sensor_noise(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Correlated noise of unit standard deviation at the trunk, two to three times that at hands and feet."""
    white = rng.standard_normal((frames + 2, KINECT_V2.n_joints, 3))
    smooth = (white[:-2] + 2 * white[1:-1] + white[2:]) / np.sqrt(6)
    outer = ("Elbow", "Knee"), ("Wrist", "Ankle", "Hand"), ("Foot", "HandTip", "Thumb")
    scale = np.ones(KINECT_V2.n_joints)
    for size, parts in zip((1.5, 2.0, 2.5), outer, strict=True):
        scale[[_joint(part, side) for part in parts for side in _SIDES]] = size
    noise: np.ndarray = smooth * scale[:, None]
    return noise
