"""Human3.6M's cameras: the file they are kept in and what they see."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpgan_core.data.cameras import (
    CAMERA_NUMBERS,
    SUBJECTS,
    Camera,
    project,
    read_cameras,
    read_test_pose,
    write_cameras,
)
from hpgan_core.errors import MalformedRecording

SERIAL_NUMBERS = ("54138969", "55011271", "58860488", "60457274")
FIELDS = ("rotation", "translation_mm", "focal_px", "centre_px", "radial", "tangential")
TEST_POSE = np.random.default_rng(1).normal(size=(32, 3)) * 1000


def camera(seed: int = 0, name: str = SERIAL_NUMBERS[0]) -> Camera:
    """Somewhere on a circle around the origin, looking at it, with a lens like the real ones'."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(0, 2 * math.pi)
    stand = np.array([5000 * math.cos(angle), 5000 * math.sin(angle), 1500.0])
    away = (np.array([0.0, 0.0, 900.0]) - stand) / np.linalg.norm(np.array([0.0, 0.0, 900.0]) - stand)
    right = np.cross(away, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(away, [0.0, 0.0, 1.0]))
    return Camera(
        rotation=np.stack([right, np.cross(away, right), away]),
        translation_mm=stand,
        focal_px=generator.uniform(1145, 1150, 2),
        centre_px=generator.uniform(509, 520, 2),
        radial=np.array([-0.2, 0.24, -0.002]) * generator.uniform(0.9, 1.1, 3),
        tangential=np.array([-0.0009, -0.0016]) * generator.uniform(0.9, 1.1, 2),
        name=name,
    )


def rig() -> dict[tuple[str, int], Camera]:
    return {
        (subject, number): camera(10 * index + number, SERIAL_NUMBERS[number - 1])
        for index, subject in enumerate(SUBJECTS)
        for number in CAMERA_NUMBERS
    }


@pytest.fixture
def cameras_file(tmp_path: Path) -> Path:
    write_cameras(tmp_path / "cameras.h5", rig(), TEST_POSE)
    return tmp_path / "cameras.h5"


def plainly_projected(point: np.ndarray, eye: Camera) -> tuple[float, float]:
    """The formula written out, a number at a time."""
    seen = [
        sum(eye.rotation[row, axis] * (point[axis] - eye.translation_mm[axis]) for axis in range(3)) for row in range(3)
    ]
    x, y = seen[0] / seen[2], seen[1] / seen[2]
    r2 = x * x + y * y
    radial = 1 + eye.radial[0] * r2 + eye.radial[1] * r2 * r2 + eye.radial[2] * r2 * r2 * r2
    tangential = eye.tangential[0] * y + eye.tangential[1] * x
    u = x * (radial + tangential) + eye.tangential[1] * r2
    v = y * (radial + tangential) + eye.tangential[0] * r2
    return eye.focal_px[0] * u + eye.centre_px[0], eye.focal_px[1] * v + eye.centre_px[1]


def test_projection_agrees_with_the_formula_written_out() -> None:
    points = np.random.default_rng(3).normal(size=(20, 3)) * 800 + np.array([0.0, 0.0, 900.0])
    for eye in rig().values():
        pixels, depth_mm = project(points, eye)
        assert pixels == pytest.approx(np.array([plainly_projected(point, eye) for point in points]), rel=1e-12)
        assert depth_mm == pytest.approx([(eye.rotation @ (point - eye.translation_mm))[2] for point in points])


def test_a_point_on_the_axis_lands_on_the_centre_at_its_distance() -> None:
    eye = camera()
    pixels, depth_mm = project(eye.translation_mm + 5500 * eye.rotation[2], eye)
    assert pixels == pytest.approx(eye.centre_px, abs=1e-6)
    assert depth_mm == pytest.approx(5500)


def test_what_is_higher_in_the_world_is_higher_in_the_picture_and_right_is_right() -> None:
    eye = replace(camera(), radial=np.zeros(3), tangential=np.zeros(2))
    feet, head, beside = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1700.0], 500 * eye.rotation[0]])
    (feet, head, beside), _ = project(np.stack([feet, head, beside]), eye)
    assert head[1] < feet[1] - 300
    assert head[0] == pytest.approx(feet[0])
    assert beside[0] > feet[0] + 100


def test_tangential_distortion_is_the_data_sets_and_not_opencvs() -> None:
    p1, p2 = 0.01, -0.02
    eye = Camera(np.eye(3), np.zeros(3), np.ones(2), np.zeros(2), np.zeros(3), np.array([p1, p2]), "anything")
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    pixels, _ = project(np.array([x, y, 1.0]) * 2000, eye)
    assert pixels == pytest.approx([x + p1 * x * y + p2 * (r2 + x * x), y + p2 * x * y + p1 * (r2 + y * y)], rel=1e-12)
    opencv = [x + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)]
    assert pixels != pytest.approx(opencv, rel=1e-6)


@pytest.mark.parametrize("distance_mm", [0.0, -1.0, -5000.0])
def test_what_is_not_in_front_of_the_camera_is_not_a_number(distance_mm: float) -> None:
    eye = replace(camera(), rotation=np.eye(3), translation_mm=np.zeros(3))
    pixels, depth_mm = project(np.array([[100.0, 100.0, distance_mm], [100.0, 100.0, 4000.0]]), eye)
    assert np.isnan(pixels[0]).all()
    assert np.isnan(depth_mm[0])
    assert np.isfinite(pixels[1]).all()


def test_a_point_at_the_edge_of_float64_raises_no_warning() -> None:
    pixels, _ = project(
        np.array([1e300, 0.0, 1e-300]), replace(camera(), rotation=np.eye(3), translation_mm=np.zeros(3))
    )
    assert not np.isfinite(pixels).all()


def test_written_cameras_are_read_bit_for_bit(cameras_file: Path) -> None:
    read = read_cameras(cameras_file)
    assert list(read) == [(subject, number) for subject in SUBJECTS for number in CAMERA_NUMBERS]
    for key, written in rig().items():
        assert read[key].name == written.name
        for field in FIELDS:
            assert getattr(read[key], field).tobytes() == getattr(written, field).tobytes()
    assert read_test_pose(cameras_file).tobytes() == TEST_POSE.tobytes()


def test_the_file_is_laid_out_as_the_originals(cameras_file: Path) -> None:
    eye = rig()["S11", 4]
    with h5py.File(cameras_file) as file:
        objects: list[str] = []
        file.visit(objects.append)
        assert len(objects) == 232
        assert file["3dtest"].shape == (96, 1)
        group = file["subject11/camera4"]
        shapes = {name: group[name].shape for name in group}
        assert shapes == {
            "R": (3, 3), "T": (3, 1), "f": (2, 1), "c": (2, 1), "k": (3, 1), "p": (2, 1), "Name": (8, 1)
        }  # fmt: skip
        assert {group[name].dtype for name in group} == {np.dtype("f8")}
        assert np.array_equal(group["R"][...], eye.rotation.T)
        assert group["Name"][:, 0].tolist() == [54, 48, 52, 53, 55, 50, 55, 52]


def test_a_file_without_a_test_pose_is_written_and_says_so(tmp_path: Path) -> None:
    write_cameras(tmp_path / "cameras.h5", rig())
    assert len(read_cameras(tmp_path / "cameras.h5")) == 28
    with pytest.raises(MalformedRecording, match="dataset 3dtest, found no 3dtest"):
        read_test_pose(tmp_path / "cameras.h5")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("subject9", None, "dataset subject9/camera1/R, found no subject9 in /"),
        ("subject9/camera3", None, "dataset subject9/camera3/R, found no camera3 in /subject9"),
        ("subject9/camera3/k", None, "dataset subject9/camera3/k, found no k"),
        ("subject9/camera3/T", np.zeros(3), "subject9/camera3/T of shape 3 × 1"),
        ("subject9/camera3/T", np.full((3, 1), np.inf), "finite values in dataset subject9/camera3/T"),
        ("subject9/camera3/R", np.eye(3) * 1.001, "a rotation in subject9/camera3/R"),
        ("subject9/camera3/R", np.diag([1.0, 1.0, -1.0]), "a rotation in subject9/camera3/R"),
        ("subject9/camera3/R", np.zeros((3, 3)), "a rotation in subject9/camera3/R"),
        ("subject9/camera3/R", np.full((3, 3), 1e300), "a rotation in subject9/camera3/R"),
        ("subject9/camera3/f", np.array([[1145.0], [0.0]]), "positive focal lengths in subject9/camera3/f"),
        ("subject9/camera3/Name", np.full((8, 1), 54.5), "ASCII codes in subject9/camera3/Name"),
        ("subject9/camera3/Name", np.full((8, 1), 1e300), "ASCII codes in subject9/camera3/Name"),
        ("subject9/camera3/f", h5py.ExternalLink("/etc/passwd", "/f"), "a link to elsewhere at f"),
    ],
)
def test_what_breaks_the_format_is_named(cameras_file: Path, name: str, value: Any, message: str) -> None:
    with h5py.File(cameras_file, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(MalformedRecording, match=message) as caught:
        read_cameras(cameras_file)
    assert caught.value.path == cameras_file


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        ({key: eye for key, eye in rig().items() if key != ("S9", 3)}, "cameras must be"),
        (rig() | {("S2", 1): camera()}, "cameras must be"),
        (rig() | {("S9", 3): camera(name="1234567")}, "8 ASCII characters, found '1234567'"),
        (rig() | {("S9", 3): camera(name="1234567é")}, "8 ASCII characters"),
    ],
)
def test_what_does_not_fit_the_format_is_not_written(
    tmp_path: Path, cameras: dict[tuple[str, int], Camera], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_cameras(tmp_path / "cameras.h5", cameras)
    assert not list(tmp_path.iterdir())
