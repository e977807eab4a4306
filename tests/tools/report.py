"""`holdfast report`: the numbers of the page against numpy's, what it says of damage, NaN and what it leaves out, and that nothing in a file gets out of its text."""

import base64
import hashlib
import html.parser
import json
import os
import re
import subprocess
import time

import numpy as np

import programs

HOSTILE = "<img src=x onerror=hacked=1>\"'&</script><script>hacked=1</script><!-- {{content}}"


def save(folder, step, arrays, *options):
    """A checkpoint of a run, by way of an .npz file."""
    folder.mkdir(parents=True, exist_ok=True)
    path, source = folder / f"step-{step:012}.h5", folder / "arrays.npz"
    np.savez(source, **arrays)
    programs.run("holdfast", "import", source, path, "--step", step, *options)
    source.unlink()
    return path


def make_run(folder, seed=11):
    """Four checkpoints of three layers with AdamW, as holdfast's conventions name them; returns their arrays by step."""
    random = np.random.default_rng(seed)
    shapes = {"fc1.weight": (8, 4), "fc1.bias": (8,), "blocks/10/weight": (3, 8), "blocks/9/weight": (3, 8), "head": (5,)}
    saved = {}
    for i, metric in enumerate((0.9, 0.4, 0.5, 0.45)):
        arrays = {f"model/{name}": random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        arrays |= {f"optimizer/state/{name}/exp_avg": random.normal(size=shape) for name, shape in shapes.items()}
        arrays |= {f"optimizer/exp_avg_sq/{name}": random.normal(size=shape) ** 2 for name, shape in shapes.items()}
        arrays |= {f"gradient/{name}": random.normal(size=shape) for name, shape in shapes.items()}
        arrays |= {"optimizer/param_groups/0/lr": np.float64(0.1 / (i + 1)), "optimizer/param_groups/1/lr": np.float32(0.25), "progress/step": np.int64(100 * i + 100)}
        saved[100 * i + 100] = arrays
        save(folder, 100 * i + 100, arrays, "--metric", metric)
    return saved


def flip(path, at):
    """Changes one bit of a byte of a file, or of the first byte of an array in it."""
    data = bytearray(path.read_bytes())
    data[at if isinstance(at, int) else data.index(at.tobytes())] ^= 1
    path.write_bytes(data)


class Page(html.parser.HTMLParser):
    """The page as a browser reads it: elements, tables as lists of rows, the numbers for the charts."""

    def __init__(self, text):
        super().__init__()
        self.source, self.elements, self.tables, self.texts, self.open, self.said = text, [], [], {}, [], ""
        self.feed(text)
        self.data = json.loads(self.texts["script data"])

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in ("meta", "input"):
            self.open.append((tag, " ".join([tag, dict(attributes).get("id", "")]).strip()))

    def handle_endtag(self, tag):
        if self.open.pop()[0] != tag:
            raise AssertionError(f"</{tag}> at {self.getpos()} closes something else")

    def handle_data(self, text):
        if self.open:
            self.texts[self.open[-1][1]] = self.texts.get(self.open[-1][1], "") + text
        if not self.open or self.open[-1][0] not in ("script", "style"):
            self.said += text
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.tables[-1][-1][-1] += text

    def table(self, column):
        """The rows of the table with a column of that name, by their first cell."""
        found = next(rows for rows in self.tables if column in rows[0])
        return {row[0]: dict(zip(found[0], row)) for row in found[1:]}


class Report(programs.Case):
    def report(self, run, *options, status=0):
        path = self.folder / "report.html"
        done = subprocess.run([programs.PROGRAMS["holdfast"], "report", run, "-o", path, "--force", *map(str, options)], capture_output=True, text=True, timeout=100)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        self.printed = done.stdout
        return Page(path.read_text(encoding="utf-8"))

    def says(self, page, text):
        self.assertTrue(text in page.said, text)

    def refused(self, *arguments):
        error = programs.run("holdfast", "report", *arguments, expect=2)
        self.assertRegex(error, r"^holdfast: .*;.*\n$")
        return error


class Numbers(Report):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.folder / "run"
        cls.saved = make_run(cls.run_folder)

    def test_checkpoints(self):
        page = self.report(self.run_folder)
        self.assertEqual(self.printed, f"{self.folder}/report.html: 4 checkpoints, 0 damaged, 0 tensors with NaN or Inf\n")
        drawn = page.data["checkpoints"]
        self.assertEqual((drawn["steps"], drawn["metric"], drawn["best"], drawn["damaged"]), ([100, 200, 300, 400], [0.9, 0.4, 0.5, 0.45], 1, [False] * 4))
        self.assertEqual(drawn["bytes"], [(self.run_folder / f"step-{step:012}.h5").stat().st_size for step in drawn["steps"]])
        self.assertTrue(all(seconds is None or 0 <= seconds < 100 for seconds in drawn["seconds"]))
        rows = page.table("saved")
        self.assertEqual([row["valid"] for row in rows.values()], ["newest; ✓ whole, every byte verified", "✓ whole, every byte verified", "best; ✓ whole, every byte verified", "✓ whole, every byte verified"])
        self.assertEqual([row["metric"] for row in rows.values()], ["0.45", "0.5", "0.4", "0.9"])
        self.assertEqual(self.report(self.run_folder, "--higher-is-better").data["checkpoints"]["best"], 0)

    def test_the_time_of_a_save_that_cannot_be_known_is_left_out(self):
        folder = self.folder / "touched"
        for step in 1, 2, 3:
            save(folder, step, {"model/x": np.ones(3)})
        seconds = lambda: self.report(folder).data["checkpoints"]["seconds"]
        if None in seconds():
            self.skipTest("this file system does not tell when files were created")
        time.sleep(0.1)  # file systems count in ticks
        os.link(folder / "step-000000000002.h5", self.folder / "second_name.h5")
        self.assertEqual([s is None for s in seconds()], [False, True, False])
        os.utime(folder / "step-000000000003.h5", (0, 0))  # as a copy that keeps an older time
        self.assertEqual([s is None for s in seconds()], [False, True, True])

    def test_norms_are_numpys(self):
        layers = self.report(self.run_folder).data["layers"]
        self.assertEqual(layers["names"], ["blocks/9", "blocks/10", "fc1", "head"])
        of = {"fc1": ["fc1.weight", "fc1.bias"], "head": ["head"], "blocks/9": ["blocks/9/weight"], "blocks/10": ["blocks/10/weight"]}
        norm = lambda arrays: float(np.sqrt(sum((np.float64(a) ** 2).sum() for a in arrays)))
        moments = {m["kind"]: m["table"] for m in layers["moments"]}
        self.assertEqual(sorted(moments), ["exp_avg", "exp_avg_sq", "gradient"])
        for i, layer in enumerate(layers["names"]):
            before = None
            for n, (step, arrays) in enumerate(self.saved.items()):
                self.assertEqual(layers["steps"][n], step)
                model = [np.float64(arrays["model/" + name]) for name in of[layer]]
                self.assertAlmostEqual(layers["parameters"][i][n], norm(model), places=10)
                if before is None:
                    self.assertIsNone(layers["updates"][i][n])
                else:
                    self.assertAlmostEqual(layers["updates"][i][n], norm([a - b for a, b in zip(model, before)]), places=10)
                self.assertAlmostEqual(moments["exp_avg"][i][n], norm([arrays[f"optimizer/state/{name}/exp_avg"] for name in of[layer]]), places=10)
                self.assertAlmostEqual(moments["exp_avg_sq"][i][n], norm([arrays[f"optimizer/exp_avg_sq/{name}"] for name in of[layer]]), places=10)
                self.assertAlmostEqual(moments["gradient"][i][n], norm([arrays["gradient/" + name] for name in of[layer]]), places=10)
                before = model

    def test_parameters_elsewhere(self):
        layers = self.report(self.run_folder, "--parameters", "optimizer/exp_avg_sq").data["layers"]
        self.assertEqual(layers["names"], ["blocks/9", "blocks/10", "fc1", "head"])
        page = self.report(self.run_folder, "--parameters", "net")
        self.says(page, "--parameters PATTERN")

    def test_tensors(self):
        rows = self.report(self.run_folder).table("changed / norm")
        newest, before = self.saved[400]["model/fc1.weight"], self.saved[300]["model/fc1.weight"]
        row = rows["/model/fc1.weight"]
        self.assertEqual([row[c] for c in ("type", "min", "max", "mean", "norm", "changed", "NaN", "Inf")],
                         ["float32[8, 4]", *(f"{np.float64(x):.4g}" for x in (newest.min(), newest.max(), np.float64(newest).mean(), np.linalg.norm(np.float64(newest)), np.linalg.norm(np.float64(newest) - before))), "0", "0"])
        self.assertNotIn("/progress/step", rows)

    def test_learning_rates_and_other_curves(self):
        curves = self.report(self.run_folder).data["curves"]
        self.assertEqual(curves, {"steps": [100, 200, 300, 400], "lines": [{"name": "/optimizer/param_groups/0/lr", "values": [0.1, 0.1 / 2, 0.1 / 3, 0.1 / 4]}, {"name": "/optimizer/param_groups/1/lr", "values": [0.25] * 4}]})
        chosen = self.report(self.run_folder, "--curve", "progress/*").data["curves"]["lines"]
        self.assertEqual(chosen, [{"name": "/progress/step", "values": [100, 200, 300, 400]}])

    def test_rates_of_schedulers_and_those_that_are_equal(self):
        folder = self.folder / "scheduler"
        for step in 1, 2:
            save(folder, step, {"scheduler/last_lr": np.array([step, step]), "scheduler/step": np.int64(9)})
        self.assertEqual(self.report(folder).data["curves"]["lines"], [{"name": "/scheduler/last_lr[0] and 1 more", "values": [1, 2]}])

    def test_histograms_are_numpys(self):
        page = self.report(self.run_folder)
        shown = {e[1]["aria-label"].split(",")[0] for e in page.elements if e[0] == "canvas" and e[1]["id"].startswith("histogram")}
        self.assertEqual(shown, {f"Histogram of /model/{name}" for name in ("blocks/9/weight", "blocks/10/weight", "fc1.weight")})  # the matrices
        drawn = self.report(self.run_folder, "--histogram", "model/fc1.bias").data["histograms"]
        self.assertEqual(len(drawn), 1)
        first, newest = (np.float64(self.saved[step]["model/fc1.bias"]) for step in (100, 400))
        low, high = min(first.min(), newest.min()), max(first.max(), newest.max())
        self.assertEqual((drawn[0]["low"], drawn[0]["high"]), (low, high))
        for line, (step, values) in zip(drawn[0]["lines"], ((100, first), (400, newest)), strict=True):
            self.assertEqual(line["step"], step)
            np.testing.assert_allclose(line["shares"], np.histogram(values, bins=60, range=(low, high))[0] / values.size)

    def test_constants_and_nothing_finite(self):
        folder = self.folder / "constant"
        for step in 1, 2:
            save(folder, step, {"model/same": np.full((2, 2), 3.0), "model/none": np.full((2, 2), np.nan), "model/empty": np.zeros((0, 2)), "model/huge": np.array([[1e308, -1e308]])})
        drawn = self.report(folder).data["histograms"]
        self.assertEqual([(h["low"], h["high"]) for h in drawn], [(-1e308, 1e308), (1.5, 4.5)])
        self.assertTrue(all(abs(sum(line["shares"]) - 1) < 1e-12 for h in drawn for line in h["lines"]))


class Alarms(Report):
    def test_nan_and_inf(self):
        folder = self.folder / "nan"
        for step in 1, 2, 3, 4:
            x = np.arange(6.0)
            if step in (2, 3):
                x[:step] = np.nan
                x[5] = -np.inf
            save(folder, step, {"model/x": x, "model/y": np.ones(2), "progress/loss": np.float32(np.inf) if step == 4 else np.float32(1)})
        page = self.report(folder)
        self.assertIn("2 tensors with NaN or Inf", self.printed)
        rows = page.table("first seen at step")
        self.assertEqual(list(rows["/model/x"].values()), ["/model/x", "2", "3", "2 of 4", "3", "1", "6"])
        self.assertEqual(list(rows["/progress/loss"].values()), ["/progress/loss", "4", "4", "1 of 4", "0", "1", "1"])
        self.assertEqual(len(rows), 2)

    def test_damage_does_not_stop_it(self):
        folder = self.folder / "damaged"
        saved = make_run(folder)
        paths = sorted(folder.glob("*.h5"))
        flip(paths[1], saved[200]["model/fc1.weight"])
        os.truncate(paths[2], 5000)
        page = self.report(folder, status=1)
        rows = page.table("why")
        self.assertEqual(list(rows), ["300", "200"])
        self.assertIn("bytes are not those that were saved", rows["200"]["why"])
        self.assertIn("not sealed", rows["300"]["why"])
        self.assertEqual(page.data["layers"]["steps"], [100, 400])  # nothing counts of what is damaged
        self.assertEqual(page.data["checkpoints"]["damaged"], [False, True, True, False])
        self.assertEqual(page.data["checkpoints"]["seconds"][1:3], [None, None])
        self.assertEqual(page.data["checkpoints"]["best"], 3)
        self.assertEqual([row["valid"].startswith("✕ damaged: ") for row in page.table("valid").values()], [False, True, True, False])
        flip(paths[0], -300)
        paths[3].write_bytes(b"")
        page = self.report(folder, status=1)
        self.assertEqual(list(page.table("why")), ["400", "300", "200", "100"])
        self.assertEqual(page.data["layers"]["steps"], [])

    def test_what_may_not_be_read(self):
        folder = self.folder / "locked"
        save(folder, 1, {"model/x": np.ones(3)})
        path = save(folder, 2, {"model/x": np.ones(3)})
        path.chmod(0)
        if not os.access(path, os.R_OK):
            self.assertIn("check the permissions", self.report(folder, status=1).table("why")["2"]["why"])

    def test_nothing_gets_out_of_its_text(self):
        folder = self.folder / ("run" + HOSTILE.replace("/", "_"))
        for step in 1, 2:
            save(folder, step, {f"model/{HOSTILE}": np.ones((2, 2)), f"optimizer/state/{HOSTILE}/exp_avg": np.ones((2, 2)), f"optimizer/{HOSTILE}/lr": np.float64(0.1), "model/nan\u202e\u2028<b>": np.full(3, np.nan)})
        flip(save(folder, 3, {f"model/{HOSTILE}": np.full((2, 2), 7.0)}), np.full((2, 2), 7.0))
        page = self.report(folder, status=1)
        self.assertEqual([e[0] for e in page.elements if e[0] in ("img", "b", "script")], ["script"] * 3)
        self.assertFalse([e for e in page.elements if any(name.startswith("on") for name in e[1])])
        self.assertIn(f"/model/{HOSTILE}", page.table("changed / norm"))
        self.assertIn(HOSTILE.replace("/", "_"), page.texts["title"])
        self.assertEqual(page.data["curves"]["lines"][0]["name"], f"/optimizer/{HOSTILE}/lr")


class Limits(Report):
    def test_many_checkpoints(self):
        folder, any_step, array = self.folder / "many", self.folder / "any_step.h5", self.folder / "array.npy"
        folder.mkdir()
        np.save(array, np.ones((2, 2)))
        programs.run("holdfast", "import", array, any_step, "--metric", "0.5", "--rename", "**", "model/**")
        for step in range(1200):
            os.link(any_step, folder / f"step-{step:012}.h5")
        page = self.report(folder, "--read", "3")
        self.assertEqual((len(page.data["checkpoints"]["steps"]), len(page.table("valid")), page.data["layers"]["steps"]), (1000, 300, [0, 599, 1199]))
        for said in "1000 of 1,200 checkpoints are shown", "300 of 1,200 checkpoints are shown", "The content of 3 was read":
            self.says(page, said)
        self.assertEqual(page.table("valid")["4"]["valid"], "index verified, content not read")

    def test_many_tensors(self):
        folder = self.folder / "wide"
        for step in 1, 2:
            save(folder, step, {f"model/layer{i}.weight": np.ones((1, 2)) for i in range(400)})
        page = self.report(folder)
        self.assertEqual((len(page.data["layers"]["names"]), len(page.table("changed / norm")), len(page.data["histograms"])), (100, 300, 6))
        self.assertEqual([page.data["layers"]["names"][i] for i in (0, -1)], ["layer0", "layer399"])
        for said in "100 of 400 layers are shown", "300 of 400 tensors are shown", "6 of 400 tensors":
            self.says(page, said)


class Usage(Report):
    def test_needs_no_network(self):
        folder = self.folder / "plain"
        make_run(folder)
        page = self.report(folder)
        self.assertEqual([e for e in page.elements if {"src", "srcset", "data"} & e[1].keys() or e[0] in ("link", "iframe", "object")], [])
        policy = next(e[1]["content"] for e in page.elements if e[1].get("http-equiv") == "Content-Security-Policy")
        self.assertTrue(policy.startswith("default-src 'none'; "))
        for kind in "style", "script":
            texts = re.findall(rf"<{kind}>(.*?)</{kind}>", page.source, re.DOTALL)
            self.assertEqual(re.findall(r"'sha256-(.*?)'", next(part for part in policy.split("; ") if part.startswith(kind))), [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts])
        self.assertTrue("Permission is hereby granted" in page.source)

    def test_what_it_refuses(self):
        folder, page = self.folder / "usage", self.folder / "page.html"
        save(folder, 1, {"model/x": np.ones(3)})
        programs.run("holdfast", "report", folder, "-o", page)
        self.assertIn("--force", self.refused(folder, "-o", page))
        self.assertIn("--output", self.refused(folder))
        self.assertIn('nothing matches "modle/**"', self.refused(folder, "-o", self.folder / "new.html", "--histogram", "modle/**"))
        self.assertIn('nothing matches "lr"', self.refused(folder, "-o", self.folder / "new.html", "--curve", "lr"))
        self.assertIn("found none", self.refused(self.folder, "-o", self.folder / "new.html"))
        self.refused(self.folder / "none", "-o", self.folder / "new.html")
        self.refused(folder, "-o", self.folder / "none/new.html")
        self.assertFalse((self.folder / "new.html").exists())


if __name__ == "__main__":
    programs.main()
