"""A study as one file, and everything that can be wrong with such a file."""

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.bundle import MANIFEST, export_study, import_study
from study.comparison import compare
from study.errors import BadStudyInput, StudyError
from study.record import Record, Trial

AddTrial = Callable[..., Trial]


@pytest.fixture
def record(new_record: Callable[..., Record], add_trial: AddTrial) -> Record:
    """A study with one trial in each state, and everything around it that belongs to one machine."""
    record = new_record()
    add_trial(record, "gt", "t00", [0.5, 0.4])
    add_trial(record, "gt", "t01", [0.5], state="failed")
    add_trial(record, "paper", "t00", [0.3], state=None)
    for folder in (record.paths.ray, record.paths.report, record.trial("gt", "t00").paths.checkpoints):
        folder.mkdir()
        (folder / "something").write_text("of this machine")
    record.amend("add_trials", trials=2)
    return record


@pytest.fixture
def bundle(record: Record, tmp_path: Path) -> Path:
    export_study(record, tmp_path / "out.tar.gz", checkpoints=False)
    return tmp_path / "out.tar.gz"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(path: Path, members: Mapping[str, bytes], *, study: str = "small", **changes: object) -> Path:
    """A bundle by hand; ``changes`` replace what its manifest says."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = json.dumps({"format": 1, "study": study, "files": digests} | changes).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {MANIFEST: manifest, **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_an_imported_study_is_the_exported_one(record: Record, bundle: Path, tmp_path: Path) -> None:
    imported = import_study(bundle, tmp_path / "elsewhere", None)
    there, here = files_of(imported.paths.folder), files_of(record.paths.folder)
    local = ("ray/", "report/", "lease/", "driver.lock")
    assert there.pop("lease/000001.json")
    assert there == {name: c for name, c in here.items() if not name.startswith(local) and "checkpoints" not in name}
    assert compare(imported).to_json() == compare(record).to_json()
    assert imported.state() == "interrupted"
    assert imported.amendments.trials == 2


@pytest.mark.parametrize("killed", [False, True])
def test_how_long_a_study_was_driven_comes_along_and_who_drove_it_does_not_hold_it(
    record: Record, tmp_path: Path, killed: bool
) -> None:
    with record.driving():
        time.sleep(0.05)
    (lease,) = record.paths.lease.iterdir()
    left = json.loads(lease.read_text())
    # On another machine, as the importing one sees it.
    lease.write_text(
        json.dumps(left | {"released": not killed, "boot": "another", "renewed_at": left["renewed_at"] - 999})
    )
    export_study(record, tmp_path / "out.tar.gz", checkpoints=False)
    imported = import_study(tmp_path / "out.tar.gz", tmp_path / "elsewhere", None)
    assert imported.driven_s() == record.driven_s() == left["driven_s"] > 0.05
    assert imported.holder() is None
    waited: list[str] = []
    with imported.driving(tell=waited.append) as holding:
        assert holding.driven_s() > left["driven_s"]
    assert waited == []


def test_checkpoints_come_along_when_asked_for(record: Record, tmp_path: Path) -> None:
    export_study(record, tmp_path / "all.tar.gz", checkpoints=True)
    imported = import_study(tmp_path / "all.tar.gz", tmp_path / "elsewhere", None)
    assert (imported.trial("gt", "t00").paths.checkpoints / "something").read_text() == "of this machine"


def test_the_same_study_gives_the_same_bytes(record: Record, bundle: Path, tmp_path: Path) -> None:
    export_study(record, tmp_path / "again.tar.gz", checkpoints=False)
    assert (tmp_path / "again.tar.gz").read_bytes() == bundle.read_bytes()


def test_an_imported_study_can_have_another_name(bundle: Path, tmp_path: Path) -> None:
    assert import_study(bundle, tmp_path, "other").paths.folder == tmp_path / "other"
    with pytest.raises(BadStudyInput, match="--name OTHER"):
        import_study(bundle, tmp_path, "other")
    with pytest.raises(BadStudyInput, match="--name OTHER"):
        import_study(bundle, tmp_path, None)


@pytest.mark.parametrize("name", ["../out", "/out", "a/b", ".hidden"])
def test_a_name_cannot_leave_the_folder_of_studies(bundle: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadStudyInput, match="no name of a study"):
        import_study(bundle, tmp_path / "elsewhere", name)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(record: Record, bundle: Path) -> None:
    before = bundle.read_bytes()
    with pytest.raises(BadStudyInput, match="there already"):
        export_study(record, bundle, checkpoints=False)
    assert bundle.read_bytes() == before


def test_a_running_study_is_not_exported(record: Record, tmp_path: Path) -> None:
    with record.driving(), pytest.raises(StudyError, match="is being run by process"):
        export_study(Record(record.paths), tmp_path / "never.tar.gz", checkpoints=False)
    assert not (tmp_path / "never.tar.gz").exists()


def test_a_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadStudyInput, match=r"there is no .*study export NAME"):
        import_study(tmp_path / "none.tar.gz", tmp_path, None)


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_bundle_leaves_nothing(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("truncated")
    whole = made(folder / "whole.tar.gz", {"plan.json": b"{}", "trials/gt/t00/epochs.jsonl": b"x" * 5000})
    packed = whole.read_bytes()
    # Cut the archive itself: in the gzip stream the last bytes are a checksum that says nothing of the files.
    tar = gzip.decompress(packed)
    content = tar[: int(share * tar.rindex(b"x" * 5000)) + 1]
    (folder / "cut.tar.gz").write_bytes(gzip.compress(content))
    with pytest.raises(BadStudyInput):
        import_study(folder / "cut.tar.gz", folder / "studies", None)
    assert list((folder / "studies").iterdir()) == []


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_bundle_cut_short_in_transfer_leaves_nothing(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    packed = made(folder / "whole.tar.gz", {"plan.json": bytes(range(256)) * 20}).read_bytes()
    (folder / "cut.tar.gz").write_bytes(packed[: int(share * len(packed) * 0.9)])
    with pytest.raises(BadStudyInput):
        import_study(folder / "cut.tar.gz", folder / "studies", None)
    assert list((folder / "studies").iterdir()) == []


@pytest.mark.parametrize(
    ("members", "changes", "complaint"),
    [
        pytest.param({"../out": b"x"}, {}, "leaves the study folder", id="a path to the parent"),
        pytest.param({"/tmp/out": b"x"}, {}, "leaves the study folder", id="an absolute path"),
        pytest.param({"plan.json": b"x"}, {"study": "../x"}, "leaves the study folder", id="a study elsewhere"),
        pytest.param({"plan.json": b"x"}, {"study": "a b"}, "no name of a study", id="no name of a study"),
        pytest.param({"plan.json": b"x"}, {"format": 2}, "format 2", id="a later format"),
        pytest.param({"plan.json": b"x"}, {"files": []}, "another form", id="a list of files"),
        pytest.param({"plan.json": b"x"}, {"files": {}}, "does not list", id="an unlisted file"),
        pytest.param({"plan.json": b"x"}, {"files": {"plan.json": "0"}}, "than was exported", id="another content"),
        pytest.param({}, {"files": {"plan.json": "0"}}, "lacks 1 files", id="a missing file"),
    ],
)
def test_a_bundle_that_was_tampered_with_is_refused(
    tmp_path: Path, members: dict[str, bytes], changes: dict[str, object], complaint: str
) -> None:
    path = made(tmp_path / "bad.tar.gz", members, **changes)
    with pytest.raises(BadStudyInput, match=complaint):
        import_study(path, tmp_path / "studies", None)
    assert list((tmp_path / "studies").iterdir()) == []


def test_a_link_in_a_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar.gz"
    manifest = json.dumps({"format": 1, "study": "small", "files": {"plan.json": "0"}}).encode()
    with tarfile.open(path, "w:gz") as tar:
        first = tarfile.TarInfo(MANIFEST)
        first.size = len(manifest)
        tar.addfile(first, io.BytesIO(manifest))
        link = tarfile.TarInfo("plan.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BadStudyInput, match=r"plan\.json"):
        import_study(path, tmp_path / "studies", None)


def test_something_else_is_no_bundle(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    with pytest.raises(BadStudyInput, match="does not begin with"):
        import_study(tmp_path / "other.tar.gz", tmp_path / "studies", None)
    (tmp_path / "text").write_text("no archive at all")
    with pytest.raises(BadStudyInput, match="cannot be read"):
        import_study(tmp_path / "text", tmp_path / "studies", None)
