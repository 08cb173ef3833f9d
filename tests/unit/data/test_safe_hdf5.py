"""HDF5 files from strangers: what is stored plainly is read, everything else is named."""

import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpgan_core.data.safe_hdf5 import open_hdf5, read_dataset
from hpgan_core.errors import BadInput, MalformedRecording

VALUES = np.random.default_rng(0).normal(size=(96, 40))
Make = Callable[[h5py.File], Any]


def written(folder: Path, make: Make, **options: Any) -> Path:
    path = folder / "file.h5"
    with h5py.File(path, "w", **options) as file:
        make(file)
    return path


def read(path: Path, name: str = "group/values", **limits: Any) -> np.ndarray:
    with open_hdf5(path) as file:
        return read_dataset(file, name, **{"shape": (96, None)} | limits)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"chunks": (7, 9)},
        {"chunks": (7, 9), "maxshape": (96, None)},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (7, 9)},
    ],
)
@pytest.mark.parametrize("values", [VALUES, np.zeros((96, 40)), VALUES.astype(">f4"), np.zeros((96, 0))])
def test_what_is_stored_in_the_file_is_read(
    tmp_path: Path, values: np.ndarray, storage: dict[str, Any], libver: str
) -> None:
    if values.size or not storage:
        path = written(
            tmp_path, lambda file: file.create_dataset("group/values", data=values, **storage), libver=libver
        )
        assert np.array_equal(read(path), values)


def test_a_chunk_that_gzip_did_not_make_smaller_is_read(tmp_path: Path) -> None:
    assert np.array_equal(read(written(tmp_path, one_chunk(VALUES.tobytes(), filter_mask=1))), VALUES)


def test_names_are_read_as_text_of_fixed_length(tmp_path: Path) -> None:
    path = written(tmp_path, lambda file: file.create_dataset("names", data=np.array([b"one", b"other"])))
    assert read(path, "names", shape=(None,), kinds="S").tolist() == [b"one", b"other"]


def link_to_another_file(file: h5py.File) -> None:
    with h5py.File(f"{file.filename}.other", "w") as other:
        other["group/values"] = VALUES
        file["group"] = h5py.ExternalLink(other.filename, "/group")


def soft_link(file: h5py.File) -> None:
    file["place"] = VALUES
    file["group/values"] = h5py.SoftLink("/place")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(VALUES.shape, "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "values", VALUES.shape)
    file.create_virtual_dataset("group/values", layout)


def external(file: h5py.File) -> None:
    storage = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("group/values", VALUES.shape, "f8", external=storage)


def bomb(file: h5py.File, inflated: int = 2**29) -> None:
    """A chunk of 12 MiB whose half a megabyte inflates to 512."""
    file.create_dataset("group/values", (96, 2**14), "f8", chunks=(96, 2**14), compression="gzip")
    deflater = zlib.compressobj()
    content = b"".join(deflater.compress(bytes(2**24)) for _ in range(inflated >> 24)) + deflater.flush()
    file["group/values"].id.write_direct_chunk((0, 0), content)


def one_chunk(content: bytes, filter_mask: int = 0) -> Make:
    """``VALUES`` compressed by gzip, as their one chunk holds them."""

    def make(file: h5py.File) -> None:
        file.create_dataset("group/values", VALUES.shape, "f8", chunks=VALUES.shape, compression="gzip")
        file["group/values"].id.write_direct_chunk((0, 0), content, filter_mask)

    return make


def gzip_of_gzip(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(VALUES.shape)
    for _ in range(2):
        properties.set_deflate(9)
    space = h5py.h5s.create_simple(VALUES.shape)
    h5py.h5d.create(file.create_group("group").id, b"values", h5py.h5t.IEEE_F64LE, space, properties)
    file["group/values"][...] = VALUES


HOSTILE: dict[str, tuple[Make, str]] = {
    "nothing": (lambda file: None, "expected dataset group/values, found no group in /"),
    "no dataset": (lambda file: file.create_group("group"), "expected dataset group/values, found no values in /group"),
    "group for dataset": (lambda file: file.create_group("group/values"), "found a group at values"),
    "dataset for group": (lambda file: file.create_dataset("group", data=VALUES), "found a dataset at group"),
    "external link": (link_to_another_file, "in the file itself, found a link to elsewhere at group"),
    "soft link": (soft_link, "in the file itself, found a link to elsewhere at values"),
    "virtual dataset": (virtual, "stored in this file"),
    "external storage": (external, "stored in this file"),
    "too few rows": (lambda file: file.create_dataset("group/values", data=VALUES[:95]), r"shape 96 × n, found \(95,"),
    "one axis": (lambda file: file.create_dataset("group/values", data=VALUES[:, 0]), "shape 96 × n"),
    "no shape": (lambda file: file.create_dataset("group/values", data=h5py.Empty("f8")), "shape 96 × n, found None"),
    "integers": (lambda file: file.create_dataset("group/values", data=np.ones((96, 4), int)), "type f, found int64"),
    "records": (
        lambda file: file.create_dataset("group/values", data=np.zeros((96, 4), [("x", "f8"), ("y", "f8")])),
        "type f, found",
    ),
    "objects": (lambda file: file.create_dataset("group/values", (96, 4), h5py.string_dtype()), "type f, found object"),
    "references": (lambda file: file.create_dataset("group/values", (96, 4), h5py.ref_dtype), "type f, found object"),
    "petabytes": (
        lambda file: file.create_dataset("group/values", (96, 10**12), "f8", chunks=(96, 1000)),
        "268435456 bytes or fewer",
    ),
    "empty chunks": (
        lambda file: file.create_dataset("group/values", (96, 10**5), "f8", chunks=(96, 1000)),
        "all 100 chunks of group/values, found 0",
    ),
    "empty storage": (lambda file: file.create_dataset("group/values", (96, 10**5), "f8"), "76800000 bytes of dataset"),
    "great chunks": (
        lambda file: file.create_dataset("group/values", (96, 4), "f8", chunks=(96, 10**6), maxshape=(96, None)),
        "chunks of group/values of 16777216 bytes or fewer",
    ),
    "other compression": (lambda file: file.create_dataset("group/values", data=VALUES, compression="lzf"), "one gzip"),
    "bomb": (bomb, "inflate to 12582912 bytes"),
    "fragment": (one_chunk(zlib.compress(VALUES.tobytes())[:-100]), "inflate to 30720 bytes"),
    "chunk with a tail": (one_chunk(zlib.compress(VALUES.tobytes()) + bytes(5000)), "of 30720 bytes or fewer, found"),
    "gzip of gzip": (gzip_of_gzip, r"no compression but one gzip of group/values, found filters \[1, 1\]"),
    "not a number": (lambda file: file.create_dataset("group/values", data=VALUES * np.nan), r"nan at \(0, 0\)"),
    "infinity": (lambda file: file.create_dataset("group/values", data=VALUES / [*[1.0] * 39, 0]), r"inf at \(0, 39\)"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(("make", "message"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_plainly_stored_is_named_at_little_cost(tmp_path: Path, make: Make, message: str) -> None:
    path = written(tmp_path, make)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MalformedRecording, match=message) as caught:
        read(path)
    assert caught.value.path == path
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb < 100_000


def test_size_limit_is_the_callers(tmp_path: Path) -> None:
    path = written(tmp_path, lambda file: file.create_dataset("group/values", data=VALUES))
    assert read(path, most_bytes=VALUES.nbytes).shape == VALUES.shape
    with pytest.raises(MalformedRecording, match="30719 bytes or fewer, found 30720"):
        read(path, most_bytes=VALUES.nbytes - 1)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 5000])
def test_what_is_not_hdf5_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(content)
    with pytest.raises(MalformedRecording, match="an intact HDF5 file"):
        read(path)


@pytest.mark.parametrize(
    ("path", "message"), [("/nowhere.h5", "No such file"), ("/dev/zero", "not a file"), ("/", "not a file")]
)
def test_what_cannot_be_opened_is_bad_input_and_no_damage(path: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read(Path(path))
    assert not isinstance(caught.value, MalformedRecording)


def test_every_fault_while_reading_is_damage_but_bad_input_stays_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, lambda file: None)
    with pytest.raises(MalformedRecording, match="an intact HDF5 file, found RuntimeError"), open_hdf5(path):
        raise RuntimeError
    with pytest.raises(BadInput, match=r"^mine$"), open_hdf5(path):
        raise BadInput("mine")


def test_a_file_that_is_being_written_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    hold = "import h5py, sys; file = h5py.File(sys.argv[1], 'w'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        with pytest.raises(BadInput, match="cannot be read") as caught:
            read(path)
        writer.stdin.close()
    assert not isinstance(caught.value, MalformedRecording)
