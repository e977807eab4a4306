"""Tensors out of a checkpoint, as they are: bit for bit, and by the path that converts nothing."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

import h5py
import numpy as np

try:
    import ml_dtypes
except ImportError:  # numpy then shows the bits of narrow floats
    ml_dtypes = None

Array = np.ndarray[Any, Any]
File = Union[str, "os.PathLike[str]", h5py.File]

NARROW = {"bfloat16": np.uint16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}  # and what their bits are


class Entry(NamedTuple):
    path: str
    dtype: str  # as C++ names it
    shape: Tuple[int, ...]


class Table(List[Entry]):
    """Entries by path; printed, a table."""

    def __str__(self) -> str:
        width = max((len(e.path) for e in self), default=0)
        return "\n".join(f"{e.path:{width}}  {e.dtype}{list(e.shape) if e.dtype != 'absent' else ''}" for e in self)

    __repr__ = __str__


@contextlib.contextmanager
def opened(file: File) -> Iterator[h5py.File]:
    if isinstance(file, h5py.File):
        yield file
    else:
        with h5py.File(os.fspath(file), "r") as f:
            yield f


def encode(name: str) -> str:
    """Any text as one component of a path (docs/format.md, Text keys)."""
    if name in (".", ".."):
        return name.replace(".", "%2E")
    return re.sub(r"[\x00-\x1f\x7f/%]", lambda c: f"%{ord(c.group()):02X}", name) or "%"


def decode(component: str) -> str:
    if component == "%":
        return ""
    return re.sub(r"%([0-9A-F]{2})", lambda m: chr(int(m.group(1), 16)), component)


def is_bfloat16(kind: Any) -> bool:
    return bool(kind.get_class() == h5py.h5t.FLOAT and kind.get_size() == 2 and kind.get_fields() == (15, 7, 8, 0, 7) and kind.get_ebias() == 127)


def raw(dataset: h5py.Dataset) -> Array:
    """The bytes of every element, of which none is converted: libhdf5 converts bfloat16 slowly, and not every NaN exactly."""
    kind = dataset.id.get_type()
    content = np.empty((*dataset.shape, kind.get_size()), np.uint8)
    if content.size:
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, content, mtype=kind)
    return content


def dtype_of(dataset: h5py.Dataset) -> str:
    """The name of its element type in C++, "absent" for what was empty."""
    if dataset.shape is None:
        return "absent"
    kind = dataset.id.get_type()
    if is_bfloat16(kind):
        return "bfloat16"
    if kind.get_class() == h5py.h5t.STRING:
        return "string"
    named = dataset.attrs.get("dtype")
    if dataset.dtype == np.uint8 and named is not None:
        name = named.decode() if isinstance(named, bytes) else str(named)
        if name in NARROW:
            return name
    return str(dataset.dtype.newbyteorder("="))


def bits(dataset: h5py.Dataset) -> Tuple[str, Array]:
    """Its element type's name in C++, and its content: numpy's own types as they are, narrow floats as their bits."""
    name = dtype_of(dataset)
    if name == "bfloat16":
        order = ">" if dataset.id.get_type().get_order() == h5py.h5t.ORDER_BE else "<"
        return name, raw(dataset).view(f"{order}u2").reshape(dataset.shape).astype(np.uint16, copy=False)
    if name == "absent" or name == "string":
        raise TypeError(f"{dataset.file.filename}: {dataset.name}: expected a tensor, found {'nothing' if name == 'absent' else 'text'}")
    content = np.asarray(dataset[()])
    return name, content.astype(content.dtype.newbyteorder("="), copy=False)


def narrow(array: Array) -> Optional[str]:
    """Which of the narrow floats an array of ml_dtypes is of."""
    if ml_dtypes is None:
        return None
    return next((name for name in NARROW if array.dtype == getattr(ml_dtypes, name)), None)


def text(dataset: h5py.Dataset) -> str:
    if h5py.check_string_dtype(dataset.dtype).length is None:  # not holdfast's, but h5py's own
        return str(dataset.asstr()[()])
    return raw(dataset).tobytes().rstrip(b"\0").decode()


def group_of(f: h5py.File, prefix: str) -> h5py.Group:
    found = f.get("/" + prefix.strip("/"))
    if isinstance(found, h5py.Group):
        return found
    there = ", ".join("/" + name for name in f if name != "holdfast")
    raise KeyError(f"{f.filename}: expected a group /{prefix.strip('/')}, found {'a dataset' if found is not None else 'none; there is ' + there}")


def identity(item: Any) -> Any:
    """Equal for all names of one object of the file."""
    return h5py.h5o.get_info(item.id).addr


def walk(group: h5py.Group) -> Iterator[Tuple[List[str], h5py.Dataset]]:
    """Every dataset below, with the components of its path there. Only hard links are followed, and none back to where it came from."""
    stack: List[Tuple[List[str], h5py.Group, Tuple[Any, ...]]] = [([], group, (identity(group),))]
    while stack:
        path, here, above = stack.pop()
        deeper = []
        for name in here:
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                continue
            item = here[name]
            if isinstance(item, h5py.Dataset):
                yield [*path, name], item
            elif isinstance(item, h5py.Group) and identity(item) not in above:
                deeper.append(([*path, name], item, (*above, identity(item))))
        stack.extend(reversed(deeper))


def inspect(file: File) -> Table:
    """What is in a checkpoint: path, dtype as C++ names it, and shape of each tensor. Prints as a table."""
    with opened(file) as f:
        found = [Entry("/" + "/".join(path), dtype_of(d), tuple(d.shape or ())) for path, d in walk(f) if path[0] != "holdfast"]
    return Table(sorted(found))


def to_numpy(file: File, prefix: str = "model") -> Dict[str, Array]:
    """The tensors below /prefix as numpy arrays, by dotted name. Narrow floats have ml_dtypes' types where that is installed,
    and else are their bits, as uint16 or uint8. Text and what is absent are left out."""
    with opened(file) as f:
        found: Dict[str, Array] = {}
        for path, dataset in walk(group_of(f, prefix)):
            if dtype_of(dataset) in ("absent", "string"):
                continue
            name, content = bits(dataset)
            found[".".join(map(decode, path))] = content.view(getattr(ml_dtypes, name)) if name in NARROW and ml_dtypes is not None else content
        return found


def scalar(dataset: h5py.Dataset) -> Optional[Any]:
    """An option as Python has it: bool, int, float, str, a tuple of them, or None where it is absent."""
    kind = dtype_of(dataset)
    if kind == "absent":
        return None
    if kind == "string":
        return text(dataset)
    value = dataset[()].tolist()
    return tuple(value) if isinstance(value, list) else value
