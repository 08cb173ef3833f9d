"""HDF5 files that nobody has to trust: checked before they are read, in time and memory that their size bounds.

A damaged or hostile file can point to other files, name storage it does not have, declare shapes of petabytes or hold
a few bytes that inflate to gigabytes. Only what the project's own formats need is accepted: plain datasets of numbers
or fixed-length text, all of them stored in the file itself, uncompressed or by gzip.
"""

import math
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5l, h5z

from hpgan_core.errors import BadInput, MalformedRecording

MOST_BYTES = 2**28
MOST_CHUNK_BYTES = 2**24
_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)
_OVERHEAD_BYTES = 64  # of a stored chunk: a checksum, gzip's header


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading.

    Whatever goes wrong inside of the ``with`` block counts as damage of the file, because h5py reports damage by
    exceptions of nearly every type: keep work that is no reading out of the block.

    Raises:
        BadInput: there is no such file, or it may not be read, or is being written.
        MalformedRecording: it is not HDF5, or is damaged. A ``BadInput`` raised in the block passes unchanged.
    """
    path = Path(path)
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if not is_file:
        raise BadInput(f"{path} is not a file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except BadInput:
        raise
    except (PermissionError, BlockingIOError) as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        raise MalformedRecording(path, "an intact HDF5 file", str(error) or type(error).__name__) from error


def read_dataset(
    file: h5py.File, name: str, *, shape: tuple[int | None, ...], kinds: str = "f", most_bytes: int = MOST_BYTES
) -> np.ndarray:
    """All values of a dataset that passes the checks of ``checked_dataset``, finite if they are floating-point."""
    dataset = checked_dataset(file, name, shape=shape, kinds=kinds, most_bytes=most_bytes)
    values: np.ndarray = dataset[...]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise MalformedRecording(file.filename, f"finite values in dataset {name}", f"{values[place]} at {place}")
    return values


def checked_dataset(
    file: h5py.File, name: str, *, shape: tuple[int | None, ...], kinds: str = "f", most_bytes: int = MOST_BYTES
) -> h5py.Dataset:
    """A dataset that can be read, whole or by slices, without surprises; its values are not looked at.

    Args:
        file: as ``open_hdf5`` gives it, used inside of its block.
        name: path inside of the file, ``group/dataset``.
        shape: the length of each axis; None stands for any.
        kinds: NumPy's letters for the acceptable types of value, of ``f i u b S``.
        most_bytes: largest size of all values together.

    Raises:
        MalformedRecording: no such dataset, or one of another shape, type or size, or one that is not stored in
            this file, not stored in full, or compressed other than by gzip.
    """

    def malformed(expected: str, found: object) -> MalformedRecording:
        return MalformedRecording(file.filename, expected, str(found))

    group = file
    *groups, last = name.split("/")
    for part in groups:
        group = _member(group, part, h5py.Group, name)
    dataset = _member(group, last, h5py.Dataset, name)
    form = " × ".join("n" if length is None else str(length) for length in shape)
    found = dataset.shape
    if found is None or len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found, strict=True)):
        raise malformed(f"dataset {name} of shape {form}", found)
    if dataset.dtype.kind not in kinds:
        raise malformed(f"dataset {name} of type {' or '.join(kinds)}", dataset.dtype)
    n_bytes = math.prod(found) * dataset.dtype.itemsize
    if n_bytes > most_bytes:
        raise malformed(f"dataset {name} of {most_bytes} bytes or fewer", f"{n_bytes}, shape {found}")
    properties = dataset.id.get_create_plist()
    layout = properties.get_layout()
    if layout == h5d.VIRTUAL or properties.get_external_count():
        raise malformed(f"dataset {name} stored in this file", "one that lies in other files")
    if layout == h5d.CHUNKED:
        _check_chunks(dataset, name, malformed)
    elif dataset.id.get_storage_size() != n_bytes:
        raise malformed(f"{n_bytes} bytes of dataset {name}", f"{dataset.id.get_storage_size()}")
    return dataset


def _member(group: h5py.Group, name: str, kind: type[h5py.HLObject], wanted: str) -> h5py.HLObject:
    """The group or dataset ``name`` in ``group``, where it is there itself: links elsewhere are not followed."""
    path, key = group.file.filename, name.encode()
    if not group.id.links.exists(key):
        raise MalformedRecording(path, f"dataset {wanted}", f"no {name} in {group.name}")
    if group.id.links.get_info(key).type != h5l.TYPE_HARD:
        raise MalformedRecording(path, f"dataset {wanted} in the file itself", f"a link to elsewhere at {name}")
    member = group[name]
    if not isinstance(member, kind):
        raise MalformedRecording(path, f"dataset {wanted}", f"a {type(member).__name__.lower()} at {name}")
    return member


def _check_chunks(dataset: h5py.Dataset, name: str, malformed: Callable[[str, object], MalformedRecording]) -> None:
    """Each chunk is stored and, if it is compressed, inflates to no more than its declared size."""
    properties = dataset.id.get_create_plist()
    pipeline = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    # Other filters may load plug-ins. Twice the same one is a bomb in a bomb.
    if not set(pipeline) <= set(_FILTERS) or len(set(pipeline)) < len(pipeline):
        raise malformed(f"no compression but one gzip of {name}", f"filters {pipeline}")
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if chunk_bytes > MOST_CHUNK_BYTES:
        raise malformed(f"chunks of {name} of {MOST_CHUNK_BYTES} bytes or fewer", chunk_bytes)
    n_chunks = math.prod(math.ceil(length / step) for length, step in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != n_chunks:
        raise malformed(f"all {n_chunks} chunks of {name}", dataset.id.get_num_chunks())
    if not pipeline:
        return
    stored: list[h5d.StoreInfo] = []
    dataset.id.chunk_iter(stored.append)
    gzip_bit = 1 << pipeline.index(h5z.FILTER_DEFLATE) if h5z.FILTER_DEFLATE in pipeline else 0
    for chunk in stored:
        # What cannot be compressed grows a little.
        if chunk.size > 1.001 * chunk_bytes + _OVERHEAD_BYTES:
            raise malformed(f"chunks of {name} of {chunk_bytes} bytes or fewer", chunk.size)
        if gzip_bit & ~chunk.filter_mask:
            # HDF5 would inflate to the end, whatever the size.
            inflater = zlib.decompressobj()
            inflater.decompress(dataset.id.read_direct_chunk(chunk.chunk_offset)[1], chunk_bytes + _OVERHEAD_BYTES)
            if not inflater.eof:
                raise malformed(f"chunks of {name} that inflate to {chunk_bytes} bytes", "more, or a fragment")
