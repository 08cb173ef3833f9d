"""NTU RGB+D text: what is read, what is refused and where, what is left out and why."""

import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from hpgan_core.data.ntu_rgbd import (
    MISSING_LISTS,
    list_ntu_rgbd,
    read_ntu_rgbd,
    read_skeleton_file,
    write_skeleton_file,
)
from hpgan_core.data.recordings import Recording, Rejected
from hpgan_core.data.synthetic import synthesise
from hpgan_core.errors import BadInput, MalformedRecording

PERSON = 72057594037944738
PASSER_BY = PERSON + 1  # the same number in float64

Body = tuple[int, np.ndarray]  # id and joints (25, 3)


@pytest.fixture(scope="module")
def walker() -> np.ndarray:
    return synthesise(people=1, clips_per_action=1, frames=60).clips[0].positions


def joint_line(position: Iterable[float], state: int = 2, pixel: str = "1.5") -> str:
    return " ".join([*map(repr, map(float, position)), pixel, pixel, pixel, pixel, "0 0 0 0", str(state)])


def body_lines(body: Body) -> list[str]:
    return [f"{body[0]} 0 0 0 0 0 0 0.1 -0.2 2", "25", *map(joint_line, body[1])]


def lines_of(frames: Sequence[Sequence[Body]]) -> list[str]:
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        lines += [line for body in bodies for line in body_lines(body)]
    return lines


def write_lines(path: Path, lines: list[str], newline: str = "\n") -> Path:
    path.write_bytes((newline.join(lines) + newline).encode())
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "S001C001P001R001A001.skeleton"


def fault_of(path: Path) -> MalformedRecording:
    with pytest.raises(MalformedRecording) as caught:
        read_skeleton_file(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    return caught.value


def test_one_body_is_read_as_written(clip: Path, walker: np.ndarray) -> None:
    read = read_skeleton_file(write_lines(clip, lines_of([[(PERSON, pose)] for pose in walker])))
    assert read.dtype == np.float32
    assert np.array_equal(read, walker)


@pytest.mark.parametrize("number", ["-1.5e-05", "+2", ".25", "-0", "3.", "0.12345678901234567", "1234567.125"])
def test_any_form_of_number_is_read_as_python_reads_it(clip: Path, walker: np.ndarray, number: str) -> None:
    lines = lines_of([[(PERSON, walker[0])]])
    lines[4] = f"{number} 1 2 0 0 0 0 0 0 0 0 2"
    assert read_skeleton_file(write_lines(clip, lines))[0, 0].tobytes() == np.float32([number, 1, 2]).tobytes()


def test_carriage_returns_change_nothing(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines, newline="\r\n")), walker)


def test_a_byte_order_mark_changes_nothing(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[0] = "\ufeff" + lines[0]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines)), walker)


def test_other_blanks_between_fields_and_at_the_end_change_nothing(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4] = "  " + lines[4].replace(" ", "\t ")
    assert np.array_equal(read_skeleton_file(write_lines(clip, [*lines, "", " "])), walker)


def test_a_missing_last_newline_changes_nothing(clip: Path, walker: np.ndarray) -> None:
    clip.write_text("\n".join(lines_of([[(PERSON, pose)] for pose in walker])))
    assert np.array_equal(read_skeleton_file(clip), walker)


def test_pixels_may_be_nan(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4] = joint_line(walker[0, 0], pixel="NaN")
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines)), walker)


def test_bodies_are_told_apart_by_all_64_bits_and_the_one_that_moves_most_is_kept(
    clip: Path, walker: np.ndarray
) -> None:
    bystander = np.repeat(walker[:1] + np.float32([1, 0, 0]), len(walker), axis=0)
    frames = [[(PASSER_BY, still), (PERSON, pose)] for still, pose in zip(bystander, walker, strict=True)]
    frames[10] = frames[10][::-1]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker)


def test_a_brief_visitor_is_not_the_main_person_however_much_they_move(clip: Path, walker: np.ndarray) -> None:
    frames = [[(PERSON, pose)] for pose in walker]
    for index in range(5):
        frames[index].insert(0, (PASSER_BY, walker[index] + np.float32(10 * index)))
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker)


def test_a_body_wider_than_tall_is_taken_for_furniture_only_beside_another(clip: Path, walker: np.ndarray) -> None:
    sofa = 3 * walker[..., [1, 0, 2]]
    both = [[(PASSER_BY, wide), (PERSON, pose)] for wide, pose in zip(sofa, walker, strict=True)]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(both))), walker)
    alone = [[(PASSER_BY, wide)] for wide in sofa]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(alone))), sofa)


@pytest.mark.parametrize("switch", [1, 30, 59])
def test_a_person_whose_id_switches_is_one_person(clip: Path, walker: np.ndarray, switch: int) -> None:
    frames = [[(PERSON + (index >= switch), pose)] for index, pose in enumerate(walker)]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker)


def test_two_people_who_swap_ids_for_new_ones_stay_apart(clip: Path, walker: np.ndarray) -> None:
    aside = np.repeat(walker[:1] + np.float32([1.5, 0, 0]), len(walker), axis=0)
    frames: list[list[Body]] = [[(PERSON, walker[t]), (PASSER_BY, aside[t])] for t in range(30)]
    frames += [[(PERSON + 2, aside[t]), (PERSON + 3, walker[t])] for t in range(30, 60)]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker)


@pytest.mark.parametrize("first", [PERSON, PASSER_BY])
def test_two_people_who_swap_their_ids_stay_apart(clip: Path, walker: np.ndarray, first: int) -> None:
    aside = np.repeat(walker[:1] + np.float32([1.5, 0, 0]), len(walker), axis=0)
    other = PERSON + PASSER_BY - first
    frames: list[list[Body]] = [[(first, walker[t]), (other, aside[t])] for t in range(30)]
    frames += [[(first, aside[t]), (other, walker[t])] for t in range(30, 45)]
    frames += [[(other, aside[t]), (first, walker[t])] for t in range(45, 60)]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker)


def test_a_leap_to_where_nobody_was_ends_nobody(clip: Path, walker: np.ndarray) -> None:
    leaping = walker + np.where(np.arange(60) < 30, 0, 0.5).astype(np.float32)[:, None, None]
    frames = [[(PASSER_BY, walker[0] + np.float32(3)), (PERSON, pose)] for pose in leaping]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), leaping)


@pytest.mark.parametrize(("aside_m", "empty"), [(0.3, 0), (0.0, 1)], ids=["elsewhere", "later"])
def test_another_id_elsewhere_or_later_is_another_person(
    clip: Path, walker: np.ndarray, aside_m: float, empty: int
) -> None:
    still = np.repeat(walker[:1], 60, axis=0)
    frames: list[list[Body]] = [[(PERSON, pose)] for pose in still[:45]]
    frames += [[]] * empty
    frames += [[(PASSER_BY, pose + np.float32([aside_m, 0, 0]))] for pose in still[45:]]
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), still[:45])


def test_empty_frames_are_trimmed_at_the_ends_and_cut_the_clip_inside(clip: Path, walker: np.ndarray) -> None:
    frames: list[list[Body]] = [[(PERSON, pose)] for pose in walker]
    frames[0] = frames[20] = frames[-1] = []
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines_of(frames))), walker[21:-1])


def test_a_frame_with_a_lost_joint_shows_nobody(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4] = joint_line((0, 0, 0), state=0, pixel="NaN")
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines)), walker[1:])


def test_an_untracked_joint_with_a_position_counts(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4] = joint_line(walker[0, 0], state=0)
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines)), walker)


def test_a_tracked_joint_at_the_origin_counts(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4], lines[5] = joint_line((0, 0, 0), state=1), joint_line(walker[0, 1], state=0)
    assert len(read_skeleton_file(write_lines(clip, lines))) == 60


def test_an_untracked_joint_without_numbers_is_lost(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[4] = joint_line((np.nan, np.inf, -1e300), state=0).replace("nan", "NaN").replace("inf", "1e999")
    assert np.array_equal(read_skeleton_file(write_lines(clip, lines)), walker[1:])


def test_a_clip_without_bodies_has_no_frames(clip: Path) -> None:
    assert read_skeleton_file(write_lines(clip, ["3", "0", "0", "0"])).shape == (0, 25, 3)
    write_skeleton_file(clip, np.zeros((0, 25, 3)))
    assert clip.read_text() == "0\n"


@pytest.mark.parametrize(
    ("line", "content", "expected"),
    [
        (1, "many", "numbers"),
        (1, "1.5", "the number of frames, at most 100000"),
        (1, "100001", "the number of frames, at most 100000"),
        (2, "-1", "the number of bodies of frame 1 of 60, at most 6"),
        (2, "7", "the number of bodies of frame 1 of 60, at most 6"),
        (3, "1 0 0", "10 fields for a body of frame 1 of 60"),
        (3, "1e9 0 0 0 0 0 0 0 0 2", "an integer body id"),
        (3, "-12345678901234567890 0 0 0 0 0 0 0 0 2", "an integer body id"),
        (4, "24", "25 joints"),
        (5, "1 2 3", "12 fields for joint SpineBase of frame 1 of 60"),
        (6, "1 1.2.3 3 0 0 0 0 0 0 0 0 2", "a number in field 2 of joint SpineMid of frame 1 of 60"),
        (6, "1 ? 3 0 0 0 0 0 0 0 0 2", "numbers"),
        (7, "NaN 2 3 0 0 0 0 0 0 0 0 2", "finite coordinates of joint Neck of frame 1 of 60, which is tracked"),
        (7, "1 2 1e39 0 0 0 0 0 0 0 0 1", "finite coordinates of joint Neck of frame 1 of 60, which is tracked"),
        (8, "1 2 3 0 0 0 0 0 0 0 0 3", "a tracking state of 0, 1 or 2 in field 12 of joint Head of frame 1 of 60"),
        (30, "", "the number of bodies of frame 2 of 60, at most 6"),
    ],
)
def test_a_fault_is_named_with_its_line(clip: Path, walker: np.ndarray, line: int, content: str, expected: str) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    lines[line - 1] = content
    fault = fault_of(write_lines(clip, lines))
    assert (fault.line, fault.expected) == (line, expected)


@pytest.mark.parametrize("lost", [3, 4, 5, 17, 29])
def test_a_lost_line_is_found_before_it_misleads(clip: Path, walker: np.ndarray, lost: int) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker])
    del lines[lost - 1]
    assert lost <= (fault_of(write_lines(clip, lines)).line or 0) <= 29


def test_a_file_cut_at_any_line_is_refused_at_its_end(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker[:3]])
    for kept in range(1, len(lines)):
        fault = fault_of(write_lines(clip, lines[:kept]))
        assert (fault.line, fault.found) == (kept + 1, "the end of the file")


def test_an_empty_file_is_refused(clip: Path) -> None:
    clip.write_bytes(b"")
    assert fault_of(clip).line == 1


def test_lines_after_the_last_frame_are_refused(clip: Path, walker: np.ndarray) -> None:
    lines = lines_of([[(PERSON, walker[0])]])
    fault = fault_of(write_lines(clip, [*lines, "0"]))
    assert (fault.line, fault.expected) == (len(lines) + 1, "the end of the file after 1 frames")


@pytest.mark.parametrize("count", ["100000000000000", "9" * 5000])
@pytest.mark.parametrize("line", [1, 2, 4])
def test_absurd_counts_are_refused_without_being_believed(
    clip: Path, walker: np.ndarray, line: int, count: str
) -> None:
    lines = lines_of([[(PERSON, pose)] for pose in walker[:2]])
    lines[line - 1] = count
    fault_of(write_lines(clip, lines))


def test_a_file_longer_than_any_recording_is_refused_unread(clip: Path) -> None:
    clip.touch()
    os.truncate(clip, 2**40)
    assert fault_of(clip).expected == "at most 67108864 bytes, 12 minutes of one person"


def test_a_file_of_more_frames_than_any_recording_is_refused(clip: Path) -> None:
    assert len(read_skeleton_file(write_lines(clip, ["100000", *["0"] * 100_000]))) == 0
    assert fault_of(write_lines(clip, ["100001", *["0"] * 100_001])).line == 1


def test_two_bodies_of_one_id_in_a_frame_are_refused(clip: Path, walker: np.ndarray) -> None:
    fault = fault_of(write_lines(clip, lines_of([[(PERSON, walker[0]), (PERSON, walker[1])]])))
    assert (fault.line, fault.expected) == (30, "one body of each id in frame 1 of 1")


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.skeleton cannot be read: No such file"):
        read_skeleton_file(tmp_path / "gone.skeleton")


def test_the_writer_keeps_to_the_format(clip: Path, walker: np.ndarray) -> None:
    write_skeleton_file(clip, walker[:2], body_id=PERSON, tracking=1)
    lines = clip.read_text().splitlines()
    assert lines[:4] == ["2", "1", f"{PERSON} 0 0 0 0 0 0 0 0 2", "25"]
    assert {len(line.split()) for line in lines[4:29]} == {12}
    assert {line.split()[-1] for line in lines[4:29]} == {"1"}
    assert len(lines) == 1 + 2 * 28


def test_depth_pixels_are_those_of_the_kinect_pinhole(clip: Path) -> None:
    ahead, edge = (0.0, 0.0, 3.0), (np.tan(np.radians(35)), np.tan(np.radians(30)), 1.0)
    behind = (0.1, 0.1, -1.0)
    write_skeleton_file(clip, np.array([[ahead, edge, behind] + [ahead] * 22]))
    pixels = [line.split()[3:5] for line in clip.read_text().splitlines()[4:7]]
    assert np.allclose(np.array(pixels[:2], dtype=float), [[256, 212], [512, 0]], atol=1e-3)
    assert pixels[2] == ["NaN", "NaN"]


@pytest.mark.parametrize("positions", [np.zeros((4, 24, 3)), np.zeros((25, 3)), np.full((1, 25, 3), np.nan)])
def test_the_writer_refuses_what_it_could_not_read_back(clip: Path, positions: np.ndarray) -> None:
    with pytest.raises(ValueError, match="positions must be"):
        write_skeleton_file(clip, positions)
    assert not clip.exists()


@pytest.fixture
def folder(tmp_path: Path, walker: np.ndarray) -> Path:
    (tmp_path / "later" / "deeper").mkdir(parents=True)
    for name in (
        "later/S001C001P002R001A001",
        "S002C001P001R001A001",
        "later/deeper/S001C001P001R001A049",
        "S001C001P001R002A001",
        "S001C001P001R001A050",
        "my_recording",
    ):
        write_skeleton_file(tmp_path / f"{name}.skeleton", walker)
    write_skeleton_file(tmp_path / "S001C001P003R001A001.skeleton", walker[:59])
    (tmp_path / "readme.txt").write_text("not a recording")
    return tmp_path


def test_a_folder_is_read_in_the_order_of_names_through_the_original_filter(folder: Path) -> None:
    recordings = read_ntu_rgbd(folder)
    assert [(clip.name, clip.subject, clip.action) for clip in recordings.clips] == [
        ("S001C001P001R001A049", "P001", "A049"),
        ("S001C001P002R001A001", "P002", "A001"),
        ("S002C001P001R001A001", "P001", "A001"),
    ]
    assert recordings.frame_rate_hz == 30
    assert {reject.path.name: reject.reason for reject in recordings.rejected} == {
        "S001C001P001R001A050.skeleton": "action A050 is above A049",
        "S001C001P001R002A001.skeleton": "replication R002 is not R001",
        "S001C001P003R001A001.skeleton": "59 unbroken frames of one person, fewer than 60",
        "my_recording.skeleton": "its name does not follow SsssCcccPpppRrrrAaaa, which tells who moves (P) and what "
        "they do (A)",
    }


def test_the_filter_is_adjustable(folder: Path) -> None:
    recordings = read_ntu_rgbd(folder, max_action=None, replication=None, min_frames=59)
    assert len(recordings.clips) == 6
    assert [reject.path.name for reject in recordings.rejected] == ["my_recording.skeleton"]


def test_a_name_counts_once(folder: Path, walker: np.ndarray) -> None:
    write_skeleton_file(folder / "later" / "S002C001P001R001A001.skeleton", walker)
    recordings = read_ntu_rgbd(folder)
    assert len(recordings.clips) == 3
    first = folder / "S002C001P001R001A001.skeleton"
    assert f"{first} has the same name" in {reject.reason for reject in recordings.rejected}


def test_a_malformed_file_stops_the_reading_of_its_folder(folder: Path) -> None:
    (folder / "S001C001P009R001A001.skeleton").write_text("60\n1\n")
    with pytest.raises(
        MalformedRecording, match=r"P009R001A001\.skeleton:3: expected 10 fields for a body of frame 1 of 60"
    ):
        read_ntu_rgbd(folder)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: root, "does not exist; give a folder"),
        (lambda root: root.touch() or root, "is a file; give a folder"),
        (lambda root: root.mkdir() or root, r"holds no \.skeleton files, at any depth"),
    ],
    ids=["missing", "file", "empty"],
)
def test_a_root_that_is_no_folder_of_recordings_is_refused(
    tmp_path: Path, prepare: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        read_ntu_rgbd(prepare(tmp_path / "root"))


def test_a_folder_where_nothing_passes_the_filter_says_how_to_relax_it(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"none of 7 \.skeleton files passes the filter .*relax max_action"):
        read_ntu_rgbd(folder, min_frames=61)


def test_a_clip_needs_a_frame(folder: Path) -> None:
    with pytest.raises(BadInput, match="min_frames = 0 must be 1 or more"):
        read_ntu_rgbd(folder, min_frames=0)


def test_listing_opens_no_clip_and_crosses_to_other_processes(folder: Path) -> None:
    for clip in folder.rglob("*.skeleton"):
        clip.write_bytes(b"")
    source = pickle.loads(pickle.dumps(list_ntu_rgbd(folder)))
    assert [path.stem for path in source.paths] == [
        "S001C001P001R001A049",
        "S001C001P002R001A001",
        "S001C001P003R001A001",
        "S002C001P001R001A001",
    ]
    assert len(source.rejected) == 3
    with pytest.raises(MalformedRecording):
        source.read(source.paths[0])


def test_a_source_reads_one_file_at_a_time(folder: Path, walker: np.ndarray) -> None:
    source = list_ntu_rgbd(folder)
    recording, too_short = source.read(source.paths[1]), source.read(source.paths[2])
    assert isinstance(recording, Recording)
    assert (recording.name, recording.subject, recording.action) == ("S001C001P002R001A001", "P002", "A001")
    assert np.array_equal(recording.positions, walker)
    assert too_short == Rejected(source.paths[2], "59 unbroken frames of one person, fewer than 60")


def test_what_is_no_file_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "S009C001P001R001A001.skeleton")
    (folder / "S009C001P002R001A001.skeleton").symlink_to("nowhere")
    (folder / "S009C001P003R001A001.skeleton").symlink_to("S009C001P003R001A001.skeleton")
    reasons = {reject.path.name: reject.reason for reject in read_ntu_rgbd(folder).rejected}
    for person in (1, 2, 3):
        assert reasons[f"S009C001P00{person}R001A001.skeleton"] == "it is no file"


HEADER = "The following clips have missing\nor incomplete skeletons.\n\n"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "S001C001P002R001A001\nS017C003P020R002A060\n",
        "S001C001P002R001A001",
        "\ufeff" + HEADER.replace("\n", "\r\n") + "S017C003P020R002A060\r\n\r\n S001C001P002R001A001 \r\n",
    ],
    ids=["as published", "one name", "from Windows"],
)
@pytest.mark.parametrize("name", [*MISSING_LISTS, "elsewhere.txt"])
def test_clips_on_a_list_of_missing_skeletons_are_left_out(folder: Path, name: str, content: str) -> None:
    (folder / name).write_bytes(content.encode())
    recordings = read_ntu_rgbd(folder, missing=None if name in MISSING_LISTS else folder / name)
    assert [clip.name for clip in recordings.clips] == ["S001C001P001R001A049", "S002C001P001R001A001"]
    assert f"{name} lists it" in {reject.reason for reject in recordings.rejected}


def test_a_named_list_of_missing_skeletons_counts_alone(folder: Path) -> None:
    (folder / MISSING_LISTS[0]).write_text("S001C001P002R001A001")
    (folder / "mine.txt").write_text("S002C001P001R001A001")
    recordings = read_ntu_rgbd(folder, missing=folder / "mine.txt")
    assert [clip.name for clip in recordings.clips] == ["S001C001P001R001A049", "S001C001P002R001A001"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no clip"),
        (HEADER.encode(), "names no clip"),
        (bytes(range(256)), "names no clip"),
        (b"S001C001P002R001A001\n\nS001C001P002R001A0", r"list\.txt:3: expected a name .* found 'S001C001P002R001A0'"),
        (None, r"list\.txt cannot be read: No such file"),
    ],
    ids=["empty", "header", "binary", "cut", "absent"],
)
def test_a_list_of_missing_skeletons_that_is_none_is_refused(folder: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (folder / "list.txt").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        list_ntu_rgbd(folder, missing=folder / "list.txt")
