"""Human3.6M's ``3D_positions`` HDF5 files: motion of 32 joints at 50 Hz, one take a file, read and written.

A file ``S1/MyPoses/3D_positions/Walking 1.h5`` holds the dataset ``3D_positions``, ``(96, frames)`` in millimetres:
x y z of each joint in a world with z up. The cameras of ``cameras.h5`` stand in the same world.

Source:
    Ionescu et al. 2014, "Human3.6M", IEEE TPAMI 36(7), in the layout that Martinez et al. 2017, arXiv:1705.03098,
    and the original HP-GAN read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpgan_core.data.archive import is_archive
from hpgan_core.data.folders import expect_folder, files_below
from hpgan_core.data.recordings import Recording, Recordings, Rejected, read_all
from hpgan_core.data.safe_hdf5 import open_hdf5, read_dataset
from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import HUMAN36M_17, HUMAN36M_32, HUMAN36M_KEPT, Skeleton

FRAME_RATE_HZ = 50.0
MM_PER_M = 1000.0

_DATASET = "3D_positions"
_LAYOUT = re.compile(r".*/(S\d+)/(?:MyPoses/3D_positions/)?(([A-Za-z]+)(?: \d+)?)\.(?i:h5)")
_EXAMPLES = "S1/MyPoses/3D_positions/Walking 1.h5 or S1/Walking 1.h5"
_SKELETONS = {17: HUMAN36M_17, 32: HUMAN36M_32}
_FARTHEST_MM = 1e6


@dataclass(frozen=True)
class Human36M:
    """A folder of Human3.6M, listed but not read.

    Attributes:
        skeleton: ``HUMAN36M_17`` or ``HUMAN36M_32``.
        frame_rate_hz: of the recordings, after frames were skipped.
        paths: files whose place names a subject and an action, in the order of their recordings' names.
        rejected: the other ``.h5`` files, in any case of letters, but for motion archives.
        skip_frames: frames left out after each one that is kept.
        min_frames: fewest frames of a recording.
    """

    skeleton: Skeleton
    frame_rate_hz: float
    paths: tuple[Path, ...]
    rejected: tuple[Rejected, ...]
    skip_frames: int
    min_frames: int

    def read(self, path: Path) -> Recording | Rejected:
        """One of ``paths``.

        Raises:
            MalformedRecording: it does not follow the format.
        """
        place = _place(path)
        if place is None:
            raise ValueError(f"{path} is none of the paths of this source")
        positions = read_human36m_file(path)[:: self.skip_frames + 1]
        if len(positions) < self.min_frames:
            return Rejected(path, f"{len(positions)} frames, fewer than {self.min_frames}")
        if self.skeleton == HUMAN36M_17:
            positions = positions[:, HUMAN36M_KEPT]
        return Recording(_name(place), subject=place[1], action=place[3], positions=np.ascontiguousarray(positions))


def list_human36m(root: Path, *, joints: int = 17, skip_frames: int = 1, min_frames: int = 30) -> Human36M:
    """Takes in a folder of Human3.6M.

    Args:
        root: the folder; takes lie in it, at any depth, at ``S1/MyPoses/3D_positions/Walking 1.h5`` or
            ``S1/Walking 1.h5``.
        joints: 32 are all of the original code's; 17 are those that move by themselves, as pose estimation uses them.
        skip_frames: frames left out after each one that is kept; the original's 1 makes 25 Hz of 50.
        min_frames: fewest frames of a recording, counted after that; by default one window of the original.

    Returns:
        A source whose recordings are named ``S1 Walking 1``, of subject ``S1`` and action ``Walking``.

    Raises:
        BadInput: ``root`` is no folder, no file in it lies at such a place, or an option is out of range.
    """
    if joints not in _SKELETONS:
        raise BadInput(f"joints = {joints} must be 17 or 32")
    if skip_frames < 0 or min_frames < 1:
        raise BadInput(f"skip_frames = {skip_frames} must be 0 or more, and min_frames = {min_frames} 1 or more")
    root = Path(root)
    expect_folder(root, "a folder of Human3.6M")
    clips: dict[str, Path] = {}
    rejected: list[Rejected] = []
    for path, is_file in sorted((Path(path), is_file) for _, path, is_file in files_below(root, ".h5")):
        place = _place(path)
        if place is None and is_archive(path):
            continue  # of these very takes, perhaps, which its lying among them does not change
        if place is None:
            rejected.append(Rejected(path, f"it does not lie like {_EXAMPLES}"))
        elif not is_file:
            rejected.append(Rejected(path, "it is no file"))
        elif _name(place) in clips:
            rejected.append(Rejected(path, "its name was already read"))
        else:
            clips[_name(place)] = path
    if not clips:
        raise BadInput(
            f"{root}: none of its {len(rejected)} .h5 files lies, at any depth, like {_EXAMPLES}; "
            "give the folder where Human3.6M was unpacked"
        )
    frame_rate_hz = FRAME_RATE_HZ / (skip_frames + 1)
    paths = tuple(clips[name] for name in sorted(clips))
    return Human36M(_SKELETONS[joints], frame_rate_hz, paths, tuple(rejected), skip_frames, min_frames)


def read_human36m(root: Path, *, joints: int = 17, skip_frames: int = 1, min_frames: int = 30) -> Recordings:
    """Recordings in a folder of Human3.6M; arguments and errors of ``list_human36m``.

    Raises:
        BadInput: also if every take is too short.
        MalformedRecording: a file does not follow the format.
    """
    recordings = read_all(list_human36m(root, joints=joints, skip_frames=skip_frames, min_frames=min_frames))
    if not recordings.clips:
        raise BadInput(f"{root}: no take has {min_frames} frames or more; relax min_frames or skip_frames")
    return recordings


def _place(path: Path) -> re.Match[str] | None:
    """Subject, file's stem and action in the place of a take."""
    return _LAYOUT.fullmatch(path.absolute().as_posix())


def _name(place: re.Match[str]) -> str:
    return f"{place[1]} {place[2]}"


def read_human36m_file(path: str | Path) -> np.ndarray:
    """Every frame of one take.

    Returns:
        Metres, y up, float32 ``(frames, 32, 3)`` at 50 Hz.

    Raises:
        BadInput: the file cannot be read.
        MalformedRecording: it does not follow the format, or a coordinate is beyond a kilometre.
    """
    with open_hdf5(path) as file:
        columns = read_dataset(file, _DATASET, shape=(3 * HUMAN36M_32.n_joints, None))
    # Widened first: the bound itself is beyond float16.
    world_mm = columns.astype(np.float64).T.reshape(-1, HUMAN36M_32.n_joints, 3)
    if (farthest := np.abs(world_mm).max(initial=0.0)) > _FARTHEST_MM:
        raise MalformedRecording(path, f"coordinates of {_FARTHEST_MM:g} mm or less", f"{farthest:g} mm")
    return (y_up(world_mm) / MM_PER_M).astype(np.float32)


def write_human36m_file(path: str | Path, positions: np.ndarray) -> None:
    """Write one take.

    ``read_human36m_file`` gives the same float32 positions back, bit for bit.

    Args:
        path: the file, replaced if it exists.
        positions: metres, y up, ``(frames, 32, 3)`` at 50 Hz.

    Raises:
        ValueError: positions are of another shape, not finite or beyond a kilometre.
    """
    world_mm = to_world_mm(positions)
    if world_mm.ndim != 3 or world_mm.shape[1:] != (HUMAN36M_32.n_joints, 3):
        raise ValueError(f"positions must be (frames, {HUMAN36M_32.n_joints}, 3), found {world_mm.shape}")
    if not (np.abs(world_mm) <= _FARTHEST_MM).all():
        raise ValueError(f"positions must be finite and within {_FARTHEST_MM:g} mm of the origin")
    with h5py.File(path, "w") as file:
        file[_DATASET] = world_mm.reshape(len(world_mm), 3 * HUMAN36M_32.n_joints).T


def y_up(world: np.ndarray) -> np.ndarray:
    """Points ``(..., 3)`` of a world with z up, turned about x until y is up; ``z_up`` undoes it exactly."""
    x, y, z = np.moveaxis(world, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def z_up(positions: np.ndarray) -> np.ndarray:
    """The rotation that undoes ``y_up``, ``(..., 3)``."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack([x, -z, y], axis=-1)


def to_world_mm(positions: np.ndarray) -> np.ndarray:
    """Recorded positions, metres and y up, in the world of the cameras: millimetres, z up, float64 ``(..., 3)``."""
    return z_up(np.asarray(positions, dtype=np.float64)) * MM_PER_M
