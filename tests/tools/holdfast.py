"""The `holdfast` command: what it prints and with which status it ends."""

import programs


class Command(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tiny, cls.small = cls.written("tiny.h5", "--tiny"), cls.written("small.h5", "--small")

    def damaged(self, at):
        """A copy of the tiny file with one bit flipped."""
        path, data = self.folder / f"damaged_{at}.h5", bytearray(self.tiny.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        return path

    def test_ls(self):
        lines = programs.run("holdfast", "ls", self.tiny).splitlines()
        self.assertEqual(lines[0], f"{self.tiny}: 3 tensors, 24 B, sealed, step 123456789, metric 0.125")
        self.assertEqual([line.split() for line in lines[1:]], [
            ["8", "B", "int64[]", "/count"], ["=", "/model/weight", "/model/tied"], ["12", "B", "float32[3]", "/model/weight"],
            ["4", "B", "string[4]", "/name"]])

    def test_ls_has_every_path_that_h5py_has(self):
        import h5py
        listed = {line.split("  /")[-1] for line in programs.run("holdfast", "ls", self.small).splitlines()[1:]}
        with h5py.File(self.small, "r") as file:
            found = []
            file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        self.assertLessEqual({name for name in found if not name.startswith("holdfast/")}, listed)

    def test_verify(self):
        self.assertEqual(programs.run("holdfast", "verify", self.tiny, self.small).count("every byte is as it was saved"), 2)
        self.assertIn("/model/weight: its 12 bytes are not those that were saved", programs.run("holdfast", "verify", self.small, self.damaged(4112), expect=1))
        self.assertIn("the HDF5 metadata is damaged", programs.run("holdfast", "verify", self.damaged(100), expect=1))

    def test_diff(self):
        self.assertEqual(programs.run("holdfast", "diff", self.tiny, self.tiny), "")
        self.assertIn("/count: ", self.lines_of_diff(self.tiny, self.small))
        self.assertIn("No such file", programs.run("holdfast", "diff", self.tiny, self.folder / "none.h5", expect=2))

    def lines_of_diff(self, one, two):
        import subprocess
        done = subprocess.run([programs.PROGRAMS["holdfast"], "diff", one, two], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        return done.stdout

    def test_foreign(self):
        packed = self.folder / "packed.h5"
        programs.run("h5repack", self.tiny, packed)
        self.assertIn("trust::foreign", programs.run("holdfast", "ls", packed, expect=2))
        self.assertIn("not sealed", programs.run("holdfast", "ls", "--foreign", packed))
        self.assertEqual(programs.run("holdfast", "diff", "--foreign", self.tiny, packed), "")

    def test_usage(self):
        for arguments in ([], ["dance"], ["ls"], ["diff", self.tiny]):
            self.assertTrue(programs.run("holdfast", *arguments, expect=2))
        for arguments in (["--help"], ["ls", "--help"], ["diff", "--help"]):
            self.assertIn("holdfast", programs.run("holdfast", *arguments))


if __name__ == "__main__":
    programs.main()
