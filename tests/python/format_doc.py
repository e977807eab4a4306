"""docs/format.md: its Python runs, its tables and its example are those of a file of today."""

import os
import re
import subprocess
import sys

import programs
from format_reader import DTYPES, Checkpoint, opened

WRITTEN_BY = "1.10.8"  # the HDF5 version of the example, whose metadata may be other bytes with another


class FormatDocument(programs.Case):
    text = (programs.REPOSITORY / "docs" / "format.md").read_text(encoding="utf-8")

    def test_snippets(self):
        """All in one namespace, in order, beside a run.h5."""
        self.written()
        blocks = re.findall(r"^```python\n(.*?)^```", self.text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        names, before = {}, os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        self.addCleanup(lambda: names["f"].close())
        for number, block in enumerate(blocks):
            exec(compile(block, f"docs/format.md, Python block {number}", "exec"), names)
        read_sealed = names["read_sealed"]
        whole = opened("run.h5")
        for path, (kind, _, shape, content) in read_sealed("run.h5").items():
            entry = whole.entries[path]
            self.assertEqual((("tensor", "group", "alias", "absent")[kind], shape), (entry.kind, entry.shape))
            self.assertEqual(content or b"", entry.content or entry.target or b"")
        damaged = bytearray((self.folder / "run.h5").read_bytes())
        damaged[whole.entries["sizes/1MiB"].offset] ^= 1
        (self.folder / "damaged.h5").write_bytes(damaged)
        with self.assertRaisesRegex(ValueError, "/sizes/1MiB is damaged"):
            read_sealed("damaged.h5")

    def test_dtype_numbers(self):
        table = self.text[self.text.index("### Element types"):self.text.index("### Text")]
        self.assertEqual({int(n): name for name, n in re.findall(r"`(\w+)` \((\d+)\)", table)}, {n: name for n, (name, _) in DTYPES.items()})

    def test_tables_have_no_gaps(self):
        """Each field of the trailer and of a record begins where the one before ends."""
        sizes = {"uint8": 1, "uint16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8, "float64": 8}
        for title, total in (("### Trailer", 192), ("One record for each path", 96)):
            at = 0
            table = self.text[self.text.index(title):].split("\n#")[0].split("\n- ")[0]
            for offset, kind in re.findall(r"^\| (\d+) \| (\w+(?: bytes)?) \|", table, re.M):
                self.assertEqual(int(offset), at, title)
                at += sizes.get(kind) or int(kind.split()[0])
            self.assertEqual(at, total, title)

    def test_example(self):
        """The hexdumps are of a valid record and trailer, and of the very file that the program writes."""
        example = self.text[self.text.index("## Example"):]
        record, trailer = (bytes.fromhex("".join(re.findall(r"^ *\d+  ([0-9a-f ]{48}) ", dump, re.M)))
                           for dump in re.findall(r"^```\n( *0  .*?)^```", example, re.M | re.S))
        self.assertEqual((len(record), len(trailer), trailer[:8]), (96, 192, b"HOLDFAST"))
        path = self.written("tiny.h5", "--tiny")
        listing = re.search(r"^\$ .*\n([^`]*)^```", example, re.M).group(1)
        reader = programs.REPOSITORY / "tests" / "python" / "format_reader.py"
        shown = subprocess.run([sys.executable, str(reader), str(path)], capture_output=True, check=True)
        self.assertEqual(shown.stdout.decode(), listing)
        whole = path.read_bytes()
        index = Checkpoint(whole).index_offset
        if not programs.run("write_everything", "--hdf5").strip().endswith(WRITTEN_BY):
            self.skipTest("the example is of another version of HDF5: not compared byte by byte")
        self.assertEqual(record, whole[index + 2 * 96:index + 3 * 96])
        self.assertEqual(trailer, whole[-192:])


if __name__ == "__main__":
    programs.main()
