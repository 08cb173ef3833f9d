"""The cache of archives: text is read once, and no trouble with the cache stops a study."""

import resource
from pathlib import Path

import pytest

from hpgan_core.data.cache import cache_folder, read_cached
from hpgan_core.data.ntu_rgbd import list_ntu_rgbd
from hpgan_core.data.recordings import Recordings
from hpgan_core.data.synthetic import write_synthetic
from hpgan_core.errors import MalformedRecording


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clips."""
    write_synthetic(tmp_path / "skeletons", people=1, clips_per_action=1, frames=12)
    return tmp_path / "skeletons"


def read(folder: Path, cache: Path, seen: list[int] | None = None) -> Recordings:
    data = {"dataset": "ntu_rgbd", "root": str(folder), "min_frames": 10}
    source = list_ntu_rgbd(folder, min_frames=10)

    def progress(done: int, total: int) -> None:
        if seen is not None:
            seen.append(done)

    return read_cached(source, data, cache, progress)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HPGAN_CACHE": "/fast", "XDG_CACHE_HOME": "/xdg"}, "/fast"),
        ({"HPGAN_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/hpgan-study"),
        ({"XDG_CACHE_HOME": ""}, "~/.cache/hpgan-study"),
        ({}, "~/.cache/hpgan-study"),
    ],
)
def test_the_environment_says_where_the_cache_is(environment: dict[str, str], expected: str) -> None:
    assert cache_folder(environment) == Path(expected).expanduser()


def test_text_is_read_once(folder: Path, tmp_path: Path) -> None:
    first: list[int] = []
    second: list[int] = []
    before, after = read(folder, tmp_path / "cache", first), read(folder, tmp_path / "cache", second)
    assert (first, second) == ([0, 1, 2, 3, 4, 5], [])
    assert before.digest() == after.digest()
    (archive,) = (tmp_path / "cache").iterdir()
    assert archive.suffix == ".h5"


def test_a_changed_folder_has_an_archive_of_its_own(folder: Path, tmp_path: Path) -> None:
    before = read(folder, tmp_path / "cache")
    next(folder.iterdir()).unlink()
    after = read(folder, tmp_path / "cache")
    assert (len(before.clips), len(after.clips)) == (5, 4)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_damaged_archive_is_made_again(folder: Path, tmp_path: Path) -> None:
    before = read(folder, tmp_path / "cache")
    (archive,) = (tmp_path / "cache").iterdir()
    intact = archive.read_bytes()
    for damage in (intact[:-1], b"", intact[:900] + b"?" + intact[901:]):
        archive.write_bytes(damage)
        assert read(folder, tmp_path / "cache").digest() == before.digest()
        assert archive.read_bytes() == intact


def test_without_a_place_for_the_cache_text_is_read_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for nowhere in (tmp_path / "file" / "cache", Path("/proc/cache")):
        assert read(folder, nowhere).digest() == read(folder, tmp_path / "cache").digest()


def test_a_full_disk_is_left_as_it_was(folder: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        direct = read(folder, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []
    assert direct.digest() == read(folder, tmp_path / "cache").digest()


def test_a_damaged_recording_is_named_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    victim = sorted(folder.iterdir())[2]
    victim.write_text(victim.read_text()[:-100])
    with pytest.raises(MalformedRecording) as caught:
        read(folder, tmp_path / "cache")
    assert caught.value.path == victim
    assert list((tmp_path / "cache").iterdir()) == []
