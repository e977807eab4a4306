"""Writes plain HDF5 in holdfast's layout, with the digests that C++ verifies when it restores with trust::foreign."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import h5py
import numpy as np

from ._read import NARROW, Array, encode, narrow
from ._seal import digest_with, in_blocks, root

BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Content to be stored; `key` is equal for all names of one memory."""

    dtype: str  # as C++ names it
    bits: Array
    key: Any = None


Content = Union[Tensor, Mapping[str, Any], str, None]


def bfloat16() -> Any:
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_ebias(127)
    return kind


def of_value(value: Any) -> Content:
    """Python's and numpy's values as what C++ has of them: int is int64, float is float64, str is text, None is absent; a list
    of numbers is one dataset, and any other a group of 0, 1, …"""
    if value is None or isinstance(value, (str, Tensor, Mapping)):
        return value
    if isinstance(value, (list, tuple)) and not all(isinstance(v, (bool, int, float)) for v in value):
        return {str(i): v for i, v in enumerate(value)}
    array = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
    name = narrow(array)
    if name is not None:
        return Tensor(name, array.view(NARROW[name]))
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        raise TypeError(f"expected numbers, text, None, or dictionaries and lists of them, found {type(value).__name__} of {array.dtype}")
    return Tensor(str(array.dtype.newbyteorder("=")), array.astype(array.dtype.newbyteorder("<"), copy=False))


class Writer:
    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.digests: List[Tuple[str, bytes]] = []
        self.written: Dict[Any, Any] = {}
        self.digest = digest_with(None)

    def put(self, group: h5py.Group, name: str, value: Any) -> None:
        path = f"{group.name.rstrip('/')}/{name}"
        try:
            content = of_value(value)
        except TypeError as e:
            raise TypeError(f"{path}: {e}") from None
        link = name.encode()
        if isinstance(content, Mapping):
            below = group.create_group(name)
            for key, item in content.items():
                self.put(below, encode(key), item)
        elif content is None:
            group.create_dataset(name, data=h5py.Empty("f4"))
        elif isinstance(content, str):
            raw = content.encode()
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(max(len(raw), 1))
            kind.set_cset(h5py.h5t.CSET_UTF8)
            kind.set_strpad(h5py.h5t.STR_NULLPAD)
            dataset = h5py.h5d.create(group.id, link, kind, h5py.h5s.create(h5py.h5s.SCALAR), lcpl=self.utf8())
            if raw:
                dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.frombuffer(raw, np.uint8), mtype=kind)
            self.note(path, raw)
        else:
            if content.key is not None and content.key in self.written:
                group[name] = self.written[content.key]
                return
            # One of numpy's own types is h5py's; the others are given by hand, and written as they are.
            array = content.bits
            if content.dtype == "bfloat16":
                space = h5py.h5s.create_simple(array.shape) if array.ndim else h5py.h5s.create(h5py.h5s.SCALAR)
                dataset = h5py.h5d.create(group.id, link, bfloat16(), space, lcpl=self.utf8())
                if array.size:
                    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array.view(np.uint8), mtype=bfloat16())
                made = h5py.Dataset(dataset)
            else:
                made = group.create_dataset(name, data=array)
                if content.dtype.startswith("float8"):
                    made.attrs["dtype"] = np.bytes_(content.dtype)
            if content.key is not None:
                self.written[content.key] = made
            self.note(path, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    @staticmethod
    def utf8() -> Any:
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_char_encoding(h5py.h5t.CSET_UTF8)
        return links

    def note(self, path: str, content: Any) -> None:
        self.digests.append((path.lstrip("/"), root(in_blocks(content, BLOCK, self.digest), self.digest)))

    def finish(self, step: Optional[int]) -> None:
        lines = "".join(f"{digest.hex()}  {path}\n" for path, digest in sorted(self.digests, key=lambda d: d[0].encode()))
        self.put(self.file, "holdfast", {"step": -1 if step is None else step, "digests": lines})
        own = self.file["holdfast"]
        own.attrs.update({"writer": np.bytes_("holdfast"), "format": np.uint64(1), "digest": np.bytes_("xxh3-128"), "digest_block": np.uint64(BLOCK)})


@contextlib.contextmanager
def durable(path: str) -> Iterator[h5py.File]:
    """A file that appears under its name whole and durable, or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".holdfast-", suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        with h5py.File(temporary, "w", libver=("v110", "v110")) as f:
            yield f
        for name in (temporary, None, folder):
            if name is None:
                os.replace(temporary, path)
                continue
            descriptor = os.open(name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write(path: Union[str, "os.PathLike[str]"], content: Mapping[str, Any], step: Optional[int]) -> None:
    with durable(os.fspath(path)) as f:
        writer = Writer(f)
        for name, value in content.items():
            if name == "holdfast":
                raise ValueError("/holdfast is the library's own group")
            writer.put(f, encode(name), value)
        writer.finish(step)
