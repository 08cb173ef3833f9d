"""Human3.6M's ``cameras.h5``: four calibrated cameras for each of seven subjects, read, written and looked through.

Groups ``subject1/camera1`` to ``subject11/camera4`` hold float64 datasets: ``R`` (3, 3), the transpose of the rotation;
``T`` (3, 1) in millimetres; ``f`` and ``c`` (2, 1) in pixels; ``k`` (3, 1); ``p`` (2, 1); ``Name`` (8, 1), character
codes. Beside them lies ``3dtest`` (96, 1), one pose in millimetres.

Source:
    Ionescu et al. 2014, "Human3.6M", IEEE TPAMI 36(7), in the layout that Martinez et al. 2017, arXiv:1705.03098,
    and the original HP-GAN read.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpgan_core.data.safe_hdf5 import open_hdf5, read_dataset
from hpgan_core.errors import MalformedRecording

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
CAMERA_NUMBERS = (1, 2, 3, 4)

_TEST_POSE, _TEST_POSE_SHAPE = "3dtest", (32, 3)
_NAME_LENGTH = 8
_ORTHONORMAL = 1e-6  # largest deviation of a product of the rotation's rows


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera in the world of Human3.6M, float64.

    Attributes:
        rotation: from the world's axes to the camera's (right, down, away), ``(3, 3)``.
        translation_mm: where the camera stands, ``(3,)``.
        focal_px: ``(2,)``.
        centre_px: where in the picture it looks, ``(2,)``.
        radial: coefficients of distortion by r², r⁴ and r⁶, ``(3,)``.
        tangential: coefficients of tangential distortion, ``(2,)``.
        name: its serial number, eight characters.
    """

    rotation: np.ndarray
    translation_mm: np.ndarray
    focal_px: np.ndarray
    centre_px: np.ndarray
    radial: np.ndarray
    tangential: np.ndarray
    name: str


def project(world_mm: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera sees points.

    Args:
        world_mm: points of the world, z up, ``(..., 3)``.
        camera: one of ``read_cameras``.

    Returns:
        Pixels, right and down from the top left, ``(..., 2)``, and distance along the camera's axis in millimetres,
        ``(...)``. Both are NaN for points that are not in front of the camera.

    Source:
        The 3d-pose-baseline of Martinez et al. 2017, and ebarsoum/hpgan. The factor of the position holds both radial
        and tangential distortion, which gives ``p1 x y + p2 (r² + x²)`` for x; OpenCV has twice ``p1 x y`` and
        ``p2 (r² + 2 x²)``.
    """
    seen = (np.asarray(world_mm, dtype=np.float64) - camera.translation_mm) @ camera.rotation.T
    depth_mm = np.where(seen[..., 2] > 0, seen[..., 2], np.nan)
    (k1, k2, k3), (p1, p2) = camera.radial, camera.tangential
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = np.moveaxis(seen[..., :2] / depth_mm[..., None], -1, 0)
        r2 = x**2 + y**2
        factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * y + p2 * x
        distorted = np.stack([x * factor + p2 * r2, y * factor + p1 * r2], axis=-1)
        return camera.focal_px * distorted + camera.centre_px, depth_mm


def read_cameras(path: str | Path) -> dict[tuple[str, int], Camera]:
    """All cameras of ``cameras.h5`` by subject and number: ``cameras["S9", 2]``.

    The original code draws what camera 2 sees.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: a camera of the seven subjects is missing or does not follow the format, its rotation is
            none, or its focal length is not positive.
    """
    with open_hdf5(path) as file:
        return {key: _read_camera(file, _group(*key)) for key in itertools.product(SUBJECTS, CAMERA_NUMBERS)}


def read_test_pose(path: str | Path) -> np.ndarray:
    """The pose beside the cameras: world, millimetres, float64 ``(32, 3)``.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: there is no such pose.
    """
    with open_hdf5(path) as file:
        return read_dataset(file, _TEST_POSE, shape=(96, 1)).astype(np.float64).reshape(_TEST_POSE_SHAPE)


def write_cameras(
    path: str | Path, cameras: Mapping[tuple[str, int], Camera], test_pose_mm: np.ndarray | None = None
) -> None:
    """Write ``cameras.h5``; ``read_cameras`` gives the same numbers back, bit for bit.

    Args:
        path: the file, replaced if it exists.
        cameras: by subject and number, as ``read_cameras`` gives them.
        test_pose_mm: a pose to lie beside them, ``(32, 3)``.

    Raises:
        ValueError: not the four cameras of each of the seven subjects, or a name that is not eight ASCII characters.
    """
    if set(cameras) != set(itertools.product(SUBJECTS, CAMERA_NUMBERS)):
        raise ValueError(f"cameras must be {CAMERA_NUMBERS} of each of {SUBJECTS}, found {sorted(cameras)}")
    for camera in cameras.values():
        if len(camera.name) != _NAME_LENGTH or not camera.name.isascii():
            raise ValueError(f"a camera's name must be {_NAME_LENGTH} ASCII characters, found {camera.name!r}")
    with h5py.File(path, "w") as file:
        for key, camera in cameras.items():
            columns = {
                "T": camera.translation_mm,
                "f": camera.focal_px,
                "c": camera.centre_px,
                "k": camera.radial,
                "p": camera.tangential,
                "Name": [ord(character) for character in camera.name],
            }
            group = file.create_group(_group(*key))
            group["R"] = np.asarray(camera.rotation, dtype=np.float64).T
            for name, column in columns.items():
                group[name] = np.asarray(column, dtype=np.float64).reshape(-1, 1)
        if test_pose_mm is not None:
            file[_TEST_POSE] = np.asarray(test_pose_mm, dtype=np.float64).reshape(_TEST_POSE_SHAPE).reshape(-1, 1)


def _group(subject: str, number: int) -> str:
    return f"subject{subject.removeprefix('S')}/camera{number}"


def _read_camera(file: h5py.File, group: str) -> Camera:
    def column(name: str, length: int) -> np.ndarray:
        return read_dataset(file, f"{group}/{name}", shape=(length, 1)).astype(np.float64)[:, 0]

    rotation = read_dataset(file, f"{group}/R", shape=(3, 3)).astype(np.float64).T
    with np.errstate(over="ignore", invalid="ignore"):
        skew = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not (skew <= _ORTHONORMAL and np.linalg.det(rotation) > 0):
        raise MalformedRecording(file.filename, f"a rotation in {group}/R", f"{rotation.T.tolist()}")
    focal_px = column("f", 2)
    if not (focal_px > 0).all():
        raise MalformedRecording(file.filename, f"positive focal lengths in {group}/f", f"{focal_px.tolist()}")
    codes = column("Name", _NAME_LENGTH)
    if not np.isin(codes, range(128)).all():
        raise MalformedRecording(file.filename, f"ASCII codes in {group}/Name", f"{codes.tolist()}")
    name = "".join(map(chr, codes.astype(int)))
    return Camera(rotation, column("T", 3), focal_px, column("c", 2), column("k", 3), column("p", 2), name)
