"""Motion archives: what is written is read, and nothing but an intact archive is."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpgan_core.data import archive
from hpgan_core.data.archive import Entry, is_archive, open_archive, read_archive, write_archive
from hpgan_core.data.recordings import Recording, Recordings, Rejected
from hpgan_core.errors import BadInput, MalformedRecording
from hpgan_core.skeleton import HUMAN36M_17, KINECT_V2, Skeleton

SOURCE = {"dataset": "human36m", "root": "/data/Grüße"}


def recordings_of(*lengths: int, skeleton: Skeleton = KINECT_V2) -> Recordings:
    rng = np.random.default_rng(3)
    clips = tuple(
        Recording(f"S{n} Walking", f"S{n}", "Walking", rng.normal(size=(length, skeleton.n_joints, 3)).astype("<f4"))
        for n, length in enumerate(lengths)
    )
    rejected = (
        Rejected(Path("/data/b\udcff.h5"), "3 frames, fewer than 30"),
        Rejected(Path("c.h5"), "Größe unbekannt"),
    )
    return Recordings(skeleton, 25.0, clips, rejected)


def write(path: Path, recordings: Recordings) -> None:
    entries = [Entry(clip.name, clip.subject, clip.action, len(clip.positions)) for clip in recordings.clips]
    positions = (clip.positions for clip in recordings.clips)
    skeleton, rate, rejected = recordings.skeleton, recordings.frame_rate_hz, recordings.rejected
    write_archive(path, skeleton, rate, entries, positions, rejected, source=SOURCE, source_key="k" * 64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of three clips."""
    path = tmp_path / "motion.h5"
    write(path, recordings_of(40, 1, 33))
    return path


@pytest.mark.parametrize("skeleton", [KINECT_V2, HUMAN36M_17], ids=lambda skeleton: skeleton.name)
def test_what_is_written_is_read_bit_for_bit(tmp_path: Path, skeleton: Skeleton) -> None:
    written = recordings_of(40, 1, 5000, skeleton=skeleton)
    write(tmp_path / "motion.h5", written)
    opened = open_archive(tmp_path / "motion.h5")
    read = opened.recordings
    assert (read.skeleton, read.frame_rate_hz, read.rejected) == (skeleton, 25.0, written.rejected)
    for before, after in zip(written.clips, read.clips, strict=True):
        assert (after.name, after.subject, after.action) == (before.name, before.subject, before.action)
        assert after.positions.dtype == np.float32
        assert after.positions.flags.aligned
        assert np.array_equal(after.positions, before.positions)
    assert opened.digest == read.digest() == written.digest()
    assert (opened.source, opened.source_key) == (SOURCE, "k" * 64)


def test_equal_recordings_make_equal_files(path: Path, tmp_path: Path) -> None:
    write(tmp_path / "again.h5", recordings_of(40, 1, 33))
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_positions_are_mapped_and_cannot_be_changed(path: Path) -> None:
    positions = open_archive(path).recordings.clips[0].positions
    with pytest.raises(ValueError, match="read-only"):
        positions[0] = 0


def test_other_programs_read_an_archive_as_hdf5(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["frames"].shape == (74, 25, 3)
        assert file["clips/name"].asstr()[:].tolist() == ["S0 Walking", "S1 Walking", "S2 Walking"]
        assert file["clips/start"][:].tolist() == [0, 40, 41]
        assert file["clips/length"][:].tolist() == [40, 1, 33]
        assert dict(file.attrs)["units"] == b"metres, y up"


def test_clips_that_are_too_short_are_rejected_when_it_is_read(path: Path) -> None:
    read = read_archive(path, min_frames=34)
    assert [clip.name for clip in read.clips] == ["S0 Walking"]
    assert [reject.reason for reject in read.rejected[2:]] == ["1 frames, fewer than 34", "33 frames, fewer than 34"]
    assert read_archive(path).digest() == recordings_of(40, 1, 33).digest()
    with pytest.raises(BadInput, match="none of 3 clips has 41 frames or more"):
        read_archive(path, min_frames=41)


@pytest.mark.parametrize("content", [b"", b"hpgan motion", b"\x89HDF\r\n\x1a\n" + bytes(600), b"40\n1\n" * 300])
def test_what_begins_otherwise_is_no_archive(tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(content)
    assert not is_archive(other)
    with pytest.raises(MalformedRecording, match="expected a motion archive, found a file that begins otherwise"):
        open_archive(other)


def test_other_versions_are_named(path: Path) -> None:
    content = path.read_bytes().replace(b"motion archive 2\n", b"motion archive 3\n", 1)
    path.write_bytes(content)
    assert is_archive(path)
    with pytest.raises(MalformedRecording, match="a motion archive of version 2, found 3"):
        open_archive(path)


@pytest.mark.parametrize("name", ["missing.h5", ".", "pipe.h5", "long" * 100])
def test_what_cannot_be_opened_is_bad_input(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    assert not is_archive(tmp_path / name)
    with pytest.raises(BadInput, match="cannot be read"):
        open_archive(tmp_path / name)


def replaced(name: str, values: Any, **storage: Any) -> Callable[[h5py.File], None]:
    def forge(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, data=values, **storage)

    return forge


def attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def declare_a_petabyte(file: h5py.File) -> None:
    del file["frames"]
    file.create_dataset("frames", (10**12, 25, 3), "<f4")


def declare_absurd_chunks(file: h5py.File) -> None:
    del file["frames"]
    file.create_dataset("frames", (10**12, 25, 3), "<f4", chunks=(1000, 25, 3), compression="gzip")


def frames_elsewhere(file: h5py.File) -> None:
    del file["frames"]
    file["frames"] = h5py.ExternalLink("/etc/passwd", "/frames")


def frames_in_another_file(file: h5py.File) -> None:
    del file["frames"]
    file.create_dataset("frames", (74, 25, 3), "<f4", external=[("/etc/passwd", 0, 74 * 300)])


def virtual_frames(file: h5py.File) -> None:
    del file["frames"]
    layout = h5py.VirtualLayout((74, 25, 3), "<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "frames", (74, 25, 3))
    file.create_virtual_dataset("frames", layout)


FRAMES = np.zeros((74, 25, 3), np.float32)
FORGERIES: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no frames": (lambda file: file.__delitem__("frames"), "no frames"),
    "no names": (lambda file: file["clips"].__delitem__("name"), "no name"),
    "no digest": (lambda file: file.attrs.__delitem__("digest"), "the attribute digest"),
    "17 joints": (replaced("frames", np.zeros((74, 17, 3), np.float32)), "n × 25 × 3"),
    "flat frames": (replaced("frames", np.zeros((74, 75), np.float32)), "n × 25 × 3"),
    "doubles": (replaced("frames", FRAMES.astype(np.float64)), "in one piece"),
    "big endian": (replaced("frames", FRAMES.astype(">f4")), "in one piece"),
    "chunks": (replaced("frames", FRAMES, chunks=(10, 25, 3)), "in one piece"),
    "not finite": (replaced("frames", np.full_like(FRAMES, np.nan)), "finite positions"),
    "a petabyte": (declare_a_petabyte, "dataset frames of"),
    "absurd chunks": (declare_absurd_chunks, "dataset frames of"),
    "external link": (frames_elsewhere, "link to elsewhere"),
    "external storage": (frames_in_another_file, "stored in this file"),
    "virtual": (virtual_frames, "stored in this file"),
    "a frame too many": (replaced("clips/length", np.array([40, 1, 34])), "clips that share 74 frames"),
    "an empty clip": (replaced("clips/length", np.array([40, 0, 34])), "clips that share 74 frames"),
    "negative lengths": (replaced("clips/length", np.array([75, -34, 33])), "clips that share 74 frames"),
    "lengths that overflow": (replaced("clips/length", np.array([2**63 - 1] * 2 + [76])), "clips that share 74 frames"),
    "starts that overlap": (replaced("clips/start", np.array([0, 39, 41])), "clips that share 74 frames"),
    "two starts": (replaced("clips/start", np.array([0, 40])), "dataset clips/start of shape 3"),
    "text for lengths": (replaced("clips/length", np.array([b"4", b"1", b"3"])), "clips/length of type i"),
    "numbers for names": (replaced("clips/name", np.arange(3)), "clips/name of type S"),
    "a name twice": (replaced("clips/name", np.array([b"a", b"b", b"a"])), "clips of different names"),
    "text of any length": (replaced("clips/name", ["a", "b", "c"]), "clips/name of type S"),
    "one reason": (replaced("rejected/reason", np.array([b"a"])), "dataset rejected/reason of shape 2"),
    "unknown skeleton": (attribute("skeleton", np.bytes_("spider")), "found 'spider'"),
    "many skeletons": (attribute("skeleton", np.array([b"kinect_v2"] * 2)), "the attribute skeleton"),
    "no frame rate": (attribute("frame_rate_hz", 0.0), "a positive frame rate"),
    "infinite frame rate": (attribute("frame_rate_hz", np.inf), "a positive frame rate"),
    "no JSON": (attribute("source", np.bytes_("{")), "intact"),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "found"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_archive_is_refused_even_with_its_seal(
    path: Path, forge: Callable[[h5py.File], None], found: str
) -> None:
    with h5py.File(path, "r+") as file:
        forge(file)
    archive._write_sha256(path)
    with pytest.raises(MalformedRecording, match=found) as caught:
        open_archive(path)
    assert caught.value.path == path


def test_a_full_disk_is_an_error_before_hdf5_begins(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / "motion.h5", recordings_of(40, 1, 33))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not is_archive(tmp_path / "motion.h5")
