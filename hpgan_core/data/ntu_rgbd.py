"""NTU RGB+D: folders of ``.skeleton`` files, one clip of Kinect v2 bodies a file, listed, read and written."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpgan_core.data.folders import expect_folder, files_below
from hpgan_core.data.recordings import Recording, Recordings, Rejected, read_all
from hpgan_core.data.skeleton_text import Bodies, parse_skeleton_file
from hpgan_core.errors import BadInput
from hpgan_core.skeleton import KINECT_V2, Skeleton

FRAME_RATE_HZ = 30.0
# Setup, camera, performer, replication, action.
CLIP_NAME = re.compile(r"S(\d{3})C(\d{3})(P\d{3})R(\d{3})(A\d{3})")
# The official lists of clips whose skeletons are missing or incomplete; whoever has the data set has them.
MISSING_LISTS = (
    "NTU_RGBD_samples_with_missing_skeletons.txt",
    "NTU_RGBD120_samples_with_missing_skeletons.txt",
)

# Where one id ends and another is so near in the next frame (mean over joints), it is one person: 6 m/s.
_STEP_M = 0.2
# Depth camera of the Kinect v2: 512 x 424 pixels, a field of view of 70 by 60 degrees.
_DEPTH_PIXELS = np.array([512.0, 424.0])
_DEPTH_FOCAL = _DEPTH_PIXELS / 2 / np.tan(np.radians([35.0, 30.0]))


@dataclass(frozen=True)
class NtuFolder:
    """A folder of ``.skeleton`` files, filtered by their names: a ``Source``."""

    paths: tuple[Path, ...]
    rejected: tuple[Rejected, ...]
    min_frames: int
    skeleton: Skeleton = KINECT_V2
    frame_rate_hz: float = FRAME_RATE_HZ

    def read(self, path: Path) -> Recording | Rejected:
        """The main person of one of ``paths``, or why the clip is left out; raises as ``read_skeleton_file``."""
        name = CLIP_NAME.fullmatch(path.stem)
        assert name is not None, "paths hold nothing else"
        positions = read_skeleton_file(path)
        if len(positions) < self.min_frames:
            reason = f"{len(positions)} unbroken frames of one person, fewer than {self.min_frames}"
            return Rejected(path, reason)
        return Recording(path.stem, name[3], name[5], positions)


def list_ntu_rgbd(
    root: Path,
    *,
    max_action: int | None = 49,
    replication: int | None = 1,
    min_frames: int = 60,
    missing: Path | None = None,
) -> NtuFolder:
    """List a folder of NTU RGB+D ``.skeleton`` files, at any depth, without opening one.

    The default filter is the original code's: single-person actions, first replication, 60 frames or more. That code
    also leaves out a clip with an empty frame; here its longest unbroken run counts, see ``read_skeleton_file``.

    Args:
        root: the folder.
        max_action: highest action number read; None reads all.
        replication: the one replication read; None reads all.
        min_frames: fewest frames of a clip, counted as ``read_skeleton_file`` returns them.
        missing: a list of clips to leave out, a name a line below any header, as the data set publishes for clips
            whose skeletons are missing. None takes the published lists if they lie in ``root`` under their own names
            (``MISSING_LISTS``).

    Returns:
        Recordings at 30 Hz whose subject and action are the ``Pppp`` and ``Aaaa`` of the file's name. Each file that
        its name leaves out is in ``rejected`` with the reason.

    Raises:
        BadInput: ``root`` is no folder, cannot be listed or holds no ``.skeleton`` files, ``missing`` cannot be read
            or names no clip, or ``min_frames`` is below 1.
    """
    if min_frames < 1:
        raise BadInput(f"min_frames = {min_frames} must be 1 or more")
    root = Path(root)
    expect_folder(root, "a folder of .skeleton files")
    lists = [root / name for name in MISSING_LISTS if (root / name).is_file()] if missing is None else [Path(missing)]
    listed_in = {stem: path.name for path in lists for stem in _listed_clips(path)}
    paths: dict[str, Path] = {}
    rejected: list[Rejected] = []
    for stem, path, is_file in sorted(files_below(root, ".skeleton")):
        reason = _reason_to_leave_out(stem, max_action, replication)
        if reason is None and stem in listed_in:
            reason = f"{listed_in[stem]} lists it"
        if reason is None and stem in paths:
            reason = f"{paths[stem]} has the same name"
        if reason is None and not is_file:
            reason = "it is no file"
        if reason is None:
            paths[stem] = Path(path)
        else:
            rejected.append(Rejected(Path(path), reason))
    if not paths and not rejected:
        raise BadInput(f"{root} holds no .skeleton files, at any depth; give the folder where NTU RGB+D was unpacked")
    return NtuFolder(tuple(paths.values()), tuple(rejected), min_frames)


def read_ntu_rgbd(
    root: Path,
    *,
    max_action: int | None = 49,
    replication: int | None = 1,
    min_frames: int = 60,
    missing: Path | None = None,
) -> Recordings:
    """Read into memory what ``list_ntu_rgbd`` lists; the arguments are the same.

    Raises:
        BadInput: as ``list_ntu_rgbd``, or nothing passes the filter.
        MalformedRecording: a file that passes the filter by its name does not follow the format.
    """
    folder = list_ntu_rgbd(root, max_action=max_action, replication=replication, min_frames=min_frames, missing=missing)
    recordings = read_all(folder)
    if not recordings.clips:
        first = recordings.rejected[0]
        raise BadInput(
            f"{root}: none of {len(recordings.rejected)} .skeleton files passes the filter (first: {first.path.name}: "
            f"{first.reason}); relax max_action, replication or min_frames"
        )
    return recordings


def _listed_clips(path: Path) -> set[str]:
    """Names in a list of clips, below a header that may be missing.

    Raises:
        BadInput: the file cannot be read, names no clip, or has another line after the first name.
    """
    clips: set[str] = set()
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                word = line.strip()
                if CLIP_NAME.fullmatch(word):
                    clips.add(word)
                elif word and clips:
                    raise BadInput(f"{path}:{number}: expected a name SsssCcccPpppRrrrAaaa, found {word[:60]!r}")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if not clips:
        raise BadInput(f"{path} names no clip; a list of missing skeletons has a name SsssCcccPpppRrrrAaaa on a line")
    return clips


def _reason_to_leave_out(stem: str, max_action: int | None, replication: int | None) -> str | None:
    name = CLIP_NAME.fullmatch(stem)
    if name is None:
        return "its name does not follow SsssCcccPpppRrrrAaaa, which tells who moves (P) and what they do (A)"
    if max_action is not None and int(name[5][1:]) > max_action:
        return f"action {name[5]} is above A{max_action:03d}"
    if replication is not None and int(name[4]) != replication:
        return f"replication R{name[4]} is not R{replication:03d}"
    return None


def read_skeleton_file(path: str | Path) -> np.ndarray:
    """Motion of the main person of one ``.skeleton`` file.

    Bodies are followed by their id; where one id ends or leaps away, and another is at the same place in the next
    frame, it is the same person: ids switch, and two people may swap theirs. A frame shows a person when it has a
    position for each of the joints: the sensor writes joints it lost as untracked at the origin. Of each person counts
    the longest run of frames without a gap, so that empty frames at either end are trimmed and those inside cut the
    clip: no motion is made up and none is read across a gap. The main person is the one that moves most, out of those
    whose run is at least half as long as the longest; where there are several, bodies wider than tall for most of the
    time are taken for furniture.

    Returns:
        Metres, camera space (y up, z away from the sensor), float32 ``(frames, 25, 3)``; no frames if nobody is shown.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: it does not follow the format; see ``skeleton_text.py``.

    Source:
        The choice of the person: questions 6 and 7 of the data set's FAQ, with its threshold of spread
        (x over y above 0.8 in 70 % of the frames). We take the variance over time alone, which does not grow with
        the size of a body. The original code takes the first body of each frame, and no clip with an empty frame.
    """
    runs = _unbroken_runs(parse_skeleton_file(Path(path)))
    longest = max(map(len, runs), default=0)
    candidates = [run for run in runs if 2 * len(run) >= longest]
    if len(candidates) > 1:
        people = [run for run in candidates if not _is_furniture(run)] or candidates
        candidates = [max(people, key=_motion)]
    return np.reshape(candidates, (-1, KINECT_V2.n_joints, 3)).astype(np.float32)


def _motion(run: np.ndarray) -> float:
    """Variance over time, summed over joints and axes, square metres."""
    return float(run.var(axis=0).sum())


def _is_furniture(run: np.ndarray) -> bool:
    by_joint = np.moveaxis(run[..., :2], 1, 0).copy()  # so that the extent of all frames is taken at once
    width, height = np.moveaxis(np.ptp(by_joint, axis=0), -1, 0)
    return bool(np.mean(width > 0.8 * height) >= 0.7)


def _unbroken_runs(bodies: Bodies) -> list[np.ndarray]:
    """Positions of each person over their longest run of frames without a gap, metres, ``(frames, 25, 3)``."""
    frames, ids, positions, tracking = bodies
    rows = np.lexsort((frames, ids))
    if not tracking.all():
        is_lost = (tracking == 0) & ~positions.any(axis=-1)
        rows = rows[~is_lost[rows].any(axis=1)]
    if not rows.size:
        return []
    if len(rows) == len(frames) == frames[-1] - frames[0] + 1 and (ids == ids[0]).all():
        return [positions]  # the usual file: one body, in every frame
    goes_on = (ids[rows][1:] == ids[rows][:-1]) & (np.diff(frames[rows]) == 1)
    goes_on &= np.linalg.norm(np.diff(positions[rows], axis=0), axis=-1).mean(axis=-1) <= _STEP_M
    ending: dict[int, list[np.ndarray]] = defaultdict(list)  # runs by their last frame
    for run in sorted(np.split(rows, np.flatnonzero(~goes_on) + 1), key=lambda run: frames[run[0]]):
        before = ending[frames[run[0]] - 1]
        steps_m = [np.linalg.norm(positions[run[0]] - positions[end[-1]], axis=-1).mean() for end in before]
        nearest = [number for number, step_m in enumerate(steps_m) if step_m == min(steps_m) <= _STEP_M]
        # Who leaps to where nobody was is still who they were.
        same = [number for number, end in enumerate(before) if ids[end[-1]] == ids[run[0]]]
        if nearest or same:
            run = np.concatenate([before.pop((nearest or same)[0]), run])
        ending[frames[run[-1]]].append(run)
    runs = [run for together in ending.values() for run in together]
    longest = {ids[run[0]]: run for run in sorted(runs, key=lambda run: (len(run), -run[0]))}
    return [positions[run] for run in longest.values()]


def write_skeleton_file(
    path: str | Path, positions: np.ndarray, body_id: int = 72057594037927936, tracking: np.ndarray | int = 2
) -> None:
    """Write one person's motion as a ``.skeleton`` file.

    ``read_skeleton_file`` gives the same float32 positions back, bit for bit. Depth pixels are those of the Kinect's
    pinhole, NaN behind it; colour pixels, orientation, hands and lean are zero.

    Args:
        path: the file, replaced if it exists.
        positions: joints, metres, camera space, ``(frames, 25, 3)``.
        body_id: identity of the person, at most 64 bits.
        tracking: 0 not tracked, 1 inferred, 2 tracked; for all, or for any shape that broadcasts to ``(frames, 25)``.

    Raises:
        ValueError: positions are of another shape or not finite in float32.
    """
    positions = np.asarray(positions, dtype=np.float32)
    if positions.ndim != 3 or positions.shape[1:] != (KINECT_V2.n_joints, 3):
        raise ValueError(f"positions must be (frames, {KINECT_V2.n_joints}, 3), found {positions.shape}")
    if not np.isfinite(positions).all():
        raise ValueError("positions must be finite")
    columns = np.empty((*positions.shape[:2], 6))
    columns[..., :3] = positions
    columns[..., 3:5] = _depth_pixels(positions)
    columns[..., 5] = tracking
    # Nine significant digits tell any two float32 apart.
    joint = "%.9g %.9g %.9g %.7g %.7g 0 0 0 0 0 0 %d\n"
    frame = f"1\n{body_id} 0 0 0 0 0 0 0 0 2\n{KINECT_V2.n_joints}\n" + joint * KINECT_V2.n_joints
    rows = columns.reshape(len(columns), 6 * KINECT_V2.n_joints).tolist()
    content = f"{len(columns)}\n" + "".join(frame % tuple(row) for row in rows)
    Path(path).write_bytes(content.replace("nan", "NaN").encode("ascii"))


def _depth_pixels(positions: np.ndarray) -> np.ndarray:
    """Where joints ``(..., 3)`` appear in the depth image, pixels from its top left, ``(..., 2)``."""
    x, y, z = np.moveaxis(positions.astype(np.float64), -1, 0)
    depth = np.where(z > 0, z, np.nan)
    pixels: np.ndarray = _DEPTH_PIXELS / 2 + _DEPTH_FOCAL * np.stack([x, -y], axis=-1) / depth[..., None]
    return pixels
