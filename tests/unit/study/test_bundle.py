"""A study as one file, and everything that can be wrong with such a file."""

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.bundle import ALWAYS_ALLOWED_BYTES, MANIFEST, MAX_TIMES, export_study, import_study
from study.comparison import compare
from study.errors import BadStudyInput, StudyError
from study.record import Record, Trial
from study.study_file import StudyFile

AddTrial = Callable[..., Trial]
StudyWith = Callable[..., StudyFile]


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


def listing(members: Mapping[str, bytes]) -> dict[str, object]:
    return {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} for name, content in members.items()
    }


def plain(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes], manifest: bytes) -> Path:
    """An archive of whatever members after a manifest."""
    with tarfile.open(path, "w:gz") as tar:
        for member, content in (plain(MANIFEST, manifest), *members):
            tar.addfile(member, io.BytesIO(content))
    return path


def made(path: Path, members: Mapping[str, bytes], *, study: str = "small", **changes: object) -> Path:
    """A bundle by hand; ``changes`` replace what its manifest says."""
    manifest = json.dumps({"format": 2, "study": study, "files": listing(members)} | changes).encode()
    return packed(path, *(plain(name, content) for name, content in members.items()), manifest=manifest)


def is_refused(path: Path, complaint: str) -> None:
    """In a sentence, with nothing left behind."""
    with pytest.raises(BadStudyInput, match=complaint) as refused:
        import_study(path, path.parent / "studies", None)
    assert refused.value.exit_code == 2
    assert list((path.parent / "studies").iterdir()) == []


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
        pytest.param({"//tmp/out": b"x"}, {}, "leaves the study folder", id="an absolute path with two slashes"),
        pytest.param({"./plan.json": b"x"}, {}, "not in its plain form", id="a second name of a file"),
        pytest.param({"plan.json": b"x", "a\0b": b"x"}, {}, "unlisted", id="a name that no file can have"),
        pytest.param({"plan.json": b"x"}, {"study": "../x"}, "leaves the study folder", id="a study elsewhere"),
        pytest.param({"plan.json": b"x"}, {"study": "a b"}, "no name of a study", id="no name of a study"),
        pytest.param({"plan.json": b"x"}, {"format": 3}, "format 3", id="a later format"),
        pytest.param({"plan.json": b"x"}, {"files": []}, "another form", id="a list of files"),
        pytest.param({"plan.json": b"x"}, {"files": {"plan.json": {"size": 1}}}, "another form", id="no digest"),
        pytest.param(
            {"plan.json": b"x"}, {"files": {"plan.json": {"sha256": "0", "size": -1}}}, "another form", id="no size"
        ),
        pytest.param(
            {"plan.json": b"x", "more": b"x"},
            {"files": listing({"plan.json": b"x"})},
            "unlisted",
            id="an unlisted file",
        ),
        pytest.param({"more": b"x"}, {}, "lacks plan.json", id="no plan"),
        pytest.param({"plan.json": b"x"}, {"files": {"plan.json": "0"}}, "than was exported", id="another content"),
        pytest.param(
            {"plan.json": b"xx"}, {"files": listing({"plan.json": b"x"})}, "than was exported", id="another size"
        ),
        pytest.param({}, {"files": {"plan.json": "0"}}, "lacks 1 files", id="a missing file"),
    ],
)
def test_a_bundle_that_was_tampered_with_is_refused(
    tmp_path: Path, members: dict[str, bytes], changes: dict[str, object], complaint: str
) -> None:
    is_refused(made(tmp_path / "bad.tar.gz", members, **changes), complaint)


@pytest.mark.parametrize(
    "name", ["driver.lock", "stop.json", "lease/999999.json", "ray/x.pkl", "report/report.html", "report"]
)
def test_what_no_export_writes_is_refused(tmp_path: Path, name: str) -> None:
    is_refused(
        made(tmp_path / "bad.tar.gz", {"plan.json": b"{}", name: b"x"}), rf"has '{name}', which no export writes"
    )


@pytest.mark.parametrize("released", [True, False])
def test_a_bundle_cannot_hold_the_study_for_somebody(record: Record, tmp_path: Path, released: bool) -> None:
    with record.driving():
        pass
    (lease,) = record.paths.lease.iterdir()
    left = json.loads(lease.read_text())
    forged = json.dumps(left | {"boot": "another", "renewed_at": left["renewed_at"] + 1e9, "released": released})
    plan = record.paths.plan.read_bytes()
    path = made(tmp_path / "other.tar.gz", {"plan.json": plan, "lease/000001.json": forged.encode()})
    if released:
        assert import_study(path, tmp_path / "studies", None).holder() is None
    else:
        is_refused(path, "somebody runs the study")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("name", [MANIFEST, "plan.json"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    path = tmp_path / "bad.tar.gz"
    if name == MANIFEST:
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(member)
        is_refused(path, f"does not begin with {MANIFEST}")
    else:
        manifest = json.dumps({"format": 2, "study": "small", "files": listing({name: b""})}).encode()
        is_refused(packed(path, (member, b""), manifest=manifest), r"plan\.json.*no plain file")


@pytest.mark.parametrize("dialect", ["old GNU", "PAX"])
def test_a_file_with_holes_is_refused_before_they_are_written(tmp_path: Path, dialect: str) -> None:
    member, _ = plain("plan.json", b"")
    huge = 400 << 20
    if dialect == "PAX":
        member.pax_headers = {"GNU.sparse.size": str(huge), "GNU.sparse.map": f"{huge},0"}
        raw = member.tobuf(tarfile.PAX_FORMAT)
    else:
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[156:157] = tarfile.GNUTYPE_SPARSE
        # One piece of no bytes at the end, and the size with all holes.
        header[386:410] = b"%011o\0%011o\0" % (huge, 0)
        header[483:495] = b"%011o\0" % huge
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        raw = bytes(header)
    files = {"plan.json": {"sha256": "0", "size": huge}}
    manifest, content = plain(MANIFEST, json.dumps({"format": 1, "study": "small", "files": files}).encode())
    first = manifest.tobuf() + content + bytes(-len(content) % tarfile.BLOCKSIZE)
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(gzip.compress(first + raw + bytes(2 * tarfile.BLOCKSIZE)))
    with tarfile.open(path) as tar:
        assert tar.getmember("plan.json").issparse()
        assert tar.getmember("plan.json").size == huge
    files["plan.json"]["size"] = 1
    is_refused(path, "larger than any study")


@pytest.mark.parametrize(
    "plan", [b"", b"{}", b"[]", b'{"file": {}}', b'{"file": []}', b'{"file": null}', b'{"a":' * 100_000]
)
def test_a_plan_that_is_none_is_refused(tmp_path: Path, plan: bytes) -> None:
    is_refused(made(tmp_path / "bad.tar.gz", {"plan.json": plan}), r"has a plan\.json that is no plan of a study")


def test_each_file_comes_once(tmp_path: Path) -> None:
    twice = plain("plan.json", b"x")
    manifest = json.dumps({"format": 2, "study": "small", "files": listing({"plan.json": b"x"})}).encode()
    is_refused(packed(tmp_path / "bad.tar.gz", twice, twice, manifest=manifest), r"has 'plan\.json' twice")


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_made_to_fill_a_disk_is_refused(tmp_path: Path, version: int) -> None:
    huge = {"plan.json": bytes(ALWAYS_ALLOWED_BYTES + 1)}
    files = {1: {name: hashlib.sha256(content).hexdigest() for name, content in huge.items()}, 2: listing(huge)}
    path = made(tmp_path / "bad.tar.gz", huge, format=version, files=files[version])
    assert path.stat().st_size < ALWAYS_ALLOWED_BYTES / MAX_TIMES
    is_refused(path, "larger than any study")


def test_a_header_is_not_read_into_memory_whatever_its_size(tmp_path: Path) -> None:
    header = tarfile.TarInfo("plan.json")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "bad.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    is_refused(tmp_path / "bad.tar.gz", "larger than any study")


def test_a_manifest_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    deep = b'{"format": 2, "study": "small", "files": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    is_refused(packed(tmp_path / "bad.tar.gz", manifest=deep), "another form")


def test_headers_of_headers_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("plan.json")
    header.type = tarfile.XHDTYPE
    (tmp_path / "bad.tar.gz").write_bytes(gzip.compress(header.tobuf() * 10_000))
    is_refused(tmp_path / "bad.tar.gz", "nested too deeply|cannot be read")


@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_in_a_sentence_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, study_with: StudyWith, at: float, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    plan = json.dumps({"file": study_with().canonical()}).encode()
    members = {"plan.json": plan, "trials/gt/t00/epochs.jsonl": b"x" * 700}
    tar = bytearray(gzip.decompress(made(folder / "whole.tar.gz", members).read_bytes()))
    tar[int(at * len(tar))] = byte
    (folder / "bad.tar.gz").write_bytes(gzip.compress(tar))
    with suppress(BadStudyInput):
        imported = import_study(folder / "bad.tar.gz", folder / "studies", "here")
        assert files_of(imported.paths.folder) == members


def test_a_bundle_of_the_version_before_is_read(record: Record, bundle: Path, tmp_path: Path) -> None:
    with tarfile.open(bundle) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    manifest = json.loads(members.pop(MANIFEST))
    digests = {name: listed["sha256"] for name, listed in manifest["files"].items()}
    path = made(tmp_path / "before.tar.gz", members, format=1, files=digests)
    assert compare(import_study(path, tmp_path / "elsewhere", None)).to_json() == compare(record).to_json()


def test_something_else_is_no_bundle(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    with pytest.raises(BadStudyInput, match="does not begin with"):
        import_study(tmp_path / "other.tar.gz", tmp_path / "studies", None)
    (tmp_path / "text").write_text("no archive at all")
    with pytest.raises(BadStudyInput, match="cannot be read"):
        import_study(tmp_path / "text", tmp_path / "studies", None)
