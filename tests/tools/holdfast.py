"""The `holdfast` command: what it prints, what it writes, and with which status it ends."""

import json
import os
import pty
import subprocess

import h5py
import numpy as np

import programs


def holdfast(*arguments, expect=0):
    return programs.run("holdfast", *arguments, expect=expect)


def call(*arguments, **environment):
    """Runs it, whatever its status."""
    return subprocess.run([programs.PROGRAMS["holdfast"], *map(str, arguments)], capture_output=True, text=True, timeout=100,
                          env={**os.environ, **environment})


def on_terminal(*arguments, **environment):
    """What it prints where stdout and stderr are a terminal, and its status."""
    ours, its = pty.openpty()
    process = subprocess.Popen([programs.PROGRAMS["holdfast"], *map(str, arguments)], stdout=its, stderr=its,
                               env={**os.environ, "TERM": "xterm", **environment})
    os.close(its)
    output = b""
    try:
        while piece := os.read(ours, 65536):
            output += piece
    except OSError:  # EIO: the other end is closed
        pass
    os.close(ours)
    return output.decode(), process.wait(timeout=100)


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

    def refused(self, *arguments, expect=2):
        """The one line that it says when it cannot."""
        error = holdfast(*arguments, expect=expect)
        self.assertTrue(error.startswith("holdfast: ") and error.endswith("\n") and error.count("\n") == 1, error)
        self.assertIn(";", error)
        return error


class Ls(Command):
    def test_tree(self):
        self.assertEqual(holdfast("ls", self.tiny), f"""{self.tiny}: 3 tensors, 24 B, sealed, step 123456789, metric 0.125
count     int64[]           8 B
model/    1 tensor         12 B
  tied    = /model/weight
  weight  float32[3]       12 B
name      string[4]         4 B
""")

    def test_flat(self):
        lines = holdfast("ls", "--flat", self.tiny).splitlines()
        self.assertEqual([line.split() for line in lines[1:]], [
            ["/count", "int64[]", "8", "B"], ["/model/tied", "=", "/model/weight"], ["/model/weight", "float32[3]", "12", "B"],
            ["/name", "string[4]", "4", "B"]])

    def test_every_path_that_h5py_has(self):
        listed = {line.split("  ")[0][1:] for line in holdfast("ls", "--flat", self.small).splitlines()[1:]}
        with h5py.File(self.small, "r") as file:
            found = []
            file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        self.assertLessEqual({name for name in found if not name.startswith("holdfast/")}, listed)

    def test_json(self):
        listed = json.loads(holdfast("ls", "--json", self.small))
        self.assertEqual((listed["sealed"], listed["step"], listed["metric"]), (True, 123456789, 0.125))
        with h5py.File(self.small, "r") as file:
            for entry in listed["entries"]:
                if entry["kind"] == "tensor" and not entry["dtype"].startswith(("string", "bfloat", "float8")):
                    self.assertEqual((entry["shape"], entry["dtype"]), (list(file[entry["path"]].shape), str(file[entry["path"]].dtype)))
                if "same_as" in entry:
                    self.assertEqual(file[entry["path"]], file[entry["same_as"]])
        self.assertEqual({entry["kind"] for entry in listed["entries"]}, {"tensor", "group", "absent"})

    def test_only(self):
        self.assertEqual([line.split()[0] for line in holdfast("ls", "--flat", "--only", "model/w*", "--only", "name", self.tiny).splitlines()[1:]], ["/model/weight", "/name"])
        self.assertIn('nothing matches "modle/**"', self.refused("ls", self.tiny, "--only", "modle/**"))

    def test_control_characters_do_not_reach_the_terminal(self):
        path = self.folder / "control.h5"
        with h5py.File(path, "w") as file:
            file["bell\x1b[31m"] = 1.0
        self.assertIn("bell%1B[31m", holdfast("ls", "--trust", "foreign", path))

    def test_foreign(self):
        packed = self.folder / "packed.h5"
        programs.run("h5repack", self.tiny, packed)
        self.assertIn("pass --trust foreign", self.refused("ls", packed))
        self.assertIn("not sealed", holdfast("ls", "--trust", "foreign", packed))
        self.assertEqual(holdfast("diff", "--trust", "foreign", self.tiny, packed), "")


class Show(Command):
    def test_values_and_statistics(self):
        self.assertEqual(holdfast("show", self.tiny, "/model/weight"), "/model/weight: float32[3], 12 B\nmin 0.5, max 1.5, mean 1, norm 1.87083, 0 NaN, 0 Inf\n[0.5, 1, 1.5]\n")
        self.assertEqual(holdfast("show", self.tiny, "name"), '/name: string[4], 4 B\n"tiny"\n')
        self.assertIn("the same data as /model/weight", holdfast("show", self.tiny, "model/tied"))
        self.assertIn("absent", holdfast("show", self.small, "absent/nothing"))

    def test_statistics_are_numpys(self):
        path = self.folder / "numbers.h5"
        random = np.random.default_rng(1)
        arrays = {"f64": random.normal(size=(300, 1000)), "f32": random.normal(size=700000).astype(np.float32), "i64": np.array([-2**63, 2**63 - 1, 5]),
                  "u64": np.array([2**64 - 1, 0], np.uint64), "bool": np.array([True, False, True]), "c64": (random.normal(size=9) + 1j).astype(np.complex64),
                  "special": np.array([np.nan, np.inf, -np.inf, 3.0, np.nan]), "huge": np.array([1e300, -1e300]), "empty": np.zeros((0, 3), np.float32)}
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
        for shown in json.loads(holdfast("show", "--json", "--trust", "foreign", path)):
            array = arrays[shown["path"][1:]]
            magnitudes = np.abs(array.astype(np.complex128)) if array.dtype.kind == "c" else array
            finite = magnitudes[np.isfinite(magnitudes)].astype(np.longdouble)
            self.assertEqual((shown["nan"], shown["inf"]), (np.isnan(array).sum(), np.isinf(array).sum()))
            if finite.size == 0:
                self.assertNotIn("min", shown)
                continue
            for name, value in {"min": finite.min(), "max": finite.max(), "mean": finite.mean(), "norm": np.sqrt((finite**2).sum())}.items():
                self.assertTrue(np.isclose(shown[name], float(value), rtol=1e-9), (shown, name, value))
        self.assertIn("min -9223372036854775808, max 9223372036854775807", holdfast("show", "--trust", "foreign", path, "i64"))
        self.assertIn("max 18446744073709551615", holdfast("show", "--trust", "foreign", path, "u64"))

    def test_what_is_large_is_shown_by_its_edges(self):
        path = self.folder / "large.h5"
        with h5py.File(path, "w") as file:
            file["matrix"] = np.arange(10000).reshape(100, 100)
            file["cube"] = np.arange(8).reshape(2, 2, 2)
        shown = holdfast("show", "--trust", "foreign", path, "matrix")
        self.assertIn("[[0, 1, 2, …, 97, 98, 99]\n [100, 101, 102, …, 197, 198, 199]\n", shown)
        self.assertTrue(shown.endswith(" …\n [9700, 9701, 9702, …, 9797, 9798, 9799]\n [9800, 9801, 9802, …, 9897, 9898, 9899]\n [9900, 9901, 9902, …, 9997, 9998, 9999]]\n"), shown)
        self.assertEqual(holdfast("show", "--all", "--trust", "foreign", path, "matrix").count(","), 100 * 99 + 7)
        self.assertTrue(holdfast("show", "--trust", "foreign", path, "cube").endswith("[[[0, 1]\n  [2, 3]]\n [[4, 5]\n  [6, 7]]]\n"))

    def test_json_has_the_values(self):
        with h5py.File(self.small, "r") as file:
            for name in "sizes", "containers":
                for shown in json.loads(holdfast("show", "--json", "--all", self.small, name)):
                    if shown["kind"] == "tensor" and shown["dtype"] in ("float32", "float64", "int64", "int32", "bool"):
                        self.assertEqual(np.array(shown["values"]).astype(shown["dtype"]).tolist(), file[shown["path"]][()].ravel().tolist())

    def test_a_group_is_a_table(self):
        lines = [line.split() for line in holdfast("show", self.tiny, "model").splitlines()]
        self.assertEqual(lines, [["path", "type", "min", "max", "mean", "norm", "NaN", "Inf"], ["/model/tied", "=", "/model/weight"],
                                 ["/model/weight", "float32[3]", "0.5", "1.5", "1", "1.87083", "0", "0"]])
        self.assertIn("/modle: nothing of that name", self.refused("show", self.tiny, "modle"))

    def test_damage_is_found(self):
        self.assertIn("/model/weight: its 12 bytes are not those that were saved", self.refused("show", self.damaged(4112), "model/weight"))


class Verify(Command):
    def test_whole(self):
        self.assertEqual(holdfast("verify", self.tiny, self.small).count("every byte as it was saved, and HDF5 programs see the same"), 2)

    def test_damage(self):
        done = call("verify", self.small, self.damaged(4112))
        self.assertEqual(done.returncode, 1)
        self.assertIn("/model/weight: its 12 bytes are not those that were saved", done.stderr)
        self.assertEqual(done.stdout.count("whole"), 1)
        self.assertIn("the HDF5 metadata is damaged", self.refused("verify", self.damaged(100), expect=1))
        found = json.loads(call("verify", "--json", self.small, self.damaged(4112)).stdout)
        self.assertEqual([f["whole"] for f in found], [True, False])
        self.assertIn("/model/weight", found[1]["error"])
        self.refused("verify", self.folder / "none.h5")

    def test_the_index_must_say_what_hdf5_says(self):
        """A file whose digests are right and whose index names another place than HDF5 does."""
        for what in "offset", "name", "digests":
            with self.subTest(what):
                self.assertIn({"offset": "its bytes at", "name": "nothing of that name", "digests": "/holdfast/digests"}[what],
                              self.refused("verify", self.forged(what), expect=1))

    def forged(self, what):
        import xxhash
        data = bytearray(self.tiny.read_bytes())
        size, index, names = len(data), int.from_bytes(data[-192 + 24:-192 + 32], "little"), len("countmodel/tiedmodel/weightmodel/weightname")
        digest = lambda content: xxhash.xxh3_128_digest(bytes(content))
        begin_of_names = size - 192 - 16 - names
        if what == "offset":  # the number and the name change places
            count, name = index, index + 3 * 96
            self.assertEqual(data[count + 12], 0)
            old, new = int.from_bytes(data[count + 16:count + 24], "little"), 4200
            data[new:new + 8] = data[old:old + 8]
            data[count + 16:count + 24] = new.to_bytes(8, "little")
        elif what == "name":
            data[begin_of_names:begin_of_names + 5] = b"cound"
        else:
            at = data.index(b"  count\n")
            data[at - 1] ^= 1
        # Metadata: all before the index that belongs to no tensor.
        end, tensors = index, []
        for i in range(4):
            record = data[index + 96 * i:index + 96 * (i + 1)]
            if record[12] == 0:
                tensors.append((int.from_bytes(record[16:24], "little"), int.from_bytes(record[24:32], "little")))
        rest, at = bytearray(), 0
        for offset, count in sorted(tensors):
            rest += data[at:offset]
            at = offset + count
        rest += data[at:end]
        index_digest = digest(data[index:size - 192 - 16])
        data[size - 192 - 16:size - 192] = index_digest
        data[-192 + 88:-192 + 104] = index_digest
        data[-192 + 104:-192 + 120] = digest(rest)
        data[-16:] = digest(data[-192:-16])
        path = self.folder / f"forged_{what}.h5"
        path.write_bytes(data)
        return path


class Diff(Command):
    def edited(self, name, **datasets):
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for key, value in datasets.items():
                file[key] = value
        return path

    def differences(self, *arguments):
        done = call("diff", *arguments)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        return done.stdout

    def test_equal(self):
        self.assertEqual(holdfast("diff", self.tiny, self.tiny), "")
        self.assertIn("No such file", self.refused("diff", self.tiny, self.folder / "none.h5"))

    def test_structure(self):
        self.assertIn("/count: expected int64[], found nothing of that name", self.differences(self.tiny, self.small))

    def test_values(self):
        a, b = (self.edited(name, x=np.array(x, np.float32), n=np.array([1, 2])) for name, x in (("a.h5", [1, 2, 3]), ("b.h5", [1, np.nextafter(np.float32(2), np.float32(3)), 3])))
        self.assertEqual(self.differences("--trust", "foreign", a, b), "/x: 1 of 3 elements differ, first [1]: expected 2, found 2.00000024, at most 1 ULP apart, relative 1.2e-07\n")
        self.assertEqual(holdfast("diff", "--trust", "foreign", "--ulps", 1, a, b) + holdfast("diff", "--trust", "foreign", "--relative", 1e-6, a, b), "")
        self.differences("--trust", "foreign", "--relative", 1e-9, a, b)
        found = json.loads(self.differences("--json", "--trust", "foreign", a, b))["differences"]
        self.assertEqual([(d["path"], d["elements"], d["first"], d["ulps"]) for d in found], [("/x", 1, [1], 1)])

    def test_ties(self):
        untied = self.folder / "untied.h5"
        with h5py.File(self.tiny, "r") as old, h5py.File(untied, "w") as new:
            for name in "count", "name", "model/weight", "model/tied":
                new[name] = old[name][()]
        self.assertIn("/model/weight: expected one tensor with /model/tied, found a tensor of its own", self.differences("--trust", "foreign", self.tiny, untied))
        self.assertIn("/model/weight: expected a tensor of its own, found one tensor with /model/tied", self.differences("--trust", "foreign", untied, self.tiny))


class Usage(Command):
    def test_usage(self):
        for arguments in ([], ["dance"], ["ls"], ["diff", self.tiny], ["ls", "--dance", self.tiny], ["diff", "--ulps", "many", self.tiny, self.tiny], ["ls", "--trust", "me", self.tiny]):
            self.assertIn("--help", self.refused(*arguments))
        for arguments in (["--help"], ["ls", "--help"], ["diff", "--help"]):
            self.assertIn("holdfast", holdfast(*arguments))
        for command in [line.split()[0] for line in holdfast("--help").split("Subcommands:\n")[1].split("\n\n")[0].splitlines()]:
            self.assertIn(f"Examples:\n  holdfast {command} ", holdfast(command, "--help"))

    def test_errors_say_what_to_do(self):
        text = self.folder / "text.h5"
        text.write_text("no HDF5 file at all")
        self.assertIn("holdfast import reads", self.refused("ls", text))
        (self.folder / "empty").mkdir(exist_ok=True)
        self.assertIn("found none; name a file", self.refused("ls", self.folder / "empty"))

    def test_colours(self):
        self.assertIn("\x1b[1m", on_terminal("ls", self.tiny)[0])
        self.assertIn("\x1b[31mholdfast:", on_terminal("ls", self.folder / "none.h5")[0])
        for environment in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
            self.assertNotIn("\x1b", on_terminal("ls", self.tiny, **environment)[0])
        self.assertIn("\x1b[1m", on_terminal("ls", self.tiny, NO_COLOR="")[0])
        self.assertNotIn("\x1b", holdfast("ls", self.tiny))


if __name__ == "__main__":
    programs.main()
