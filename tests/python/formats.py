"""safetensors, .npz and the package's own HDF5 files go from C++ to Python and back, with every bit: read and written by the
libraries of the formats where they are installed, and by a few lines of this test's own."""

import json
import struct
import subprocess
import sys

import h5py
import numpy as np

import programs

sys.path.insert(0, str(programs.REPOSITORY / "python"))
import holdfast

try:
    import ml_dtypes
    import safetensors.numpy
except ImportError:
    safetensors = None

SIZES = dict(enumerate((1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16, 1, 1), 1))
NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64",
         "complex64", "complex128", "float8_e4m3fn", "float8_e5m2")
TYPES = {"bool": "BOOL", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
         "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def content(number):
    """As formats.cpp fills a tensor of the dtype of that number."""
    return bytes(k % 2 if number == 1 else (37 * k + 11 * number + 5) % 251 for k in range(6 * SIZES[number]))


TENSORS = {name: content(number) for number, name in enumerate(NAMES, 1)}
COLUMN_MAJOR = np.array([[0, 1, 2], [10, 11, 12]], np.float32)
ENTRIES = {f"tensors/{name}": (TYPES[name], [2, 3], TENSORS[name]) for name in TYPES} | {
    "column.major": ("F32", [2, 3], COLUMN_MAJOR.tobytes()), "empty": ("F32", [0, 4], b""),
    "tied/a": ("F32", [3], np.array([1, 2, 3], np.float32).tobytes()), "progress/step": ("I64", [], np.int64(1000).tobytes())}


def read_safetensors(path):
    """A reader from the description of the format alone."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    return metadata, {name: (e["dtype"], e["shape"], data[8 + size:][slice(*e["data_offsets"])]) for name, e in header.items()}


def write_safetensors(path, entries, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, (dtype, shape, part) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def native(name):
    """A tensor as numpy has it, narrow floats as their bits."""
    kind = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}.get(name, name)
    return np.frombuffer(TENSORS[name], kind).reshape(2, 3)


class Formats(programs.Case):
    def test_safetensors_from_cpp(self):
        path = self.folder / "cpp.safetensors"
        programs.run("formats", "export", path)
        metadata, entries = read_safetensors(path)
        self.assertEqual(metadata, {"format": "pt", "tied/b": "tied/a"})
        self.assertEqual(entries, ENTRIES)
        if safetensors is not None:
            found = safetensors.deserialize(path.read_bytes())
            self.assertEqual({name: (e["dtype"], list(e["shape"]), bytes(e["data"])) for name, e in found}, ENTRIES)
            with safetensors.safe_open(path, "np") as f:
                self.assertEqual(f.metadata(), metadata)
                np.testing.assert_array_equal(f.get_tensor("column.major"), COLUMN_MAJOR)

    def test_safetensors_to_cpp(self):
        path = self.folder / "own.safetensors"
        write_safetensors(path, ENTRIES, {"tied/b": "tied/a", "format": "pt"})
        programs.run("formats", "import", path)
        if safetensors is not None:
            path = self.folder / "package.safetensors"
            kinds = {dtype: getattr(ml_dtypes, name) if name in NARROW else name for name, dtype in TYPES.items()}
            arrays = {name: np.frombuffer(part, kinds[dtype]).reshape(shape) for name, (dtype, shape, part) in ENTRIES.items()}
            safetensors.numpy.save_file(arrays, path, {"tied/b": "tied/a"})
            programs.run("formats", "import", path)

    def test_npz_to_cpp(self):
        arrays = {f"tensors/{name}": native(name) for name in NAMES if name not in NARROW}
        arrays["column.major"] = np.asfortranarray(COLUMN_MAJOR)
        arrays |= {"empty": np.empty((0, 4), np.float32), "tied/a": np.array([1, 2, 3], np.float32), "progress/step": np.int64(1000)}
        swapped = {name: a.astype(a.dtype.newbyteorder(">")) for name, a in arrays.items()}
        for name, save, given in (("stored", np.savez, arrays), ("deflated", np.savez_compressed, arrays), ("big", np.savez, swapped)):
            save(self.folder / f"{name}.npz", **given)
            programs.run("formats", "import", self.folder / f"{name}.npz")

    def state(self):
        """What formats.cpp has, for the package to write."""
        from holdfast._write import Tensor  # noqa: the bits of narrow floats, where there is neither ml_dtypes nor torch
        tied = Tensor("float32", np.array([1, 2, 3], np.float32), "one memory")
        return {"tensors": {name: Tensor(name, native(name)) for name in NAMES}, "column.major": COLUMN_MAJOR.T.copy().T, "empty": np.empty((0, 4), np.float32),
                "tied": {"a": tied, "b": tied}, "progress": {"step": 1000}, "text": "größe", "absent": None, "none": {}}

    def test_package_to_cpp(self):
        path = self.folder / "package.h5"
        holdfast.from_state_dict(path, step=7, **self.state())
        self.assertEqual(programs.run("formats", "import", path), "step 7, verified\n")
        self.assertEqual(sorted(p.name for p in self.folder.glob(".holdfast*")), [])
        self.assertEqual(holdfast.verify(path).without_digest, [])
        with h5py.File(path, "r+") as f:
            f["tensors/float32"][0, 0] = 4
        with self.assertRaisesRegex(holdfast.IntegrityError, "/tensors/float32: its content is not what was saved"):
            holdfast.verify(path)
        self.assertIn("/tensors/float32: its content is not what was saved", programs.run("formats", "import", path, expect=1))

    def test_package_from_cpp(self):
        path = self.folder / "cpp.h5"
        programs.run("formats", "export", path)
        found = holdfast.to_numpy(path, "tensors")
        self.assertEqual({name: a.tobytes() for name, a in found.items()}, TENSORS)
        self.assertEqual({a.shape for a in found.values()}, {(2, 3)})
        try:
            import ml_dtypes
            self.assertEqual(found["bfloat16"].dtype, ml_dtypes.bfloat16)
            again = self.folder / "again.h5"  # arrays of ml_dtypes are written as what they are
            holdfast.from_state_dict(again, **(self.state() | {"tensors": found}))
            programs.run("formats", "import", again)
        except ImportError:
            self.assertEqual(found["bfloat16"].dtype, np.uint16)
        table = holdfast.inspect(path)
        self.assertIn(("/tensors/bfloat16", "bfloat16", (2, 3)), table)
        self.assertIn("/absent                 absent\n", str(table))
        self.assertEqual({e.path for e in table} >= {"/tied/a", "/tied/b", "/text"}, True)
        with self.assertRaisesRegex(KeyError, "expected a group /modle, found none; there is /absent"):
            holdfast.to_numpy(path, "modle")

    def test_verify_a_sealed_file(self):
        path = self.folder / "sealed.h5"
        programs.run("formats", "export", path)
        whole = path.read_bytes()
        sealed = holdfast.verify(path)
        self.assertTrue(sealed.sealed)
        self.assertIn("/tensors/float64", sealed.verified)
        tensor = whole.index(TENSORS["float64"])
        for at, why in ((tensor + 3, "/tensors/float64: its 48 bytes are not those that were saved"), (200, "the HDF5 metadata is damaged"),
                        (len(whole) - 300, "the index is damaged"), (len(whole) - 100, "the trailer is damaged")):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            with self.assertRaisesRegex(holdfast.IntegrityError, f"sealed.h5: {why}.*; the file is damaged"):
                holdfast.verify(path)
        path.write_bytes(whole[:300] + whole[301:])
        with self.assertRaisesRegex(holdfast.IntegrityError, "truncated or spliced"):
            holdfast.verify(path)
        path.write_bytes(whole)
        with self.assertRaisesRegex(holdfast.IntegrityError, "without a key"):
            holdfast.verify(path, key=b"0123456789abcdef")

    def test_verify_with_a_key(self):
        golden = programs.REPOSITORY / "tests/data/golden-v2-keyed.h5"
        self.assertTrue(holdfast.verify(golden, key=b"0123456789abcdef").verified)
        with self.assertRaisesRegex(holdfast.IntegrityError, "not made with this key"):
            holdfast.verify(golden, key=b"0123456789abcdeg")
        with self.assertRaisesRegex(holdfast.IntegrityError, "sealed with a key"):
            holdfast.verify(golden)

    def test_verify_what_was_rewritten(self):
        path, packed = self.written(), self.folder / "packed.h5"
        self.assertTrue(holdfast.verify(path).sealed)
        subprocess.run(["h5repack", "-m", "1", "-f", "GZIP=6", path, packed], check=True, capture_output=True)
        again = holdfast.verify(packed)
        self.assertFalse(again.sealed)
        self.assertEqual(again.without_digest, [])
        self.assertGreater(len(again.verified), 50)

    def test_a_failed_write_leaves_what_was_there(self):
        path = self.folder / "kept.h5"
        path.write_bytes(b"old")
        with self.assertRaisesRegex(TypeError, "/a/b: expected numbers, text, None"):
            holdfast.from_state_dict(path, a={"b": object()})
        with self.assertRaisesRegex(ValueError, "own group"):
            holdfast.from_state_dict(path, **{"holdfast": {}})
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual(sorted(p.name for p in self.folder.glob(".holdfast*")), [])

    def test_keras_to_cpp(self):
        path = self.folder / "keras.weights.h5"  # the layout of Keras 3
        with h5py.File(path, "w") as f:
            f["layers/dense/vars/0"] = np.array([[0, 1], [10, 11], [20, 21]], np.float32)
            f.create_dataset("layers/dense/vars/1", data=np.array([5, 6], np.float32), compression="gzip")
            f["layers/dense"].attrs["name"] = "dense"
            f["optimizer/vars/0"] = 7
        programs.run("formats", "keras", path)

    def test_names_of_any_text(self):
        path = self.folder / "names.h5"
        names = ["fc1.weight", "a/b", ".", "..", "", "%", "%2F", "50%", "x\ny", "größe"]
        holdfast.from_state_dict(path, model={name: np.float32(i) for i, name in enumerate(names)})
        self.assertEqual(holdfast.to_numpy(path), {name: np.float32(i) for i, name in enumerate(names)})


if __name__ == "__main__":
    programs.main()
