"""Stock h5py reads everything that holdfast writes: values bit for bit, types, shapes, names, links."""

import h5py
import numpy as np

import programs
from everything import OPAQUE, SIZES, STEP, everything

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


def raw(dataset):
    """The bytes as they are: with the file's own type as memory type, h5py converts nothing."""
    item = dataset.id.get_type().get_size()
    content = np.empty((*dataset.shape, item), np.uint8)
    if content.size:
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, content, mtype=dataset.id.get_type())
    return content.tobytes()


def bfloat16_bits(dataset):
    return np.frombuffer(raw(dataset), "<u2").reshape(dataset.shape)


class ReadWithH5py(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.written()
        cls.file = h5py.File(cls.path, "r")
        cls.addClassCleanup(cls.file.close)
        cls.expected = everything()

    def datasets(self, *dtypes):
        found = {path: t for path, t in self.expected.tensors.items() if t.dtype in dtypes}
        self.assertTrue(found)
        for path, tensor in found.items():
            with self.subTest(path):
                yield path, tensor, self.file[path]

    def test_names(self):
        """Everything that is expected is there, under every name, and nothing else."""
        names = set(self.expected.tensors) | set(OPAQUE) | self.expected.absent | self.expected.containers
        for name, target in sorted(self.expected.aliases.items(), reverse=True):  # a link inside shared/second before a link to it
            names |= {name + path[len(target):] for path in list(names) if (path + "/").startswith(target + "/")}
        names |= {path[:i] for path in names for i, c in enumerate(path) if c == "/"}
        found = set()

        def walk(group, prefix):
            for name, item in group.items():
                if prefix + name == "holdfast":
                    continue
                found.add(prefix + name)
                self.assertIsInstance(group.get(name, getlink=True), h5py.HardLink)
                if not name.isascii():
                    self.assertEqual(group.id.links.get_info(name.encode()).cset, h5py.h5t.CSET_UTF8)
                if isinstance(item, h5py.Group):
                    walk(item, prefix + name + "/")

        walk(self.file, "")
        self.assertEqual(found, names)

    def test_numpy_types(self):
        """All types that numpy has come as they are, with every bit."""
        native = [t for t in SIZES if not t.startswith(("bfloat", "float8", "string"))]
        for _, tensor, dataset in self.datasets(*native):
            self.assertEqual(dataset.dtype, np.dtype(tensor.dtype))
            self.assertEqual(dataset.shape, tensor.shape)
            self.assertEqual(np.asarray(dataset[()]).tobytes(), tensor.content)
            self.assertEqual(raw(dataset), tensor.content)

    def test_bfloat16(self):
        for _, tensor, dataset in self.datasets("bfloat16"):
            self.assertEqual(dataset.shape, tensor.shape)
            kind = dataset.id.get_type()
            self.assertEqual((kind.get_class(), kind.get_size(), kind.get_fields(), kind.get_ebias()), (h5py.h5t.FLOAT, 2, (15, 7, 8, 0, 7), 127))
            self.assertEqual(raw(dataset), tensor.content)

    def test_bfloat16_values(self):
        bits = bfloat16_bits(self.file["codes/bfloat16"])
        np.testing.assert_array_equal(bits.ravel(), np.arange(65536))
        values = (bits.astype(np.uint32) << 16).view(np.float32).ravel()
        self.assertEqual([values[code] for code in (0x0000, 0x3f80, 0xc000, 0x7f7f, 0x0001)], [0, 1, -2, 3.3895313892515355e38, 2.0**-133])
        self.assertTrue(np.isinf(values[0x7f80]) and np.isnan(values[0x7f81]) and np.signbit(values[0x8000]))
        if ml_dtypes is not None:
            self.assertEqual(bits.view(ml_dtypes.bfloat16).astype(np.float32).ravel().view(np.uint32)[0x3f81], 0x3f810000)
            np.testing.assert_array_equal(bits.view(ml_dtypes.bfloat16).astype(np.float32).ravel(), values)

    def test_float8(self):
        for _, tensor, dataset in self.datasets("float8_e4m3fn", "float8_e5m2"):
            self.assertEqual((dataset.dtype, dataset.shape), (np.uint8, tensor.shape))
            self.assertEqual(dataset.attrs["dtype"], tensor.dtype.encode())
            self.assertEqual(np.asarray(dataset[()]).tobytes(), tensor.content)

    def test_float8_values(self):
        if ml_dtypes is None:
            self.skipTest("ml_dtypes is not installed")
        for name, one, greatest in (("float8_e4m3fn", 0x38, 448), ("float8_e5m2", 0x3c, 57344)):
            dataset = self.file[f"codes/{name}"]
            values = dataset[()].view(getattr(ml_dtypes, dataset.attrs["dtype"].decode())).astype(np.float32).ravel()
            self.assertEqual((values[one], np.nanmax(values[np.isfinite(values)])), (1, greatest))

    def test_only_float8_has_attributes(self):
        for path, tensor in self.expected.tensors.items():
            self.assertEqual(len(self.file[path].attrs), tensor.dtype.startswith("float8"), path)

    def test_strings(self):
        for path, tensor, dataset in self.datasets("string"):
            *shape, width = tensor.shape
            self.assertEqual(dataset.shape, tuple(shape))
            text = h5py.check_string_dtype(dataset.dtype)
            self.assertEqual((text.encoding, text.length), ("utf-8", max(width, 1)))
            self.assertEqual(dataset.id.get_type().get_strpad(), h5py.h5t.STR_NULLPAD)
            if width:
                self.assertEqual(raw(dataset), tensor.content)
            else:
                self.assertEqual(raw(dataset).strip(b"\0"), b"")
        self.assertEqual(self.file["text/utf8"].asstr()[()], "naïve 日本語 🙂")
        self.assertEqual(self.file["text/empty"][()], b"")
        self.assertEqual(list(self.file["text/lines"].asstr()[()]), ["one", "", "größer"])
        self.assertEqual(raw(self.file["text/with_nul"]), b"a\0b\0")

    def test_hard_links(self):
        for name, target in self.expected.aliases.items():
            self.assertEqual(self.file[name], self.file[target])
            self.assertEqual(h5py.h5o.get_info(self.file[name].id).addr, h5py.h5o.get_info(self.file[target].id).addr)
        self.assertNotEqual(self.file["views/backwards"], self.file["views/every_other"])

    def test_absent(self):
        for path in self.expected.absent:
            self.assertIsInstance(self.file[path][()], h5py.Empty)
            self.assertIsNone(self.file[path].shape)

    def test_empty_containers(self):
        for path in self.expected.containers:
            self.assertIsInstance(self.file[path], h5py.Group)
        self.assertEqual(len(self.file["containers/no_keys"]), 0)

    def test_random_state_continues_in_numpy(self):
        state = self.file["rng/mt19937/state"][()]
        generator = np.random.MT19937()
        generator.state = {"bit_generator": "MT19937", "state": {"key": state[:624].astype(np.uint32), "pos": int(state[624])}}
        np.testing.assert_array_equal(generator.random_raw(10), self.file["rng/draws/mt19937"][()])
        for path, (dtype, shape) in OPAQUE.items():
            self.assertEqual((self.file[path].dtype, self.file[path].shape), (np.dtype(dtype), shape), path)

    def test_layout(self):
        """Contiguous, allocated, unfiltered, without times, and aligned for a map of the file."""
        for path, tensor in self.expected.tensors.items():
            dataset = self.file[path]
            creation = dataset.id.get_create_plist()
            self.assertEqual((creation.get_layout(), creation.get_nfilters(), creation.get_obj_track_times()), (h5py.h5d.CONTIGUOUS, 0, False), path)
            offset = dataset.id.get_offset()
            if not tensor.content:
                continue
            part = SIZES[tensor.dtype] // (2 if tensor.dtype.startswith("complex") else 1)
            self.assertEqual(offset % (4096 if len(tensor.content) >= 65536 else part), 0, path)

    def test_own_group(self):
        group = self.file["holdfast"]
        self.assertEqual(dict(group.attrs), {"writer": b"holdfast", "format": 1, "digest": b"xxh3-128", "digest_block": 2**20})
        self.assertEqual((group["step"].dtype, group["step"][()]), (np.int64, STEP))
        lines = raw(group["digests"]).decode().splitlines()
        self.assertEqual({line[34:] for line in lines}, set(self.expected.tensors) | set(OPAQUE))
        self.assertTrue(all(line[32:34] == "  " for line in lines))

    def test_superblock(self):
        self.assertEqual(self.path.read_bytes()[:9], b"\x89HDF\r\n\x1a\n\x03")


if __name__ == "__main__":
    programs.main()
