"""HDF5's own command-line tools read what holdfast writes: they succeed, and say nothing on stderr."""

import programs


class Tools(programs.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = [cls.written("run.h5"), cls.written("small.h5", "--small"), cls.written("tiny.h5", "--tiny")]
        cls.small_files = cls.files[1:]  # for what prints every value

    def test_listing(self):
        for call in (["h5ls", "-r"], ["h5ls", "-rv"], ["h5ls", "-rd"], ["h5stat"], ["h5dump", "-H"], ["h5dump", "-B", "-H"],
                     ["h5dump", "-n", "1"], ["h5dump", "-p", "-A"]):
            for file in self.small_files if call[1:] == ["-rd"] else self.files:
                with self.subTest(" ".join(call) + " " + file.name):
                    self.assertTrue(programs.run(*call, file))

    def test_h5dump_of_all_values(self):
        for file in self.small_files:
            out = programs.run("h5dump", file)
            self.assertTrue(out.startswith("HDF5") and out.endswith("}\n"))
        self.assertIn('(0): "plain"', programs.run("h5dump", "-d", "/text/ascii", self.files[0]))
        self.assertIn("205", programs.run("h5dump", "-d", "/views/column_major", self.files[0]))
        self.assertIn('HARDLINK "/shared/', programs.run("h5dump", "-g", "/shared", self.files[0]))

    def test_h5dump_writes_the_bytes(self):
        raw = self.folder / "raw.bin"
        programs.run("h5dump", "-d", "/sizes/1MiB+1", "-b", "FILE", "-o", raw, self.files[0])
        self.assertEqual(raw.stat().st_size, 2**20 + 1)

    def test_h5diff(self):
        for file in self.files:
            self.compare(file, file)
            again = self.folder / f"again_{file.name}"
            again.write_bytes(file.read_bytes())
            self.compare(file, again)

    def test_h5diff_after_h5repack(self):
        for file in self.files:
            for name, options in (("plain", []), ("gzip", ["-m", "1", "-f", "GZIP=6"])):
                packed = self.folder / f"{name}_{file.name}"
                programs.run("h5repack", *options, file, packed)
                self.compare(file, packed)

    def test_h5diff_sees_a_difference(self):
        other = self.folder / "other.h5"
        data = bytearray(self.files[2].read_bytes())
        data[data.index(b"tiny")] ^= 1
        other.write_bytes(data)
        programs.run("h5diff", self.files[2], other, expect=1)

    def compare(self, one, two):
        """h5diff counts what has no elements as not comparable; nothing else may be."""
        for line in programs.run("h5diff", "-c", one, two).splitlines():
            self.assertRegex(line, "^Not comparable: .* is an empty dataset$")

    def test_h5copy(self):
        target = self.folder / "copied.h5"
        programs.run("h5copy", "-i", self.files[0], "-o", target, "-s", "/model", "-d", "/model")
        programs.run("h5diff", self.files[0], target, "/model")


if __name__ == "__main__":
    programs.main()
