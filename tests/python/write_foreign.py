"""holdfast restores what h5py writes, and its own files after other programs rewrote them."""

import contextlib

import h5py
import numpy as np

import programs
from format_reader import Refused, opened


def numbers(n, first, dtype):
    x = np.arange(first, first + n, dtype=np.float64)
    if np.dtype(dtype).kind != "c":
        return x.astype(dtype)
    values = x.astype(dtype)
    values.imag = -x
    return values


def bfloat16_type(order):
    kind = (h5py.h5t.IEEE_F32LE if order == "<" else h5py.h5t.IEEE_F32BE).copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    return kind


def write_bfloat16(group, name, values, order):
    kind = bfloat16_type(order)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(values.shape))
    bits = (values.astype(np.float32).view(np.uint32) >> 16).astype(order + "u2")
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=kind)


class WriteForeign(programs.Case):
    def write_everyday(self, f):
        f["contiguous"] = numbers(12, 0, "<f4").reshape(3, 4)
        f.create_dataset("chunked", data=numbers(100, 0, "<f8"), chunks=(7,))
        f.create_dataset("gzip", data=numbers(2000, 0, "<i4").reshape(40, 50), chunks=(9, 11), compression="gzip", shuffle=True, fletcher32=True)
        f.create_dataset("scale_offset", data=numbers(100, 0, "<i4"), chunks=(30,), scaleoffset=0)
        f.create_dataset("cube", data=numbers(1001, 0, ">i8").reshape(7, 11, 13), chunks=(2, 3, 5), compression="gzip")
        # Wraps round at 65536, and is larger than what is read at once.
        f.create_dataset("large", data=np.arange(1200000).astype("<u2").reshape(1200, 1000), chunks=(64, 64), compression="gzip")
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((5,)), compact)
        f["compact"][...] = range(5)
        for group, order in (("little", "<"), ("big", ">")):
            for name in ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"):
                values = numbers(6, 1 if name[0] == "u" else -2, order + name).reshape(2, 3)
                f[f"{group}/{values.dtype.name}"] = values
            write_bfloat16(f[group], "bfloat16", numbers(6, -2, "f4").reshape(2, 3), order)
        f["float8"] = np.array([0x00, 0x3c, 0x40, 0x42], np.uint8)
        f["float8"].attrs["dtype"] = "float8_e5m2"
        f["bool"] = np.array([True, False, True])
        f["bool_scalar"] = True
        f["integer"] = -7
        f["real"] = 0.1
        f["uint8_scalar"] = np.uint8(9)
        f["text"] = "naïve 日本語"
        f["empty_text"] = ""
        f["bytes"] = np.bytes_(b"raw")
        f["padded"] = np.array(b"raw", "S8")
        f["no_bytes"] = np.bytes_(b"")
        f["texts"] = ["one", "", "größer"]
        f["fixed"] = np.array([b"one", b"three"], "S8")
        f.create_dataset("no_texts", (0,), h5py.string_dtype())
        f["nothing"] = h5py.Empty("f8")
        f["something"] = 2.5
        f["zero"] = np.zeros((0, 3), "f4")
        f.create_dataset("zero_chunked", (0,), "f4", maxshape=(None,), chunks=(10,))
        f["nested/a/b/w"] = numbers(2, 0, "f4")
        f["nested/a/b/имя"] = np.array([5], "f4")
        numbered = f.create_group("numbered", track_order=True)
        for i in (2, 0, 1):
            numbered[str(i)] = numbers(i + 1, 0, "f4")
        f.create_group("empty_group")
        f["enumeration"] = np.array([1, 0, 1], h5py.enum_dtype({"OFF": 0, "ON": 1}, np.int8))
        f["linked/second"] = numbers(4, 0, "f4")
        f["linked/first"] = f["linked/second"]
        # Neither is followed, nor is there anything to be unexpected.
        f["linked/soft"] = h5py.SoftLink("/contiguous")
        f["linked/external"] = h5py.ExternalLink("other.h5", "/contiguous")
        f["linked/first"].attrs["note"] = "of no concern"
        f["committed"] = np.dtype("f4")

    def test_everyday(self):
        """With the metadata of each version that HDF5 1.10, the oldest that the program may be built with, reads."""
        for low in ("earliest", "v108", "v110"):
            with self.subTest(low):
                path = self.folder / f"{low}.h5"
                with h5py.File(path, "w", libver=(low, "v110")) as f:
                    self.write_everyday(f)
                programs.run("read_foreign", path)

    def test_a_wrong_value_is_noticed(self):
        path = self.folder / "wrong.h5"
        with h5py.File(path, "w") as f:
            self.write_everyday(f)
            f["big/bfloat16"][0, 0] = 9
        self.assertIn("/big/bfloat16 has other values", programs.run("read_foreign", path, expect=1))

    def test_userblock(self):
        """HDF5 behind something else is refused with a reason, not misread."""
        path = self.folder / "userblock.h5"
        with h5py.File(path, "w", userblock_size=512) as f:
            self.write_everyday(f)
        self.assertIn("does not begin with HDF5's signature", programs.run("read_foreign", path, expect=1))

    def test_keras(self):
        path = self.folder / "model.weights.h5"
        with h5py.File(path, "w") as f:
            f.create_group("_layer_checkpoint_dependencies")
            for layer, shape in (("dense", (3, 4)), ("dense_1", (4, 3))):
                variables = f.create_group(f"layers/{layer}/vars")
                variables.parent.attrs["name"] = layer
                variables["0"] = numbers(12, 0, "f4").reshape(shape)
                variables["1"] = numbers(shape[1], 0, "f4")
            f["layers/dropout/seed_generator/vars/0"] = np.array([1, 2], np.uint32)
            f["optimizer/vars/0"] = np.int64(1000)
            f["optimizer/vars/1"] = np.float32(0.001)
            f["optimizer/vars/2"] = numbers(4, 0, "f4")
        programs.run("read_foreign", "--keras", path)

    def test_refusals(self):
        """What has no dtype, lies elsewhere or needs foreign code is refused by name."""
        path = self.folder / "refused.h5"
        with h5py.File(path, "w", libver="v110") as f:
            f.create_dataset("lzf", data=numbers(100, 0, "f4"), chunks=(10,), compression="lzf")
            f.create_dataset("external", (4,), "f4", external=[(str(self.folder / "raw.bin"), 0, 16)])
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(self.folder / "other.h5"), "x", (4,))
            f.create_virtual_dataset("virtual", layout)
            f.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int32))
            f["compound"] = np.zeros(2, [("x", "f4"), ("y", "i4")])
            f["reference"] = f["compound"].ref
            f["long_double"] = np.zeros(2, np.longdouble)
            f["times"] = np.zeros(2, "i8").astype(h5py.opaque_dtype(np.dtype("<M8[s]")))
        found = dict(line.split(": ", 1) for line in programs.run("read_foreign", "--refused", path).splitlines())
        no_dtype = "HDF5 data of a class that has no dtype"
        self.assertEqual(found, {
            "lzf": "a dataset with filter 32000, which is not HDF5's own",
            "external": "a dataset in external storage",
            "virtual": "a virtual dataset, whose data is in other files",
            "ragged": no_dtype, "compound": no_dtype, "reference": no_dtype, "long_double": no_dtype, "times": no_dtype})


class Rewritten(programs.Case):
    """Our files after others have rewritten them: unsealed, verified by the digests in /holdfast."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.written()

    def check(self, path, *options):
        with self.assertRaises(Refused):
            opened(path)
        self.assertIn("without holdfast's trailer", programs.run("write_everything", "--check", *options, path, expect=1))
        programs.run("write_everything", "--check", "--foreign", *options, path)

    def test_h5repack(self):
        # HDF5 1.10's h5repack stops at a filter for a dataset without elements, unless it leaves small ones alone (-m).
        for name, options in (("plain", []), ("gzip", ["-m", "1", "-f", "GZIP=6"]), ("shuffled", ["-m", "1", "-f", "SHUF", "-f", "GZIP=1"]),
                              ("fletcher", ["-m", "1", "-f", "FLET"]), ("chunked", ["-l", "/sizes/matrix:CHUNK=100x70"]),
                              ("latest", ["-L"])):
            with self.subTest(name):
                packed = self.folder / f"{name}.h5"
                programs.run("h5repack", *options, self.path, packed)
                self.check(packed)

    def test_h5repack_without_empty_tensors(self):
        path, packed = self.written("tiny.h5", "--tiny"), self.folder / "tiny_packed.h5"
        programs.run("h5repack", "-f", "GZIP=6", path, packed)
        self.check(packed, "--tiny")

    def test_h5py_copy(self):
        for libver in ("earliest", "v110"):
            with self.subTest(libver):
                copy = self.folder / f"copy_{libver}.h5"
                with h5py.File(self.path, "r") as source, h5py.File(copy, "w", libver=libver) as target:
                    for name in source:
                        source.copy(name, target)
                self.check(copy)

    def test_h5py_rewrite_value_by_value(self):
        """As a script would that knows nothing of holdfast: the numbers go through numpy."""
        copy = self.folder / "tiny_rewritten.h5"
        with h5py.File(self.written("tiny2.h5", "--tiny"), "r") as source, h5py.File(copy, "w") as target:
            target["model/tied"] = source["model/weight"][()].astype(">f4")
            target["model/weight"] = target["model/tied"]
            target.create_dataset("count", data=source["count"][()])
            target["name"] = source["name"].asstr()[()]
            target["holdfast/digests"] = np.bytes_(source["holdfast/digests"][()])
            target["holdfast/step"] = source["holdfast/step"][()]
        self.check(copy, "--tiny")

    def changed(self, name, mode):
        """A context with a copy of the checkpoint open in h5py."""
        copy = self.folder / name
        copy.write_bytes(self.path.read_bytes())
        return copy, h5py.File(copy, mode)

    def test_opening_for_writing_drops_the_seal(self):
        copy, file = self.changed("touched.h5", "r+")
        file.close()
        self.check(copy)

    def test_opening_for_reading_does_not(self):
        copy, file = self.changed("read.h5", "r")
        with contextlib.closing(file):
            file["sizes/matrix"][()]
        opened(copy).verify()
        programs.run("write_everything", "--check", copy)

    def test_a_changed_value_is_reported(self):
        copy, file = self.changed("changed.h5", "r+")
        file["sizes/matrix"][700, 999] = 12345
        file.close()
        message = programs.run("write_everything", "--check", "--foreign", copy, expect=1)
        self.assertIn("/sizes/matrix: its content is not what was saved", message)

    def test_an_added_tensor_is_unexpected(self):
        copy, file = self.changed("added.h5", "r+")
        file["model/extra"] = np.zeros(3)
        file.close()
        message = programs.run("write_everything", "--check", "--foreign", copy, expect=1)
        self.assertIn("/model/extra: found float64[3], not bound by the program", message)


if __name__ == "__main__":
    programs.main()
