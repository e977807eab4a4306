#!/usr/bin/python3
"""The Python libraries that holdfast is compared with. Speaks the line protocol of worker.hpp; what cannot be imported is not offered."""

import ctypes
import importlib
import os
import pathlib
import random
import sys
import time

import numpy


def find(module):
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


torch, h5py, safetensors = find("torch"), find("h5py"), find("safetensors.numpy")


def status_bytes(key):
    for line in pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in /proc/self/status")


class Tensors:
    """The workload as numpy arrays by name, and the same memory as torch's tensors."""

    def __init__(self, description):
        rng = numpy.random.default_rng(1)
        self.arrays = {}
        for line in pathlib.Path(description).read_text(encoding="utf-8").splitlines():
            name, dtype, *extents = line.split()
            array = numpy.empty(tuple(map(int, extents)), dtype)
            array[...] = rng.random(array.shape, numpy.float32) if dtype == "float32" else rng.integers(1, 1 << 30, array.shape)
            self.arrays[name] = array
        self.bytes = sum(a.nbytes for a in self.arrays.values())
        self.first = {name: a.flat[0] for name, a in self.arrays.items()}
        self.torch = {name: torch.from_numpy(a) for name, a in self.arrays.items()} if torch else {}

    def check(self, loaded):
        for name, first in self.first.items():
            if loaded[name].reshape(-1)[0] != first:
                raise RuntimeError(f"{name} is not what was saved")


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def saver(save, durable):
    """A contender that runs `save(tensors, path)`, with the fsync that a program needs after it."""
    def work(tensors, path):
        save(tensors, path)
        if durable:
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
    return lambda tensors, path: timed(lambda: work(tensors, path))[0]


def loader(load):
    """A contender that runs `load(tensors, path)`, which returns what it loaded by name."""
    def run(tensors, path):
        took, loaded = timed(lambda: load(tensors, path))
        tensors.check(loaded)
        return took
    return run


def one(load, runs):
    """A contender that runs `load(name, path)` for a few names and returns what one took."""
    def run(tensors, path):
        names = random.choices(list(tensors.arrays), k=runs)
        return timed(lambda: [load(name, path) for name in names])[0] / runs
    return run


def memory_of(load):
    """A contender that returns the bytes that this process has more while it loads than before."""
    def run(tensors, path):
        ctypes.CDLL(None).malloc_trim(0)
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
        before = status_bytes("VmRSS")
        load(tensors, path)
        return max(0, status_bytes("VmHWM") - before)
    return run


def h5py_save(tensors, path):
    with h5py.File(path, "w") as file:
        for name, array in tensors.arrays.items():
            file.create_dataset(name, data=array)


def h5py_load(tensors, path):
    with h5py.File(path, "r") as file:
        for name, array in tensors.arrays.items():
            file[name].read_direct(array)
    return tensors.arrays


def h5py_one(name, path):
    with h5py.File(path, "r") as file:
        return file[name][()]


def numpy_save(tensors, path):
    with open(path, "wb") as file:  # savez adds a suffix to a path
        numpy.savez(file, **tensors.arrays)


def numpy_load(tensors, path):
    with numpy.load(path) as file:
        return {name: file[name] for name in tensors.arrays}


def safetensors_one(name, path):
    with sys.modules["safetensors"].safe_open(path, framework="np") as file:
        return file.get_tensor(name)


def contenders():
    all_savers = {"numpy.savez": numpy_save}
    found = {"numpy.load": loader(numpy_load)}
    if torch:
        all_savers["torch.save"] = lambda tensors, path: torch.save(tensors.torch, path)
        found |= {"torch.load": loader(lambda _, path: torch.load(path)), "torch.load, memory": memory_of(lambda _, path: torch.load(path))}
    if safetensors:
        all_savers["safetensors"] = lambda tensors, path: safetensors.save_file(tensors.arrays, path)
        found |= {"safetensors, load": loader(lambda _, path: safetensors.load_file(path)), "safetensors one tensor": one(safetensors_one, 5)}
    if h5py:
        all_savers["h5py"] = h5py_save
        found |= {"h5py, read_direct": loader(h5py_load), "h5py one tensor": one(h5py_one, 20)}
    for name, save in all_savers.items():
        found |= {name: saver(save, True), f"{name}, no fsync": saver(save, False)}
    return found


def versions():
    found = [f"Python {sys.version.split()[0]}"]
    for name in ("numpy", "torch", "h5py", "safetensors"):
        if name in sys.modules:
            found.append(f"{name} {sys.modules[name].__version__}")
    return found


def main():
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply
    known, tensors = contenders(), None
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        try:
            if command == "contenders":
                reply = ["ok", *known]
            elif command == "versions":
                reply = ["ok", *versions()]
            elif command == "workload":
                tensors = Tensors(*words)
                reply = ["ok", str(tensors.bytes)]
            elif command == "run":
                reply = ["ok", f"{known[words[0]](tensors, words[1]):.9g}"]
            else:
                raise ValueError(f"no command: {command}")
        except Exception as e:  # the other side decides
            reply = ["error", " ".join(f"{type(e).__name__}: {e}".split())]
        print("\t".join(reply), file=replies, flush=True)


main()
