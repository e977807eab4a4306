#!/usr/bin/python3
"""Shows an HDF5 file as h5py sees it: the tree, types, shapes, and the values of scalars.

  h5view.py FILE [PATH]     with PATH: that dataset's values
"""

import os
import sys

import h5py

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def type_name(dataset):
    """What the program calls the type: `bfloat16` and its like stand in an attribute, as HDF5 has no name for them."""
    named = dataset.attrs.get("dtype")
    if named is not None:
        return named.decode() if isinstance(named, bytes) else str(named)
    return "string" if h5py.check_string_dtype(dataset.dtype) else str(dataset.dtype)


def value(dataset):
    """A scalar's value; of text, the beginning."""
    if dataset.shape != ():
        return ""
    if not h5py.check_string_dtype(dataset.dtype):
        return str(dataset[()])
    text = dataset.asstr()[()].split("\n")[0]
    return repr(text[:40]) + ("..." if len(text) > 40 else "")


def show(group, indent="  "):
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            print(indent + paint(name + "/", 34))
            show(item, indent + "  ")
        else:
            kind = type_name(item) + (str(list(item.shape)) if item.shape else "")
            print(f"{indent + name:<44} {kind:<22} {value(item)}".rstrip())


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    with h5py.File(sys.argv[1], "r") as file:
        if len(sys.argv) == 3:
            print(file[sys.argv[2]][()])
            return
        show(file)
        example(file)


def example(file):
    """How a reader gets at one value: the first of the largest array of numbers."""
    arrays = []
    file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) and item.shape else None)
    arrays = [a for a in arrays if a.dtype.kind == "f" and a.size]
    if arrays:
        largest = max(arrays, key=lambda a: a.size)
        print(f'\n  >>> h5py.File("{file.filename}")["{largest.name[1:]}"][{", ".join("0" * largest.ndim)}]')
        print(f"  {largest[(0,) * largest.ndim]!r}")


if __name__ == "__main__":
    main()
