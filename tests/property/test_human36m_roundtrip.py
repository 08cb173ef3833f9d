"""What always holds for Human3.6M's files: written is read, bit for bit."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpgan_core.data.cameras import CAMERA_NUMBERS, SUBJECTS, Camera, read_cameras, write_cameras
from hpgan_core.data.human36m import read_human36m_file, write_human36m_file, y_up, z_up

WITHIN_A_KILOMETRE = st.floats(-1000, 1000, width=32)
POSITIONS = st.integers(0, 3).flatmap(
    lambda frames: arrays(np.float32, (frames, 32, 3), elements=WITHIN_A_KILOMETRE, fill=st.just(np.float32(-0.0)))
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def rotations(draw: st.DrawFn) -> np.ndarray:
    """Rotations ``(3, 3)``, from unit quaternions."""
    parts = draw(arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda parts: np.linalg.norm(parts) > 0.01))
    w, x, y, z = parts / np.linalg.norm(parts)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


CAMERAS = st.builds(
    Camera,
    rotation=rotations(),
    translation_mm=arrays(np.float64, 3, elements=NUMBERS),
    focal_px=arrays(np.float64, 2, elements=st.floats(1e-300, 1e300)),
    centre_px=arrays(np.float64, 2, elements=NUMBERS),
    radial=arrays(np.float64, 3, elements=NUMBERS),
    tangential=arrays(np.float64, 2, elements=NUMBERS),
    name=st.text(st.characters(max_codepoint=127), min_size=8, max_size=8),
)


@given(positions=POSITIONS)
def test_written_takes_are_read_bit_for_bit(positions: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.h5"
        write_human36m_file(path, positions)
        assert read_human36m_file(path).tobytes() == positions.tobytes()


@given(points=arrays(np.float64, (4, 3), elements=st.floats(allow_nan=False)))
def test_turning_upright_and_back_changes_no_bit(points: np.ndarray) -> None:
    assert z_up(y_up(points)).tobytes() == points.tobytes()
    assert y_up(z_up(points)).tobytes() == points.tobytes()


@settings(max_examples=15)
@given(kinds=st.lists(CAMERAS, min_size=1, max_size=4))
def test_written_cameras_are_read_bit_for_bit(kinds: list[Camera]) -> None:
    keys = [(subject, number) for subject in SUBJECTS for number in CAMERA_NUMBERS]
    cameras = {key: kinds[index % len(kinds)] for index, key in enumerate(keys)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.h5"
        write_cameras(path, cameras)
        read = read_cameras(path)
    assert read.keys() == cameras.keys()
    for key, written in cameras.items():
        for name, value in vars(written).items():
            assert np.asarray(vars(read[key])[name]).tobytes() == np.asarray(value).tobytes()
