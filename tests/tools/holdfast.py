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

    def forged(self, what):
        """The tiny file, of which the index says something else, with digests that are right."""
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
        elif what == "place":
            data[index + 2 * 96 + 64:index + 2 * 96 + 72] = bytes([1, 0, 0, 0, 1, 0, 0, 0])
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

    def test_a_second_name_of_a_group_is_one_line(self):
        lines = [line.split()[:3] for line in holdfast("ls", self.small, "--only", "shared").splitlines()[2:]]
        self.assertEqual([lines[0], lines[1][0]], [["first/", "=", "/shared/second"], "numbers"])

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
            file["six"] = np.arange(4096).reshape((4,) * 6)
        shown = holdfast("show", "--trust", "foreign", path, "matrix")
        self.assertIn("[[0, 1, 2, …, 97, 98, 99]\n [100, 101, 102, …, 197, 198, 199]\n", shown)
        self.assertTrue(shown.endswith(" …\n [9700, 9701, 9702, …, 9797, 9798, 9799]\n [9800, 9801, 9802, …, 9897, 9898, 9899]\n [9900, 9901, 9902, …, 9997, 9998, 9999]]\n"), shown)
        self.assertEqual(holdfast("show", "--all", "--trust", "foreign", path, "matrix").count(","), 100 * 99 + 7)
        self.assertTrue(holdfast("show", "--trust", "foreign", path, "six").endswith("\n[0, 1, 2, …, 4093, 4094, 4095]\n"))
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


class RunFolder(Command):
    """With the folder of a run."""

    def run_of(self, name, **metrics):
        """A folder with a checkpoint of each step, made from an array of its step; metrics as step_100=0.5."""
        folder = self.folder / name
        folder.mkdir()
        for key, metric in metrics.items():
            step = int(key.removeprefix("step_"))
            array = self.folder / "array.npy"
            np.save(array, np.full(1000, step))
            holdfast("import", array, self.path_of(folder, step), "--step", step, *([] if metric is None else ["--metric", metric]))
        return folder

    @staticmethod
    def path_of(folder, step):
        return folder / f"step-{step:012}.h5"

    def flip(self, path, at):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)

    def steps(self, folder):
        return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.h5"))

    def history(self, *arguments, status=0):
        done = call("history", "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return {c["step"]: c for c in json.loads(done.stdout)["checkpoints"]}


class Run(RunFolder):
    """What looks at and after the folder of a run."""

    def test_history(self):
        folder = self.run_of("history", step_100=0.5, step_200=0.25, step_300=None)
        lines = [line.split() for line in holdfast("history", folder).splitlines()]
        self.assertEqual(lines[1], ["step", "saved", "size", "metric"])
        self.assertEqual([[line[0], *line[5:]] for line in lines[2:]], [["100", "0.5"], ["200", "0.25", "best"], ["300", "newest"]])
        self.assertIn("3 checkpoints", holdfast("history", folder))
        self.assertEqual([c["best"] for c in self.history(folder).values()], [False, True, False])
        self.assertEqual([c["best"] for c in self.history("--higher-is-better", folder).values()], [True, False, False])
        self.assertEqual(self.history(folder)[100]["bytes"], self.path_of(folder, 100).stat().st_size)
        self.assertIn(f"{folder}/step-000000000300.h5: ", holdfast("ls", folder))  # a folder stands for its newest

    def test_history_says_what_is_damaged_and_why(self):
        folder = self.run_of("damage", step_1=0.1, step_2=0.2, step_3=0.3, step_4=0.4, step_5=0.5)
        self.flip(self.path_of(folder, 1), 5000)  # content
        os.truncate(self.path_of(folder, 2), 6000)
        self.flip(self.path_of(folder, 3), -300)  # the index
        self.path_of(folder, 4).write_bytes(self.path_of(folder, 5).read_bytes())
        found = self.history(folder, status=1)
        self.assertNotIn("damage", found[1])
        self.assertIn("not sealed", found[2]["damage"])
        self.assertIn("the index is damaged", found[3]["damage"])
        self.assertIn("expected step 4 as its name says, found step 5", found[4]["damage"])
        self.assertNotIn("damage", found[5])
        self.assertIn("bytes are not those that were saved", self.history("--verify", folder, status=1)[1]["damage"])
        self.assertIn("damaged: the index is damaged", call("history", folder).stdout)

    def test_a_folder_stands_for_the_newest_that_looks_whole(self):
        folder = self.run_of("newest", step_1=None, step_2=None, step_3=None)
        for step, newest in (3, 2), (2, 1):
            os.truncate(self.path_of(folder, step), 6000)
            self.assertIn(f"sealed, step {newest}\n", holdfast("ls", folder))
        os.truncate(self.path_of(folder, 1), 6000)
        self.assertIn("none of its 3 checkpoints is whole; holdfast history says why", self.refused("ls", folder))

    def test_a_folder_without_checkpoints(self):
        self.refused("history", self.tiny)
        self.refused("history", self.folder / "none")
        self.assertFalse((self.folder / "none").exists())
        (self.folder / "empty").mkdir(exist_ok=True)
        self.refused("history", self.folder / "empty")

    def test_prune(self):
        folder = self.run_of("prune", step_100=0.5, step_150=0.1, step_200=0.3, step_300=0.4, step_350=0.6, step_400=0.7)
        before = self.steps(folder)
        said = holdfast("prune", "--dry-run", folder, "--keep-last", 2, "--keep-best", 1, "--keep-every", 200)
        self.assertEqual(self.steps(folder), before)
        self.assertFalse((folder / ".holdfast-lock").exists())
        self.assertEqual([line.split("  ")[0] for line in said.splitlines()[:-1]], ["would remove", "kept", "kept", "would remove", "kept", "kept"])
        lines = holdfast("prune", folder, "--keep-last", 2, "--keep-best", 1, "--keep-every", 200).splitlines()
        self.assertEqual([" ".join(line.split()[4:]) for line in lines[:-1]], ["", "best", "a multiple of 200", "", "one of the newest 2", "newest, a multiple of 200"])
        self.assertEqual(self.steps(folder), [150, 200, 350, 400])
        self.assertIn("4 kept, 2 removed", lines[-1])
        holdfast("prune", folder, "--keep-best", 1, "--higher-is-better")
        self.assertEqual(self.steps(folder), [400])
        self.refused("prune", folder)
        self.refused("prune", folder, "--keep-last", 0)

    def test_prune_keeps_the_last_one_that_is_whole(self):
        folder = self.run_of("last", step_0=None, step_1=None, step_2=None, step_3=None, step_4=None)
        self.flip(self.path_of(folder, 4), 5000)  # content: only who reads it knows
        os.truncate(self.path_of(folder, 3), 6000)
        self.flip(self.path_of(folder, 2), 5000)
        said = holdfast("prune", folder, "--keep-last", 1)
        self.assertEqual(self.steps(folder), [1, 2, 3, 4])
        self.assertEqual(said.count("  damaged: "), 3)
        holdfast("prune", folder, "--damaged", "--dry-run")
        self.assertEqual(self.steps(folder), [1, 2, 3, 4])
        holdfast("prune", folder, "--damaged")
        self.assertEqual(self.steps(folder), [1])
        self.flip(self.path_of(folder, 1), 5000)
        self.assertIn("none of its checkpoints is whole, and so none was removed", call("prune", folder, "--damaged").stderr)
        self.assertEqual(self.steps(folder), [1])

    def test_prune_does_not_meet_a_writer(self):
        import fcntl
        folder = self.run_of("writer", step_1=None, step_2=None)
        holdfast("prune", folder, "--keep-last", 2)
        with open(folder / ".holdfast-lock", "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fcntl.lockf(lock, fcntl.LOCK_EX)
            self.assertIn("another writer", self.refused("prune", folder, "--keep-last", 1))
        self.assertEqual(self.steps(folder), [1, 2])


class Keyed(RunFolder):
    """Checkpoints that were sealed with a key."""

    golden = programs.REPOSITORY / "tests/data/golden-v2-keyed.h5"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key, cls.other = cls.folder / "key", cls.folder / "other_key"
        cls.key.write_bytes(b"0123456789abcdef")
        cls.other.write_bytes(b"0123456789abcdef\n")

    def with_key(self, command, *arguments, **how):
        return holdfast(command, *arguments, "--key-file", self.key, **how)

    def refused_everywhere(self, *options, because):
        """Each command that opens a checkpoint refuses the golden one, and writes nothing."""
        out = self.folder / "refused"
        for command in (["ls", self.golden], ["show", self.golden], ["diff", self.golden, self.golden], ["extract", self.golden, out], ["merge", self.golden, "-o", out],
                        ["export", self.golden, self.folder / "refused.npz"], ["export", self.golden, self.folder / "refused.safetensors"], ["seal", self.golden]):
            self.assertIn(because, self.refused(*command, *options))
        self.assertEqual(list(self.folder.glob("refused*")), [])

    def test_without_the_key_or_with_another(self):
        self.refused_everywhere(because="was sealed with a key, which alone can verify it; name the file that holds it with --key-file")
        self.assertIn("was sealed with a key", self.refused("verify", self.golden))
        self.refused_everywhere("--key-file", self.other, because="the seal was not made with this key; the file was changed, or the key is another")
        self.assertIn("the seal was not made with this key", self.refused("verify", self.golden, "--key-file", self.other, expect=1))

    def test_a_file_without_a_key_is_no_substitute(self):
        self.assertIn("expected a seal made with the key, found one made without any; do not trust it, or leave --key-file out", self.refused("verify", self.tiny, "--key-file", self.key, expect=1))
        self.refused("diff", self.golden, self.tiny, "--key-file", self.key)
        self.refused("extract", self.tiny, self.folder / "none.h5", "--key-file", self.key)

    def test_every_command_takes_one(self):
        for command in holdfast("--complete", "").split():
            self.assertEqual(holdfast("--complete", command, "--k"), "--key-file\n" if command != "prune" else "--keep-last\n--keep-best\n--keep-every\n--key-file\n")

    def test_what_is_no_key(self):
        short, long = self.folder / "short", self.folder / "long"
        short.write_bytes(b"0123456789abcde")
        long.write_bytes(bytes(5000))
        for file, why in ((short, "at least 16 bytes, found 15"), (long, "more than 4096 bytes"), (self.folder / "none", "No such file"), (self.folder, "Is a directory")):
            self.assertIn(why, self.refused("ls", self.golden, "--key-file", file))

    def test_reading(self):
        self.assertIn("2 tensors, 20 B, every byte as it was saved", self.with_key("verify", self.golden))
        self.assertIn("sealed with the key, step 123456789", self.with_key("ls", self.golden))
        self.assertIn("[0.5, 1, 1.5]", self.with_key("show", self.golden, "model/weight"))
        self.assertEqual(self.with_key("diff", self.golden, self.golden), "")
        self.assertIn("whole", call("verify", self.golden, HOLDFAST_KEY_FILE=str(self.key)).stdout)
        self.assertIn("whole", call("verify", self.golden, "--key-file", self.key, HOLDFAST_KEY_FILE=str(self.other)).stdout)
        piped = subprocess.run(["bash", "-c", f'"$0" verify "$1" --key-file <(cat "$2")', programs.PROGRAMS["holdfast"], self.golden, self.key], capture_output=True, text=True)
        self.assertIn("whole", piped.stdout)
        self.assertEqual(holdfast("--complete", "show", "--key-file", self.key, self.golden, "").split(), ["count", "model/"])
        self.assertEqual(call("--complete", "show", self.golden, "", HOLDFAST_KEY_FILE=str(self.key)).stdout.split(), ["count", "model/"])

    def test_damage_is_found(self):
        path = self.folder / "damaged_keyed.h5"
        path.write_bytes(self.golden.read_bytes())
        with h5py.File(path, "r") as file:
            at = file["model/weight"].id.get_offset()
        self.flip(path, at)
        self.assertIn("/model/weight: its 12 bytes are not those that were saved", self.refused("verify", path, "--key-file", self.key, expect=1))
        self.assertIn("/model/weight: its 12 bytes are not those that were saved", self.refused("extract", path, self.folder / "none.h5", "--key-file", self.key))

    def test_writing(self):
        copy, model, count, merged, array, arrays = (self.folder / name for name in ("copy.h5", "model.h5", "count.h5", "merged.h5", "count.npz", "arrays.npz"))
        self.with_key("extract", self.golden, copy)
        self.assertEqual(copy.read_bytes(), self.golden.read_bytes())
        self.with_key("extract", self.golden, model, "--only", "model")
        np.savez(array, count=np.int64(1000))
        self.with_key("import", array, count, "--step", 123456789, "--metric", 0.125)
        self.with_key("merge", model, count, "-o", merged)
        self.assertEqual(merged.read_bytes(), self.golden.read_bytes())
        for path in copy, model, count, merged:
            self.with_key("verify", path)
        self.with_key("export", self.golden, arrays)
        with np.load(arrays) as found:
            self.assertEqual(found["model/weight"].tolist(), [0.5, 1, 1.5])

    def test_seal(self):
        path = self.folder / "sealed.h5"
        path.write_bytes(self.tiny.read_bytes())
        self.assertIn("not sealed with it, as --dry-run says", self.with_key("seal", path, "--dry-run"))
        self.assertEqual(path.read_bytes(), self.tiny.read_bytes())
        self.assertEqual(self.with_key("seal", path), f"{path}: was sealed without the key; sealed with it\n")
        self.assertIn("sealed with the key, step 123456789, metric 0.125", self.with_key("ls", path))
        self.assertIn("nothing to do", self.with_key("seal", path))
        self.assertIn("not those that were saved", self.with_key("seal", self.damaged(4112), expect=2))
        self.assertIn("not those that were saved", self.with_key("seal", self.damaged(4112), "--dry-run", expect=2))
        with h5py.File(path, "r+") as file:
            file["count"][()] = 7
            file["new"] = 1.5
        edited = path.read_bytes()
        self.assertIn("its digests were made with a key", self.refused("seal", path))
        self.assertIn("not one tensor is what its digest says", self.refused("seal", path, "--key-file", self.other))
        self.assertEqual(path.read_bytes(), edited)
        self.assertTrue(self.with_key("seal", path, "--metric", 0.5).startswith(f"changed  /count\nadded    /new\n{path}: 2 tensors unchanged; sealed\n"))
        self.assertIn("4 tensors", self.with_key("verify", path))

    def test_an_edited_file_without_a_key_gets_one(self):
        path = self.folder / "plain.h5"
        path.write_bytes(self.tiny.read_bytes())
        with h5py.File(path, "r+") as file:
            file["count"][()] = 7
        self.assertTrue(self.with_key("seal", path).startswith(f"changed  /count\n{path}: 2 tensors unchanged; sealed\n"))
        self.with_key("verify", path)

    def test_a_run(self):
        folder = self.run_of("keyed", step_1=None, step_2=0.5)
        newest = self.path_of(folder, 123456789)
        newest.write_bytes(self.golden.read_bytes())
        self.assertIn("sealed with a key", call("history", "--verify", folder).stdout.splitlines()[-1])
        self.assertNotIn("damage", self.history("--verify", folder)[123456789])
        self.assertIn("was sealed with a key", self.refused("prune", folder, "--keep-last", 1, "--damaged"))
        self.assertEqual(self.steps(folder), [1, 2, 123456789])
        self.with_key("seal", self.path_of(folder, 2))
        found = self.history("--verify", folder, "--key-file", self.key, status=1)
        self.assertIn("found one made without any; do not trust it", found[1]["damage"])
        self.assertEqual(["damage" in found[2], "damage" in found[123456789]], [False, False])
        self.assertNotIn("sealed with a key", call("history", folder, "--key-file", self.key).stdout)
        report = self.folder / "keyed.html"
        self.assertIn("3 checkpoints, 1 damaged", call("report", folder, "-o", report, "--key-file", self.key).stdout)
        self.assertNotIn("sealed with a key: not read", report.read_text())
        self.assertIn("sealed with a key: not read", (call("report", folder, "-o", report, "--force"), report.read_text())[1])
        self.assertIn("none of its checkpoints is whole, and so none was removed", call("prune", folder, "--damaged", "--keep-last", 1, "--key-file", self.other).stderr)
        self.assertEqual(self.steps(folder), [1, 2, 123456789])
        self.with_key("prune", folder, "--keep-last", 1, "--damaged")
        self.assertEqual(self.steps(folder), [1, 123456789])  # the first has no key, and may be whole
        self.flip(newest, 4112)
        self.with_key("seal", self.path_of(folder, 1))
        self.with_key("prune", folder, "--damaged")
        self.assertEqual(self.steps(folder), [1])


class Written(Command):
    """What writes a checkpoint, or another format, from others."""

    def new(self, name):
        path = self.folder / f"{self.id().split('.')[-1]}_{name}"
        self.assertFalse(path.exists())
        return path

    def same(self, one, other):
        """Whether all paths, values and hard links of two files are the same to h5py, and the new one is whole."""
        holdfast("verify", other)
        with h5py.File(one, "r") as a, h5py.File(other, "r") as b:
            def paths(file):
                found = {}
                def walk(group, above):
                    for name, item in group.items():
                        if above + name != "holdfast":
                            found[above + name] = item
                            if isinstance(item, h5py.Group):
                                walk(item, above + name + "/")
                walk(file, "")
                return found
            ours, theirs = paths(a), paths(b)
            self.assertEqual(set(ours), set(theirs))
            for name, item in ours.items():
                self.assertEqual({other for other in ours if ours[other] == item}, {other for other in theirs if theirs[other] == theirs[name]})
                if isinstance(item, h5py.Dataset):
                    self.assertEqual((item.dtype, item.shape, dict(item.attrs)), (theirs[name].dtype, theirs[name].shape, dict(theirs[name].attrs)))
                    self.assertEqual(np.asarray(item[()]).tobytes(), np.asarray(theirs[name][()]).tobytes()) if item.shape is not None else None

    def test_all_of_a_file_is_that_file(self):
        for name, path in {"tiny": self.tiny, "small": self.small}.items():
            copy = self.new(name + ".h5")
            holdfast("extract", path, copy)
            self.assertEqual(copy.read_bytes(), path.read_bytes())
        programs.run("write_everything", "--check", "--small", copy)

    def test_all_of_a_rewritten_file(self):
        """Compressed: nothing of it is in place."""
        packed, copy = self.new("packed.h5"), self.new("copy.h5")
        programs.run("h5repack", "-m", 1, "-f", "GZIP=6", self.small, packed)
        holdfast("extract", "--trust", "foreign", packed, copy, "--metric", 0.125)
        self.same(self.small, copy)
        programs.run("write_everything", "--check", "--small", copy)
        self.assertEqual(json.loads(holdfast("ls", "--json", copy))["metric"], 0.125)

    def test_extract_a_part_under_other_names(self):
        copy = self.new("weights.h5")
        self.assertEqual(holdfast("extract", self.tiny, copy, "--only", "model/**", "--except", "**/t*", "--rename", "model/**", "**"), f"{copy}: 1 path\n")
        with h5py.File(copy, "r") as file:
            self.assertEqual(sorted(file), ["holdfast", "weight"])
            self.assertEqual(file["weight"][()].tolist(), [0.5, 1, 1.5])
            self.assertEqual(file["holdfast/step"][()], 123456789)
        self.assertEqual(holdfast("ls", copy).splitlines()[0], f"{copy}: 1 tensor, 12 B, sealed, step 123456789, metric 0.125")
        tied = self.new("tied.h5")
        holdfast("extract", self.tiny, tied, "--only", "model/**", "--rename", "model/**", "net/trunk/**", "--step", 7)
        with h5py.File(tied, "r") as file:
            self.assertEqual(file["net/trunk/weight"], file["net/trunk/tied"])
            self.assertEqual(file["holdfast/step"][()], 7)
        part = self.new("part.h5")
        holdfast("extract", self.tiny, part, "--only", "model/tied")
        self.assertNotIn("=", holdfast("ls", part))

    def test_shared_groups_stay_shared_where_they_can(self):
        whole, part = self.new("whole.h5"), self.new("part.h5")
        holdfast("extract", self.small, whole, "--only", "shared/**", "--rename", "shared/**", "s/**")
        with h5py.File(whole, "r") as file:
            self.assertEqual(file["s/first"], file["s/second"])
            self.assertEqual(file["s/first/numbers"], file["s/numbers"])
        holdfast("extract", self.small, part, "--only", "shared/**", "--except", "shared/first/name")
        with h5py.File(part, "r") as file:
            self.assertNotEqual(file["shared/first"], file["shared/second"])
            self.assertEqual(file["shared/first/weight"], file["shared/second/weight"])
            self.assertEqual((sorted(file["shared/first"]), sorted(file["shared/second"])), (["numbers", "weight"], ["name", "numbers", "weight"]))
        holdfast("verify", whole, part)

    def test_empty_containers_and_absent_entries_stay(self):
        copy = self.new("copy.h5")
        holdfast("extract", self.small, copy, "--only", "absent", "--only", "containers/layers/1", "--only", "many")
        kinds = {e["path"]: e["kind"] for e in json.loads(holdfast("ls", "--json", copy))["entries"]}
        self.assertEqual((kinds["/absent/nothing"], kinds["/containers/layers/1/blocks"], kinds["/many"]), ("absent", "group", "group"))
        self.assertNotIn("/containers/layers", kinds)
        with h5py.File(copy, "r") as file:
            self.assertIsInstance(file["absent/nothing"][()], h5py.Empty)
        emptied = self.new("emptied.h5")
        holdfast("extract", self.small, emptied, "--except", "many/*")
        self.assertNotIn("/many", holdfast("ls", "--flat", emptied))

    def test_what_cannot_be_extracted(self):
        copy = self.new("copy.h5")
        self.assertIn('--only "modle/**" matches nothing', self.refused("extract", self.tiny, copy, "--only", "modle/**"))
        self.assertIn('--rename "modle" matches nothing', self.refused("extract", self.tiny, copy, "--rename", "modle", "x"))
        self.assertIn("same wildcards", self.refused("extract", self.tiny, copy, "--rename", "model/*", "x"))
        self.assertIn("would both be named /x", self.refused("extract", self.tiny, copy, "--rename", "model/weight", "x", "--rename", "count", "x"))
        self.assertIn("/name: would be /name, which is a group of others", self.refused("extract", self.tiny, copy, "--rename", "count", "name/x"))
        self.assertIn("/name: would be /count/x, which lies inside a tensor", self.refused("extract", self.tiny, copy, "--rename", "name", "count/x"))
        self.assertIn("nothing is left", self.refused("extract", self.tiny, copy, "--except", "**"))
        self.assertIn("its 12 bytes are not those that were saved", self.refused("extract", self.damaged(4112), copy))
        self.assertFalse(copy.exists())
        holdfast("extract", self.tiny, copy, "--only", "name")
        self.assertIn("pass --force", self.refused("extract", self.tiny, copy))
        self.assertIn("1 tensor,", holdfast("ls", copy))
        holdfast("extract", self.tiny, copy, "--force")
        self.assertIn("3 tensors,", holdfast("ls", copy))
        self.assertEqual(list(self.folder.glob(".holdfast-*")), [])

    def test_merge(self):
        model, rest, merged = self.new("model.h5"), self.new("rest.h5"), self.new("merged.h5")
        holdfast("extract", self.small, model, "--only", "shared", "--only", "many", "--step", 5)
        holdfast("extract", self.small, rest, "--except", "shared", "--except", "many")
        holdfast("merge", model, rest, "-o", merged)
        self.same(self.small, merged)
        self.assertEqual(json.loads(holdfast("ls", "--json", merged))["step"], 5)
        holdfast("merge", self.small, rest, model, "--output", merged, "--force")  # the same under the same name is no clash
        self.same(self.small, merged)

    def test_merge_keeps_ties_to_what_another_file_has_too(self):
        one, merged = self.new("one.h5"), self.new("merged.h5")
        holdfast("extract", self.tiny, one, "--only", "model/weight")
        for files in (one, self.tiny), (self.tiny, one):
            holdfast("merge", *files, "-o", merged, "--force")
            self.same(self.tiny, merged)

    def test_where_a_tensor_lived_is_kept(self):
        placed, copy, model, rest, key = self.forged("place"), self.new("copy.h5"), self.new("model.h5"), self.new("rest.h5"), self.new("key")
        def lived(*arguments):
            return {e["path"]: e["saved_from"] for e in json.loads(holdfast("ls", "--json", *arguments))["entries"] if "saved_from" in e}
        everywhere = {"/model/weight": "gpu(1)", "/model/tied": "gpu(1)"}
        self.assertEqual((lived(placed), lived(self.tiny)), (everywhere, {}))
        holdfast("extract", placed, copy)
        self.assertEqual(copy.read_bytes(), placed.read_bytes())
        holdfast("extract", placed, model, "--only", "model/weight", "--rename", "model/weight", "w")
        self.assertEqual(lived(model), {"/w": "gpu(1)"})
        holdfast("extract", placed, model, "--force", "--only", "model")
        holdfast("extract", placed, rest, "--except", "model")
        holdfast("merge", model, rest, "-o", copy, "--force")
        self.assertEqual(copy.read_bytes(), placed.read_bytes())
        key.write_bytes(b"0123456789abcdef")
        holdfast("seal", copy, "--key-file", key)
        self.assertEqual(lived(copy, "--key-file", key), everywhere)

    def test_merge_with_clashes(self):
        other, merged, array = self.new("other.h5"), self.new("merged.h5"), self.new("count.npz")
        np.savez(array, **{"count": np.int64(5), "model/weight/x": np.float32(2), "new": np.arange(3)})
        holdfast("import", array, other, "--step", 2)
        error = self.refused("merge", self.tiny, other, "-o", merged)
        self.assertIn(f"2 paths are in several files, and not the same: /count, /model/weight/x ({other}) and /model/weight ({self.tiny}); pass --prefer first or last", error)
        self.assertFalse(merged.exists())
        holdfast("merge", self.tiny, other, "-o", merged, "--prefer", "first")
        with h5py.File(merged, "r") as file:
            self.assertEqual((file["count"][()], file["new"][()].tolist(), file["holdfast/step"][()], file["model/weight"], file["model/weight"].shape), (1000, [0, 1, 2], 123456789, file["model/tied"], (3,)))
        holdfast("merge", self.tiny, other, "-o", merged, "--prefer", "last", "--force")
        with h5py.File(merged, "r") as file:
            self.assertEqual((file["count"][()], file["model/weight/x"][()], file["model/tied"][()].tolist(), file["holdfast/step"][()]), (5, 2, [0.5, 1, 1.5], 2))
        holdfast("merge", self.tiny, other, "-o", merged, "--force", "--except", "count", "--except", "model")
        with h5py.File(merged, "r") as file:
            self.assertEqual(sorted(file), ["holdfast", "name", "new"])
        holdfast("verify", merged)

    arrays = {"b": np.array([True, False]), "i8": np.arange(-3, 3, dtype=np.int8), "u64": np.array([2**64 - 1], np.uint64), "f16": np.linspace(-1, 1, 7).astype(np.float16),
              "f32": np.arange(12, dtype=np.float32).reshape(3, 4), "f64": np.array(0.1), "c16": np.array([1 - 2j]), "empty": np.zeros((2, 0), np.float32), "deep/er/name": np.arange(5)}

    def test_npz_in_and_out(self):
        source, taken, back = self.new("in.npz"), self.new("taken.h5"), self.new("out.npz")
        np.savez_compressed(source, text=np.array([b"ab", b"c"]), fortran=np.asfortranarray(self.arrays["f32"]), **self.arrays)
        holdfast("import", source, taken, "--step", 3, "--metric", 0.5)
        self.assertIn("step 3, metric 0.5", holdfast("ls", taken))
        holdfast("verify", taken)
        holdfast("export", taken, back)
        with np.load(source) as a, np.load(back) as b, h5py.File(taken, "r") as c:
            self.assertEqual(set(a), set(b))
            for name in a:
                for found in b[name], c[name][()]:
                    self.assertEqual((np.asarray(found).dtype, np.asarray(found).tobytes(), np.asarray(found).shape), (a[name].dtype, a[name].tobytes(), a[name].shape))
        again = self.new("again.npz")
        holdfast("export", taken, again)
        self.assertEqual(again.read_bytes(), back.read_bytes())
        import zipfile
        self.assertEqual({info.date_time for info in zipfile.ZipFile(again).infolist()}, {(1980, 1, 1, 0, 0, 0)})
        self.assertIn("pass --force", self.refused("export", taken, again))
        holdfast("export", taken, again, "--force", "--only", "deep/**", "--rename", "deep/**", "**")
        with np.load(again) as found:
            self.assertEqual(found.files, ["er/name"])

    def test_npz_of_what_numpy_cannot_hold(self):
        out = self.new("out.npz")
        self.assertIn("for which numpy has no type; leave it out with --except", self.refused("export", self.small, out))
        self.assertIn("its 12 bytes are not those that were saved", self.refused("export", self.damaged(4112), out))
        self.assertIn("leave --metadata out", self.refused("export", self.tiny, out, "--metadata", "a", "b"))
        self.assertIn("ends in .safetensors or .npz", self.refused("export", self.tiny, self.new("out.txt")))
        self.assertFalse(out.exists())
        self.assertEqual(list(self.folder.glob(".holdfast-*")), [])

    def test_safetensors_in_and_out(self):
        out, back = self.new("out.safetensors"), self.new("back.h5")
        self.assertIn("/name: safetensors has no type for string[4]", self.refused("export", self.tiny, out))
        self.assertFalse(out.exists())
        holdfast("export", self.tiny, out, "--except", "name", "--rename", "model/**", "**", "--metadata", "format", "pt")
        header, content = self.read_safetensors(out)
        self.assertEqual(header.pop("__metadata__"), {"format": "pt", "tied": "weight"})
        self.assertEqual({name: (h["dtype"], h["shape"]) for name, h in header.items()}, {"count": ("I64", []), "weight": ("F32", [3])})
        self.assertEqual(np.frombuffer(content("weight"), "<f4").tolist(), [0.5, 1, 1.5])
        self.assertEqual(int.from_bytes(content("count"), "little"), 1000)
        holdfast("import", out, back, "--only", "weight", "--only", "tied", "--rename", "**", "model/**")
        with h5py.File(back, "r") as file:
            self.assertEqual(file["model/weight"], file["model/tied"])
            self.assertEqual(file["model/weight"][()].tolist(), [0.5, 1, 1.5])
        holdfast("verify", back)

    def read_safetensors(self, path):
        """Written from the format's description alone."""
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + length])
        def content(name):
            begin, end = header[name]["data_offsets"]
            return data[8 + length + begin:8 + length + end]
        return header, content

    def test_what_cannot_be_imported(self):
        out = self.new("out.h5")
        unknown = self.new("unknown.npz")
        np.savez(unknown, text="unicode", fine=np.arange(3))
        self.assertIn("leave it out with --except", self.refused("import", unknown, out))
        holdfast("import", unknown, out, "--except", "text")
        self.assertIn("named .safetensors, .npz or .npy", self.refused("import", self.tiny, self.new("other.h5")))
        broken = self.new("broken.safetensors")
        broken.write_bytes(b"no safetensors file")
        self.refused("import", broken, self.new("third.h5"))


class Seal(Command):
    def edited(self, name, edit, of=None):
        path = self.folder / name
        path.write_bytes((of or self.tiny).read_bytes())
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    def test_says_what_changed_and_seals(self):
        def edit(file):
            file["model/weight"][1] = 7
            file["extra/new"] = np.arange(4, dtype=np.float32)
            del file["count"]
        path = self.edited("edited.h5", edit)
        before = path.read_bytes()
        self.assertEqual(holdfast("seal", "--dry-run", path), f"""added    /extra/new
changed  /model/weight
removed  /count
{path}: 1 tensor unchanged; not sealed, as --dry-run says
""")
        self.assertEqual(path.read_bytes(), before)
        said = holdfast("seal", path, "--metric", 0.5)
        self.assertIn("1 tensor unchanged; sealed\n", said)
        holdfast("verify", path)
        self.assertIn("sealed, step 123456789, metric 0.5", holdfast("ls", path))
        with h5py.File(path, "r") as file:
            self.assertEqual((file["model/weight"][()].tolist(), file["model/weight"], file["extra/new"][()].tolist(), file["name"][()]), ([0.5, 7, 1.5], file["model/tied"], [0, 1, 2, 3], b"tiny"))
            self.assertNotIn("count", file)
        self.assertIn("nothing to do", holdfast("seal", path))

    def test_what_was_only_opened(self):
        path = self.edited("opened.h5", lambda file: None, of=self.small)
        said = holdfast("seal", path)
        self.assertTrue(said.startswith(f"{path}: 118 tensors unchanged; sealed\nIts metric"), said)
        programs.run("write_everything", "--check", "--small", path)

    def test_what_a_checkpoint_does_not_hold_is_not_lost_in_silence(self):
        def edit(file):
            file["model/weight"].attrs["note"] = "by hand"
            file["soft"] = h5py.SoftLink("/count")
        path = self.edited("noted.h5", edit)
        before = path.read_bytes()
        self.assertIn("/soft, /model/weight (note), /model/tied (note); pass --drop", self.refused("seal", path))
        self.assertEqual(path.read_bytes(), before)
        holdfast("seal", "--drop", path)
        self.assertNotIn("/soft", holdfast("ls", "--flat", path))
        def add_reference(file):
            file["reference"] = np.array([file["count"].ref], h5py.ref_dtype)
        path = self.edited("reference.h5", add_reference)
        self.assertIn("/reference: holds", self.refused("seal", path))

    def test_a_damaged_file_is_not_sealed(self):
        for at in 4112, -1, -150, 100:
            path = self.damaged(at)
            before = path.read_bytes()
            done = call("seal", path)
            self.assertTrue(done.returncode == 2 or "nothing to do" in done.stdout)
            self.assertEqual(path.read_bytes(), before)


class Shell(Command):
    """Completion, the man page, and the bar."""

    def complete(self, *words):
        return holdfast("--complete", *words).splitlines()

    def test_completion_of_commands_and_options(self):
        commands = self.complete("")
        self.assertEqual(commands, [line.split()[0] for line in holdfast("--help").split("Subcommands:\n")[1].split("\n\n")[0].splitlines()])
        self.assertEqual(self.complete("ex"), ["extract", "export"])
        for command in commands:
            for option in self.complete(command, "-"):
                self.assertIn(option, holdfast(command, "--help"))
        self.assertEqual(self.complete("ls", "--tr"), ["--trust"])
        self.assertEqual(self.complete("merge", "--prefer", ""), ["first", "last"])
        self.assertEqual(self.complete("nothing", ""), [])
        self.assertEqual(self.complete("ls", str(self.folder)), [])  # the shell knows files

    def test_completion_of_paths(self):
        self.assertEqual(self.complete("show", self.tiny, ""), ["count", "model/", "name"])
        self.assertEqual(self.complete("show", self.tiny, "model/"), ["model/tied", "model/weight"])
        self.assertEqual(self.complete("show", self.tiny, "/mo"), ["/model/"])
        self.assertEqual(self.complete("extract", self.tiny, "--only", "na"), ["name"])
        self.assertIn("many/", self.complete("show", self.small, "m"))
        self.assertEqual(self.complete("show", self.folder / "none.h5", ""), [])
        self.assertEqual(self.complete("show", self.damaged(-1), ""), [])

    def test_bash_offers_them(self):
        script = programs.REPOSITORY / "tools/completions/holdfast.bash"
        def offered(*words):
            code = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
            return subprocess.run(["bash", "-c", code, "bash", script, programs.PROGRAMS["holdfast"], *map(str, words)], capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertEqual(offered("ver"), ["verify"])
        self.assertEqual(offered("show", self.tiny, "model/w"), ["model/weight"])
        self.assertEqual(offered("show", self.small, "model/fc"), ["model/fc1.bias\\ with\\ space"])

    def test_the_man_page_has_every_command_and_option(self):
        import shutil
        page = holdfast("--man")
        text = page.replace("\\-", "-")
        for command in self.complete(""):
            self.assertIn(f".SS \"holdfast {command} ", text)
            section = text.split(f".SS \"holdfast {command} ")[1].split(".SS")[0]
            help_text = holdfast(command, "--help")
            options = [option for line in help_text.splitlines() if line.startswith("  -") for option in line.split()[0].split(",")]
            self.assertEqual(sorted(options), sorted(self.complete(command, "-")))
            for option in options:
                self.assertIn(option + "\\fR", section)
            for line in help_text.split("Examples:\n")[1].splitlines():
                self.assertIn(line.replace("\\", "\\e"), section)
        if shutil.which("groff"):
            warnings = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=True).stderr
            self.assertEqual(warnings, "")

    def test_the_bar_is_for_terminals(self):
        for arguments in ["verify", self.small], ["diff", self.small, self.small], ["show", self.small, "sizes"], ["history", "--verify", self.folder / "bar"]:
            if arguments[0] == "history":
                (self.folder / "bar").mkdir()
                holdfast("extract", self.tiny, self.folder / "bar/step-000123456789.h5")
            shown, status = on_terminal(*arguments, HOLDFAST_PROGRESS_AFTER="0")
            self.assertEqual(status, 0)
            self.assertRegex(shown, r"\r\w+ \[#*\.*\] +\d+%  .+ of .+iB|B, .+/s")
            self.assertIn("\r\x1b[K", shown)
            self.assertNotIn("%", on_terminal(*arguments, HOLDFAST_PROGRESS_AFTER="1000")[0])
            self.assertNotIn("%", on_terminal(*arguments, HOLDFAST_PROGRESS_AFTER="0", TERM="dumb")[0])
            self.assertEqual(call(*arguments, HOLDFAST_PROGRESS_AFTER="0").stderr, "")

    def test_the_bar_counts_all_bytes(self):
        run, archive = self.folder / "large", self.folder / "large.npz"
        run.mkdir()
        large, copy = run / "step-000000000001.h5", self.folder / "copy.h5"
        np.savez_compressed(archive, x=np.arange(1 << 20), y=np.arange(1 << 20))
        for arguments in (["import", archive, large], ["verify", large], ["show", large, "x"], ["extract", large, copy], ["export", large, self.folder / "large.safetensors"],
                          ["export", large, self.folder / "copy.npz"], ["merge", copy, self.tiny, "-o", self.folder / "merged.h5"], ["report", run, "-o", self.folder / "large.html"]):
            shown, status = on_terminal(*arguments, HOLDFAST_PROGRESS_AFTER="0")
            self.assertEqual(status, 0, shown)
            self.assertIn("100%", shown)


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

    def test_a_full_disk_is_an_error(self):
        for arguments in ["ls", self.tiny], ["ls", "--json", self.small], ["--man"]:
            with open("/dev/full", "w") as full:
                done = subprocess.run([programs.PROGRAMS["holdfast"], *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
            self.assertIn("No space left on device", done.stderr)

    def test_what_may_not_be_read(self):
        locked = self.folder / "locked"
        locked.mkdir()
        (locked / "run.h5").write_bytes(self.tiny.read_bytes())
        locked.chmod(0)
        self.addCleanup(locked.chmod, 0o700)
        if not os.access(locked, os.R_OK):
            self.assertIn("check the permissions", self.refused("ls", locked / "run.h5"))
            self.refused("history", locked)

    def test_colours(self):
        self.assertIn("\x1b[1m", on_terminal("ls", self.tiny)[0])
        self.assertIn("\x1b[31mholdfast:", on_terminal("ls", self.folder / "none.h5")[0])
        for environment in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
            self.assertNotIn("\x1b", on_terminal("ls", self.tiny, **environment)[0])
        self.assertIn("\x1b[1m", on_terminal("ls", self.tiny, NO_COLOR="")[0])
        self.assertNotIn("\x1b", holdfast("ls", self.tiny))


if __name__ == "__main__":
    programs.main()
