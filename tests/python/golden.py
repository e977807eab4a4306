"""The files of every version of the format that was ever written, in tests/data, still hold exactly what they held."""

import h5py
import numpy as np

import programs
from everything import METRIC, OPAQUE, SIZES, STEP, everything
from format_reader import Refused, opened
from read_with_h5py import raw

DATA = programs.REPOSITORY / "tests" / "data"
# The version of HDF5 that wrote each, which decides on the bytes of the metadata; the newest file last.
WRITTEN_BY = {"golden-v1.h5": "1.10.8"}
# Restored in C++ by tests/adapters/openssl.cpp.
KEYED = {"golden-v2-keyed.h5": b"0123456789abcdef"}


class Golden(programs.Case):
    def files(self):
        found = sorted(DATA.glob("golden-*.h5"))
        self.assertEqual({path.name for path in found}, {*WRITTEN_BY, *KEYED})
        for path in found:
            if path.name in KEYED:
                continue
            with self.subTest(path.name):
                self.assertLess(path.stat().st_size, 100_000)
                yield path

    def test_restores_in_cpp(self):
        for path in self.files():
            programs.run("write_everything", "--check", "--small", path)

    def test_reads_by_the_index(self):
        expected = everything(small=True)
        for path in self.files():
            checkpoint = opened(path)
            checkpoint.verify()
            self.assertEqual((checkpoint.step, checkpoint.metric), (STEP, METRIC))
            tensors = {name: e for name, e in checkpoint.entries.items() if e.kind == "tensor"}
            self.assertEqual(set(tensors), set(expected.tensors) | set(OPAQUE))
            for name, tensor in expected.tensors.items():
                found = tensors[name]
                self.assertEqual((found.dtype, found.shape, bytes(found.content)), (tensor.dtype, tensor.shape, tensor.content), name)
            self.assertEqual({name: e.target for name, e in checkpoint.entries.items() if e.kind == "alias"}, expected.aliases)

    def test_reads_with_a_key_by_the_index(self):
        for name, key in KEYED.items():
            checkpoint = opened(DATA / name, key)
            checkpoint.verify()
            self.assertEqual((checkpoint.version, checkpoint.step, checkpoint.metric), (2, STEP, METRIC))
            self.assertEqual(bytes(checkpoint.entries["model/weight"].content), np.array([0.5, 1, 1.5], np.float32).tobytes())
            for other in (None, key + b"!"):
                with self.assertRaises(Refused):
                    opened(DATA / name, other)
            with h5py.File(DATA / name, "r") as file:
                self.assertEqual(file["count"][()], 1000)
                self.assertEqual(file["holdfast"].attrs["digest"], "keyed" if isinstance(file["holdfast"].attrs["digest"], str) else b"keyed")

    def test_reads_in_h5py(self):
        expected = everything(small=True)
        for path in self.files():
            with h5py.File(path, "r") as file:
                for name, tensor in expected.tensors.items():
                    if tensor.content:
                        self.assertEqual(raw(file[name]), tensor.content, name)
                    if tensor.dtype in SIZES and not tensor.dtype.startswith(("bfloat", "float8", "string")):
                        self.assertEqual(file[name].dtype, np.dtype(tensor.dtype), name)

    def test_written_today_it_is_the_same_file(self):
        """The newest one, byte for byte, where HDF5 is the version that wrote it."""
        newest, by = list(WRITTEN_BY.items())[-1]
        today = self.written("today.h5", "--small")
        old, new = opened(DATA / newest), opened(today)
        self.assertEqual(list(old.entries), list(new.entries))
        for name, entry in old.entries.items():
            other = new.entries[name]
            self.assertEqual((entry.kind, entry.dtype, entry.shape, entry.digest, entry.place, entry.target),
                             (other.kind, other.dtype, other.shape, other.digest, other.place, other.target), name)
        version = programs.run("write_everything", "--hdf5").split()[-1]
        if version != by:
            self.skipTest(f"{newest} was written by HDF5 {by}, and this is {version}: its bytes were not compared")
        same = (DATA / newest).read_bytes() == today.read_bytes()
        self.assertTrue(same, f"the file of today is not {newest}: see Versions in docs/format.md")


if __name__ == "__main__":
    programs.main()
