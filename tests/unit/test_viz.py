"""Pictures of motions, judged by their pixels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpgan_core.data import cameras
from hpgan_core.data.cameras import Camera
from hpgan_core.data.human36m import to_world_mm
from hpgan_core.skeleton import HUMAN36M_17, HUMAN36M_32, KINECT_V2, Skeleton
from hpgan_core.viz import (
    ALARM,
    KINECT,
    OBSERVED_PAPER,
    PAUSE_S,
    SHEET_WIDTH_PX,
    SIDE_COLOURS,
    Orthographic,
    View,
    contact_sheet,
    motion_gif,
    project,
)

PAST, FUTURE, RATE_HZ = 10, 20, 30.0
FRONT = Orthographic(yaw_deg=0.0, pitch_deg=0.0)
# Two arms on a stick: the left one at -x, the right one at +x.
SCARECROW = Skeleton("scarecrow", ("root", "neck", "left", "right"), 0, ((0, 1), (1, 2), (1, 3)), ((2, 3),))
SCARECROW_POSE = np.array([[0.0, 0.0, 3.0], [0.0, 1.5, 3.0], [-0.6, 1.5, 3.0], [0.6, 1.5, 3.0]])

# Five metres from the origin of Human3.6M's world, 1.5 m above the floor, looking along the world's y.
LAB_CAMERA = Camera(
    rotation=np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    translation_mm=np.array([0.0, -5000.0, 1500.0]),
    focal_px=np.array([1145.0, 1143.8]),
    centre_px=np.array([512.5, 515.5]),
    radial=np.array([-0.2, 0.24, -0.002]),
    tangential=np.array([-0.0009, -0.0016]),
    name="54138969",
)


def scarecrow(n_frames: int = PAST + FUTURE) -> np.ndarray:
    """Hops once, ``(n_frames, 4, 3)``."""
    hop = np.sin(np.linspace(0, math.pi, n_frames))[:, None] * np.array([0.0, 0.4, 0.0])
    return SCARECROW_POSE + hop[:, None]


def sheet_of(*motions: np.ndarray, columns: list[int] | None = None, past_frames: int = PAST) -> np.ndarray:
    rows = {f"row {index}": motion for index, motion in enumerate(motions)}
    return contact_sheet(rows, SCARECROW, past_frames=past_frames, frame_rate_hz=RATE_HZ, columns=columns, view=FRONT)


def panels_of(sheet: np.ndarray, n_rows: int) -> list[np.ndarray]:
    """The rows of a sheet, without the header and the labels at the left."""
    header = 66
    height = (len(sheet) - header) // n_rows
    return [sheet[header + row * height + 2 : header + (row + 1) * height, 80:] for row in range(n_rows)]


def where(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels of exactly this colour, ``(n, 2)`` as row and column."""
    return np.argwhere((picture == colour).all(axis=-1))


def test_kinect_view_is_the_original_codes_pinhole() -> None:
    right, down, away = project(np.array([0.5, 0.3, 2.5]), KINECT)
    assert right == pytest.approx(256 + 365.6 * 0.5 / 2.5, abs=0.05)
    assert down == pytest.approx(212 - 367.2 * 0.3 / 2.5, abs=0.05)
    assert away == 2.5


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_what_is_behind_the_pinhole_is_not_a_number(z: float) -> None:
    assert np.isnan(project(np.array([0.5, 0.3, z]), KINECT)).all()


def test_viewer_in_front_sees_x_to_the_right_and_y_upward() -> None:
    assert project(np.array([1.0, 2.0, 3.0]), FRONT) == pytest.approx(np.array([1.0, -2.0, 3.0]))


def test_viewer_who_walked_a_quarter_around_sees_depth_to_the_right() -> None:
    assert project(np.array([1.0, 2.0, 3.0]), Orthographic(90.0, 0.0)) == pytest.approx(np.array([3.0, -2.0, -1.0]))


def test_viewer_who_looks_down_sees_far_points_higher() -> None:
    near, far = project(np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]]), Orthographic(0.0, 20.0))
    assert far[1] < near[1]


def test_orthographic_view_only_turns_the_scene() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    seen = project(points, Orthographic(yaw_deg=37.0, pitch_deg=21.0))
    assert np.linalg.norm(seen - seen[0], axis=1) == pytest.approx(np.linalg.norm(points - points[0], axis=1))


def test_real_camera_sees_positions_where_it_sees_them_in_its_world() -> None:
    positions = np.random.default_rng(0).normal(size=(7, 4, 3))
    pixels, depth_mm = cameras.project(to_world_mm(positions), LAB_CAMERA)
    seen = project(positions, LAB_CAMERA)
    assert np.array_equal(seen[..., :2], pixels)
    assert np.array_equal(seen[..., 2], depth_mm / 1000)


def test_real_camera_sees_height_upward_and_a_person_who_faces_it_from_the_front() -> None:
    feet, head, left_hand = project(np.array([[0.0, 0.0, 0.0], [0.0, 1.7, 0.0], [0.6, 1.4, 0.0]]), LAB_CAMERA)
    assert head[1] < feet[1]
    assert head[0] == pytest.approx(feet[0], abs=2)
    assert left_hand[0] > head[0] + 100
    assert head[2] == pytest.approx(5.0)


def test_what_is_behind_a_real_camera_is_not_a_number() -> None:
    assert np.isnan(project(np.array([0.0, 1.0, 5.1]), LAB_CAMERA)).all()


def test_sheet_is_an_rgb_picture_of_the_promised_width() -> None:
    sheet = sheet_of(scarecrow(), scarecrow())
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (SHEET_WIDTH_PX, 3)


def test_left_bones_are_blue_and_right_ones_green() -> None:
    (panel,) = panels_of(sheet_of(scarecrow(), columns=[PAST]), n_rows=1)
    left, centre, right = (where(panel, SIDE_COLOURS[side])[:, 1] for side in ("left", "centre", "right"))
    assert left.max() < centre.max() + 3
    assert right.min() > centre.min() - 3
    assert min(len(left), len(centre), len(right)) > 50


@pytest.mark.parametrize(("near", "hidden"), [("left", "right"), ("right", "left")])
def test_near_bones_cover_far_ones(near: str, hidden: str) -> None:
    folded = scarecrow()
    folded[:, 2:] = folded[:, 1:2]
    folded[:, 2:, 1] -= 0.7
    folded[:, 2 if near == "left" else 3, 2] -= 0.2
    (panel,) = panels_of(sheet_of(folded, columns=[PAST]), n_rows=1)
    assert len(where(panel, SIDE_COLOURS[near])) > 50
    assert not len(where(panel, SIDE_COLOURS[hidden]))


def test_observed_frames_are_pale_on_grey_paper_and_later_ones_are_not() -> None:
    (observed,) = panels_of(sheet_of(scarecrow(), columns=[PAST - 1]), n_rows=1)
    (future,) = panels_of(sheet_of(scarecrow(), columns=[PAST]), n_rows=1)
    assert len(where(observed, OBSERVED_PAPER)) > observed[..., 0].size / 2
    assert not len(where(future, OBSERVED_PAPER))
    assert not len(where(observed, SIDE_COLOURS["left"]))


def test_default_columns_hold_the_first_and_last_frame_of_past_and_future() -> None:
    chosen = [0, 4, 9, 10, 13, 16, 20, 23, 26, 29]
    assert np.array_equal(sheet_of(scarecrow()), sheet_of(scarecrow(), columns=chosen))


@pytest.mark.parametrize("past_frames", [0, 1, 29, 30])
def test_sheet_needs_neither_past_nor_future(past_frames: int) -> None:
    assert sheet_of(scarecrow(), past_frames=past_frames).shape[1] == SHEET_WIDTH_PX


def test_rows_share_one_scale() -> None:
    tall, short = panels_of(sheet_of(scarecrow(), scarecrow() * 0.5, columns=[PAST]), n_rows=2)
    heights = [np.ptp(where(panel, SIDE_COLOURS["centre"])[:, 0]) for panel in (tall, short)]
    assert heights[1] == pytest.approx(heights[0] / 2, abs=2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_diverged_prediction_is_named_and_leaves_the_truth_as_it_was(value: float) -> None:
    diverged = scarecrow()
    diverged[PAST + 5 :, 2] = value
    truth, prediction = panels_of(sheet_of(scarecrow(), diverged), n_rows=2)
    expected, _ = panels_of(sheet_of(scarecrow(), scarecrow()), n_rows=2)
    assert np.array_equal(truth, expected)
    assert len(where(prediction, ALARM))
    assert not len(where(truth, ALARM))


def test_sheet_of_nothing_finite_is_drawn() -> None:
    (panel,) = panels_of(sheet_of(np.full((PAST + FUTURE, 4, 3), np.nan)), n_rows=1)
    assert len(where(panel, ALARM))


def test_prediction_that_strays_does_not_shrink_the_truth() -> None:
    def truth_beside(metres: float) -> np.ndarray:
        astray = scarecrow()
        astray[PAST:] += metres
        return panels_of(sheet_of(scarecrow(), astray, columns=[0, PAST]), n_rows=2)[0]

    assert np.array_equal(truth_beside(1e3), truth_beside(1e300))
    assert np.ptp(where(truth_beside(1e300), SIDE_COLOURS["centre"])[:, 0]) > 0.3 * len(truth_beside(1e300))


def test_rows_may_be_given_room_to_stray() -> None:
    apart = scarecrow() + np.array([3.0, 0.0, 0.0])

    def in_the_picture(**room: float) -> list[bool]:
        rows = {"first": scarecrow(), "apart": apart}
        clock = {"past_frames": PAST, "frame_rate_hz": RATE_HZ}
        sheet = contact_sheet(rows, SCARECROW, columns=[PAST], view=FRONT, **clock, **room)
        return [len(where(panel, SIDE_COLOURS["right"])) > 10 for panel in panels_of(sheet, n_rows=2)]

    assert in_the_picture() == [True, False]
    assert in_the_picture(stray=3.0) == [True, True]


@pytest.mark.parametrize(("view", "has_line"), [(FRONT, True), (KINECT, False)])
def test_only_a_distant_viewer_sees_the_floor_as_a_line(view: View, has_line: bool) -> None:
    rows, clock = {"truth": scarecrow()}, {"past_frames": PAST, "frame_rate_hz": RATE_HZ}
    (panel,) = panels_of(contact_sheet(rows, SCARECROW, columns=[PAST], view=view, **clock), n_rows=1)
    drawn = (panel < 255).any(axis=-1)[:-2]  # without the line between rows
    assert drawn.all(axis=1).any() == has_line


@pytest.mark.parametrize("view", [FRONT, KINECT])
def test_kinect_skeleton_is_drawn_from_every_kind_of_view(view: View) -> None:
    motion = np.random.default_rng(0).normal(size=(3, 25, 3), scale=0.3) + np.array([0.0, 0.0, 3.0])
    sheet = contact_sheet({"truth": motion}, KINECT_V2, past_frames=1, frame_rate_hz=RATE_HZ, view=view)
    (panel,) = panels_of(sheet, n_rows=1)
    assert all(len(where(panel, colour)) > 50 for colour in SIDE_COLOURS.values())


@pytest.mark.parametrize("skeleton", [HUMAN36M_17, HUMAN36M_32], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("view", [FRONT, LAB_CAMERA], ids=["front", "camera"])
def test_human36m_skeleton_is_drawn_from_afar_and_through_a_camera(view: View, skeleton: Skeleton) -> None:
    motion = np.random.default_rng(0).normal(size=(3, skeleton.n_joints, 3), scale=0.3)
    sheet = contact_sheet({"truth": motion}, skeleton, past_frames=1, frame_rate_hz=25.0, view=view)
    (panel,) = panels_of(sheet, n_rows=1)
    assert all(len(where(panel, colour)) > 50 for colour in SIDE_COLOURS.values())


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({}, {}, "one shape"),
        ({"truth": np.zeros((30, 5, 3))}, {}, "one shape"),
        ({"truth": np.zeros((0, 4, 3))}, {}, "one shape"),
        ({"truth": scarecrow(30), "z1": scarecrow(20)}, {}, "one shape"),
        ({"truth": scarecrow()}, {"past_frames": 31}, "past_frames must be from 0 to 30, found 31"),
        ({"truth": scarecrow()}, {"past_frames": -1}, "found -1"),
        ({"truth": scarecrow()}, {"frame_rate_hz": 0.0}, "frame_rate_hz must be positive"),
        ({"truth": scarecrow()}, {"columns": [0, 30]}, "from 0 to 29"),
        ({"truth": scarecrow()}, {"columns": []}, "from 0 to 29"),
    ],
)
def test_sheet_refuses_what_it_cannot_draw(rows: dict[str, np.ndarray], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(rows, SCARECROW, **{"past_frames": PAST, "frame_rate_hz": RATE_HZ} | options)


def gif_of(path: Path, n_panels: int = 5, frame_rate_hz: float = RATE_HZ) -> Image.Image:
    panels = {f"z{index}": scarecrow() + index / 20 for index in range(n_panels)}
    motion_gif(path, panels, SCARECROW, past_frames=PAST, frame_rate_hz=frame_rate_hz, view=FRONT)
    return Image.open(path)


def frames_of(gif: Image.Image) -> list[tuple[np.ndarray, int]]:
    """Every frame in RGB with its delay in milliseconds."""
    frames = []
    for index in range(gif.n_frames):
        gif.seek(index)
        frames.append((np.asarray(gif.convert("RGB")), gif.info["duration"]))
    return frames


@pytest.mark.parametrize("frame_rate_hz", [25.0, 30.0, 50.0, 120.0])
def test_gif_plays_at_the_speed_of_life_then_rests(tmp_path: Path, frame_rate_hz: float) -> None:
    with gif_of(tmp_path / "motion.gif", frame_rate_hz=frame_rate_hz) as gif:
        delays_ms = [delay for _, delay in frames_of(gif)]
        assert sum(delays_ms) == pytest.approx(1000 * ((PAST + FUTURE) / frame_rate_hz + PAUSE_S), abs=10)
        assert min(delays_ms) >= 20
        assert gif.info["loop"] == 0


def test_gif_shows_each_frame_and_which_were_observed(tmp_path: Path) -> None:
    with gif_of(tmp_path / "motion.gif") as gif:
        pictures = [picture for picture, _ in frames_of(gif)]
    assert len(pictures) == PAST + FUTURE
    grey = [bool(np.abs(picture[40, 5].astype(int) - OBSERVED_PAPER).max() < 10) for picture in pictures]
    assert grey == [True] * PAST + [False] * FUTURE


def test_gif_is_small_enough_to_be_kept_for_every_trial(tmp_path: Path) -> None:
    gif_of(tmp_path / "motion.gif").close()
    assert (tmp_path / "motion.gif").stat().st_size < 1_500_000


def test_gif_of_a_diverged_prediction_is_drawn(tmp_path: Path) -> None:
    diverged = scarecrow()
    diverged[PAST:] = np.nan
    motion_gif(
        tmp_path / "motion.gif",
        {"truth": scarecrow(), "z1": diverged},
        SCARECROW,
        past_frames=PAST,
        frame_rate_hz=RATE_HZ,
    )
    with Image.open(tmp_path / "motion.gif") as gif:
        last, _ = frames_of(gif)[-1]
    assert (np.abs(last.astype(int) - ALARM).max(axis=-1) < 40).sum() > 20


def test_gif_is_the_same_file_every_time(tmp_path: Path) -> None:
    for name in ("one.gif", "two.gif"):
        gif_of(tmp_path / name).close()
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()


def test_gif_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "motion.gif"
    path.write_text("old")
    gif_of(path).close()
    assert path.read_bytes().startswith(b"GIF89a")
    assert list(tmp_path.iterdir()) == [path]


def test_gif_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "motion.gif"
    path.write_text("old")
    with pytest.raises(ValueError, match="one shape"):
        motion_gif(path, {"truth": scarecrow()}, KINECT_V2, past_frames=PAST, frame_rate_hz=RATE_HZ)
    assert path.read_text() == "old"
