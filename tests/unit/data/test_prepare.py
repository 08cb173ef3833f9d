"""Preparing an archive: the same as reading the files, however often it is interrupted."""

import os
import resource
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpgan_core.data.archive import open_archive
from hpgan_core.data.human36m import list_human36m, write_human36m_file
from hpgan_core.data.ntu_rgbd import list_ntu_rgbd
from hpgan_core.data.prepare import CannotWrite, prepare, source_key
from hpgan_core.data.recordings import read_all
from hpgan_core.data.synthetic import write_synthetic
from hpgan_core.errors import BadInput, MalformedRecording

N_FILES, SHORT, DAMAGED = 15, 1, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen clips, one of them too short."""
    folder = tmp_path_factory.mktemp("skeletons")
    write_synthetic(folder, people=3, clips_per_action=1, frames=12)
    write_synthetic(folder / "short", people=1, clips_per_action=1, frames=5)
    short = sorted((folder / "short").iterdir())[SHORT]
    short.replace(folder / short.name)
    shutil.rmtree(folder / "short")
    return folder


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    """The same, one of them damaged."""
    copy = Path(shutil.copytree(folder, tmp_path / "damaged"))
    victim = files(copy)[DAMAGED]
    victim.write_text(victim.read_text().replace("\n25\n", "\n24\n", 1))
    return copy


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.skeleton"))


def named(folder: Path, **options: Any) -> dict[str, Any]:
    return {"dataset": "ntu_rgbd", "root": str(folder), "min_frames": 10, **options}


def prepared(folder: Path, path: Path, **arguments: Any) -> Any:
    data = named(folder)
    source = list_ntu_rgbd(folder, min_frames=10)
    return prepare(source, path, data, **{"processes": 1, **arguments})


class Stop(Exception):
    """What interrupts a preparation here."""


def stop_after(n_files: int) -> Any:
    def progress(done: int, total: int) -> None:
        assert total == N_FILES
        if done == n_files:
            raise Stop

    return progress


def test_an_archive_equals_its_folder(folder: Path, tmp_path: Path) -> None:
    whole = prepared(folder, tmp_path / "motion.h5")
    read = read_all(list_ntu_rgbd(folder, min_frames=10))
    assert len(read.clips) == N_FILES - 1
    assert whole.recordings.digest() == whole.digest == read.digest()
    assert whole.recordings.rejected == read.rejected
    assert whole.source == named(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["motion.h5"]


def test_several_processes_make_the_same_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpgan_core.data.parallel.FILES_A_PROCESS", 1)
    monkeypatch.setattr("hpgan_core.data.parallel.FILES_A_TASK", 2)
    for processes in (1, 2):
        prepared(folder, tmp_path / f"{processes}.h5", processes=processes)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_what_is_there_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "motion.h5")
    again = prepared(folder, tmp_path / "motion.h5", progress=stop_after(0))
    assert len(again.recordings.clips) == N_FILES - 1


@pytest.mark.parametrize("n_files", [0, 1, 7, 14, N_FILES])
def test_interrupted_and_resumed_equals_uninterrupted(folder: Path, tmp_path: Path, n_files: int) -> None:
    prepared(folder, tmp_path / "whole.h5")
    with pytest.raises(Stop):
        prepared(folder, tmp_path / "parts.h5", progress=stop_after(n_files))
    assert not (tmp_path / "parts.h5").exists()
    seen: list[int] = []
    prepared(folder, tmp_path / "parts.h5", progress=lambda done, total: seen.append(done))
    assert seen == list(range(n_files, N_FILES + 1))
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("n_syncs", range(1, 17))
def test_no_file_is_lost_to_an_interruption_while_saving(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_syncs: int
) -> None:
    prepared(folder, tmp_path / "whole.h5")
    left = iter(range(n_syncs - 1, -1, -1))

    def interrupted_sync(descriptor: int) -> None:
        os.fdatasync(descriptor)
        if next(left, None) == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hpgan_core.data.prepare.FILES_A_SYNC", 2)
        patched.setattr("os.fsync", interrupted_sync)
        with pytest.raises(KeyboardInterrupt):
            prepared(folder, tmp_path / "parts.h5")
    prepared(folder, tmp_path / "parts.h5")
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_torn_journal_or_torn_frames_are_read_again(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("torn")
    prepared(folder, tmp_path / "whole.h5")
    with pytest.raises(Stop):
        prepared(folder, tmp_path / "parts.h5", progress=stop_after(9))
    for name in ("frames", "journal"):
        torn = tmp_path / "parts.h5.partial" / name
        content = torn.read_bytes()
        kept = data.draw(st.integers(0, len(content)), label=name)
        torn.write_bytes(content[:kept] + data.draw(st.binary(max_size=30), label=f"garbage in {name}"))
    prepared(folder, tmp_path / "parts.h5")
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("name", ["frames", "journal"])
def test_what_has_a_flipped_bit_is_read_again(folder: Path, tmp_path: Path, name: str) -> None:
    prepared(folder, tmp_path / "whole.h5")
    with pytest.raises(Stop):
        prepared(folder, tmp_path / "parts.h5", progress=stop_after(9))
    flipped = tmp_path / "parts.h5.partial" / name
    content = bytearray(flipped.read_bytes())
    at = content.index(b"A", len(content) // 2) if name == "journal" else len(content) // 2
    content[at] ^= 1
    flipped.write_bytes(content)
    prepared(folder, tmp_path / "parts.h5")
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("change", ["content", "time", "a file more", "an option"])
def test_a_source_that_changed_in_between_is_read_from_the_start(folder: Path, tmp_path: Path, change: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    with pytest.raises(Stop):
        prepared(copy, tmp_path / "motion.h5", progress=stop_after(9))
    first = files(copy)[0]
    if change == "content":
        first.write_text(first.read_text() + "\n")
    elif change == "time":
        os.utime(first, ns=(1, 1))
    elif change == "a file more":
        shutil.copy(first, copy / "S999C001P001R001A001.skeleton")
    seen: list[int] = []
    options = {"min_frames": 11} if change == "an option" else {"min_frames": 10}
    source, data = list_ntu_rgbd(copy, **options), named(copy, **options)
    whole = prepare(source, tmp_path / "motion.h5", data, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0
    assert whole.digest == read_all(source).digest()


def test_a_damaged_file_is_rejected_and_named(damaged: Path, tmp_path: Path) -> None:
    whole = prepared(damaged, tmp_path / "motion.h5")
    assert len(whole.recordings.clips) == N_FILES - 2
    (reject,) = [reject for reject in whole.recordings.rejected if reject.reason.startswith("damaged: ")]
    assert reject.path == files(damaged)[DAMAGED]
    assert reject.reason == "damaged: line 4, expected 25 joints, found '24'"


def test_a_damaged_file_is_an_error_where_it_must_be(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(MalformedRecording, match="expected 25 joints, found '24'") as caught:
        prepared(damaged, tmp_path / "motion.h5", strict=True)
    assert caught.value.path == files(damaged)[DAMAGED]
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_several_processes_name_the_first_damaged_file(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpgan_core.data.parallel.FILES_A_PROCESS", 1)
    monkeypatch.setattr("hpgan_core.data.parallel.FILES_A_TASK", 2)
    files(damaged)[-1].write_text("nothing")
    with pytest.raises(MalformedRecording) as caught:
        prepared(damaged, tmp_path / "motion.h5", strict=True, processes=2)
    assert caught.value.path == files(damaged)[DAMAGED]


def test_a_folder_without_a_usable_file_makes_no_archive(folder: Path, tmp_path: Path) -> None:
    source = list_ntu_rgbd(folder, min_frames=100)
    with pytest.raises(BadInput, match=r"none of 15 files in .* can be used \(first: S001C001P001R001A001\.skeleton"):
        prepare(source, tmp_path / "motion.h5", named(folder, min_frames=100))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_something_else_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "motion.h5")
    with pytest.raises(BadInput, match="before they changed, or with other options; remove it or name another file"):
        prepare(list_ntu_rgbd(folder, min_frames=5), tmp_path / "motion.h5", named(folder, min_frames=5))
    (tmp_path / "thesis.h5").write_text("years of work")
    with pytest.raises(MalformedRecording, match="expected a motion archive"):
        prepared(folder, tmp_path / "thesis.h5")
    assert (tmp_path / "thesis.h5").read_text() == "years of work"


@pytest.mark.parametrize("place", [".", "/", "..", ""])
def test_a_folder_is_no_place_for_an_archive(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="it is no file"):
        prepared(folder, Path(place))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_may_lie_among_its_takes(tmp_path: Path) -> None:
    for subject in ("S1", "S5"):
        (tmp_path / subject).mkdir()
        write_human36m_file(tmp_path / subject / "Walking.h5", np.ones((60, 32, 3)))
    data = {"dataset": "human36m", "root": str(tmp_path)}
    made, found = (prepare(list_human36m(tmp_path), tmp_path / "motion.h5", data) for _ in range(2))
    assert (found.source_key, found.recordings.rejected) == (made.source_key, ())


def test_what_a_crash_left_behind_is_cleared_away(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "motion.h5")
    (tmp_path / "motion.h5.partial").mkdir()
    (tmp_path / "motion.h5.partial" / "frames").write_bytes(b"0")
    prepared(folder, tmp_path / "motion.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["motion.h5"]


def test_missing_folders_are_made_and_impossible_ones_refused(folder: Path, tmp_path: Path) -> None:
    assert prepared(folder, tmp_path / "new" / "folder" / "motion.h5").digest
    (tmp_path / "file").write_text("")
    for place in ("file/motion.h5", "file/folder/motion.h5"):
        with pytest.raises(CannotWrite, match=rf"{place} cannot be written: .*/file is a file, not a folder; name"):
            prepared(folder, tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "new"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that takes no files, not even from root")
@pytest.mark.parametrize("place", ["/proc", "/proc/new/folder"])
def test_a_folder_that_takes_no_files_is_told_at_once(folder: Path, place: str) -> None:
    message = rf"^{place}/motion.h5 cannot be written: no file can be made in {place} \(.+\); name another place$"
    with pytest.raises(CannotWrite, match=message):
        prepared(folder, Path(place) / "motion.h5")


def test_a_full_disk_is_told_and_what_was_read_is_kept(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "whole.h5")
    with limited_files(20_000), pytest.raises(CannotWrite, match=r"motion.h5 cannot be written: File too large"):
        prepared(folder, tmp_path / "motion.h5")
    assert not (tmp_path / "motion.h5").exists()
    prepared(folder, tmp_path / "motion.h5")
    assert (tmp_path / "motion.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@contextmanager
def limited_files(n_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_whoever_waits_for_another_process_takes_its_archive(folder: Path, tmp_path: Path) -> None:
    prepared(folder, tmp_path / "whole.h5")
    seen: list[int] = []
    with ThreadPoolExecutor(1) as thread:
        with FileLock(tmp_path / ".motion.h5.lock"):
            waiting = thread.submit(
                prepared, folder, tmp_path / "motion.h5", progress=lambda done, total: seen.append(done)
            )
            time.sleep(0.2)
            assert not waiting.done()
            shutil.copy(tmp_path / "whole.h5", tmp_path / "motion.h5")
        assert waiting.result(10).digest == open_archive(tmp_path / "whole.h5").digest
    assert seen == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["motion.h5", "whole.h5"]


def test_two_at_once_make_one_archive(folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: prepared(folder, tmp_path / "motion.h5"), range(2)))
    assert len({archive.digest for archive in results}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["motion.h5"]


def test_the_key_knows_the_folder_the_options_and_every_file(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (tmp_path / "link").symlink_to(copy)

    def key(root: Path, **options: Any) -> str:
        return source_key(list_ntu_rgbd(root, **options), {"dataset": "ntu_rgbd", "root": str(root), **options})

    before = key(copy)
    assert key(tmp_path / "link") == key(tmp_path / "copy" / ".." / "copy") == before
    others = [key(folder), key(copy, min_frames=61), key(copy, max_action=3)]
    (copy / "S999C001P001R002A001.skeleton").write_text("")
    others.append(key(copy))
    assert len({before, *others}) == 5


def test_an_edit_is_noticed_even_where_size_and_time_of_writing_are_as_before(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    before, first = source_key(list_ntu_rgbd(copy), named(copy)), files(copy)[0]
    stat, content = first.stat(), first.read_text()
    time.sleep(0.02)  # a tick of the clock of file systems
    first.write_text(content.replace("1", "2"))
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (first.stat().st_size, first.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert source_key(list_ntu_rgbd(copy), named(copy)) != before
