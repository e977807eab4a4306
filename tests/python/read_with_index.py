"""format_reader.py, which knows docs/format.md and nothing else, reads what holdfast writes and finds every damage."""

import h5py

import programs
from everything import METRIC, OPAQUE, STEP, everything
from format_reader import Checkpoint, Refused, opened
from read_with_h5py import raw


class ReadWithIndex(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.written()
        cls.checkpoint = opened(cls.path)

    def test_header(self):
        c = self.checkpoint
        self.assertEqual((c.version, c.block, c.step, c.metric), (1, 2**20, STEP, METRIC))

    def test_digests(self):
        self.checkpoint.verify()

    def test_entries(self):
        """Kinds, types, shapes, values and links are what the program bound."""
        expected, found = everything(), self.checkpoint.entries
        paths = {kind: {path for path, e in found.items() if e.kind == kind} for kind in ("tensor", "group", "alias", "absent")}
        self.assertEqual(paths["tensor"], set(expected.tensors) | set(OPAQUE))
        self.assertEqual(paths["group"], expected.containers)
        self.assertEqual(paths["absent"], expected.absent)
        self.assertEqual({path: found[path].target for path in paths["alias"]}, expected.aliases)
        for path, tensor in expected.tensors.items():
            self.assertEqual((found[path].dtype, found[path].shape, found[path].place), (tensor.dtype, tensor.shape, (0, -1)), path)
            self.assertEqual(found[path].content, tensor.content, path)

    def test_agrees_with_h5py(self):
        """Every name, offset and byte of the index is HDF5's."""
        self.assertIn("shared/first/numbers", self.checkpoint.all_names())
        with h5py.File(self.path, "r") as file:
            for path, entry in self.checkpoint.all_names().items():
                if entry.kind == "group":
                    self.assertIsInstance(file[path], h5py.Group)
                elif entry.kind == "absent":
                    self.assertIsNone(file[path].shape)
                elif entry.content:
                    self.assertEqual(file[path].id.get_offset(), entry.offset, path)
                    self.assertEqual(raw(file[path]), entry.content, path)
            own = raw(file["holdfast/digests"]).decode().splitlines()
            self.assertEqual(sorted(own), sorted(f"{e.digest.hex()}  {path}" for path, e in self.checkpoint.entries.items() if e.kind == "tensor"))

    def test_place_of_the_end(self):
        """`end` is where libhdf5 would cut the file: the size of one that it has opened for writing."""
        copy = self.folder / "cut.h5"
        copy.write_bytes(self.path.read_bytes())
        h5py.File(copy, "r+").close()
        self.assertEqual(copy.stat().st_size, self.checkpoint.end)
        with self.assertRaisesRegex(Refused, "unsealed"):
            opened(copy)


class Damage(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.written("tiny.h5", "--tiny").read_bytes()
        cls.path = cls.folder / "damaged.h5"

    def test_every_byte_is_covered(self):
        """No byte of the file can change unseen."""
        for at in range(len(self.whole)):
            damaged = bytearray(self.whole)
            damaged[at] ^= 1 << at % 8
            with self.assertRaises(Refused, msg=f"byte {at}"):
                Checkpoint(damaged).verify()

    def test_every_length_is_covered(self):
        for length in range(0, len(self.whole), 13):
            with self.assertRaises(Refused, msg=f"{length} bytes"):
                Checkpoint(self.whole[:length])
        with self.assertRaises(Refused):
            Checkpoint(self.whole + self.whole[-1:])

    def test_holdfast_finds_the_same(self):
        for at in range(3, len(self.whole), 97):
            damaged = bytearray(self.whole)
            damaged[at] ^= 1 << at % 8
            self.path.write_bytes(damaged)
            message = programs.run("write_everything", "--check", "--tiny", self.path, expect=1)
            self.assertRegex(message, "damaged|not HDF5|without holdfast's trailer|not those that were saved")


if __name__ == "__main__":
    programs.main()
