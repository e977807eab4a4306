"""The console blocks of docs/tool.md, run in order: every command prints what the page shows, but for times and sizes of files.

With HOLDFAST_ACCEPT=1 the page is written anew with what they print.
"""

import os
import pathlib
import re
import subprocess

import numpy as np

import programs

PAGE = programs.REPOSITORY / "docs/tool.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def make_run(folder):
    """runs/exp1: three checkpoints of a small network with AdamW, of which the second has the lowest loss."""
    random = np.random.default_rng(7)
    model = {"fc1.weight": (8, 4), "fc1.bias": (8,), "fc2.weight": (2, 8), "fc2.bias": (2,)}
    (folder / "runs/exp1").mkdir(parents=True)
    for step, metric in (1000, 0.93), (2000, 0.41), (3000, 0.44):
        arrays = {f"model/{name}": random.normal(size=shape).astype(np.float32) for name, shape in model.items()}
        arrays |= {f"optimizer/{moment}/{name}": random.normal(size=shape).astype(np.float32) ** 2 for moment in ("exp_avg", "exp_avg_sq") for name, shape in model.items()}
        arrays |= {"progress/step": np.int64(step), "rng/state": random.integers(0, 2**32, 625, dtype=np.uint64)}
        np.savez(folder / "state.npz", **arrays)
        subprocess.run([programs.PROGRAMS["holdfast"], "import", folder / "state.npz", folder / f"runs/exp1/step-{step:012}.h5", "--step", str(step), "--metric", str(metric)],
                       check=True, stdout=subprocess.DEVNULL)
    (folder / "state.npz").unlink()


def run(command, folder):
    tools = pathlib.Path(programs.PROGRAMS["holdfast"]).resolve().parent
    environment = {**os.environ, "PATH": f"{tools}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    shown = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500).stdout
    return re.sub(r"(?m)^bash: line \d+: +\d+ (Killed) .*$", r"\1", shown)  # as an interactive shell says it


def fixed(text):
    """Without what another day or another HDF5 gives."""
    text = re.sub(r"at byte \d+", "at byte N", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text))
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d)? [KM]iB", "SIZE", text))


def follow(case, page, folder):
    """Runs the console blocks of a page in order, and compares what they print."""
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    case.assertTrue(blocks)
    for block in blocks:
        found = "".join(f"$ {command}\n{run(command, folder)}" for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE))
        if os.environ.get("HOLDFAST_ACCEPT"):
            text = text.replace(f"```console\n{block}```", f"```console\n{found}```")
        else:
            case.assertEqual(fixed(found), fixed(block))
    if os.environ.get("HOLDFAST_ACCEPT"):
        page.write_text(text, encoding="utf-8")


class Page(programs.Case):
    def test_every_command_prints_what_the_page_shows(self):
        make_run(self.folder)
        follow(self, PAGE, self.folder)

    def test_every_command_is_on_the_page(self):
        text = PAGE.read_text(encoding="utf-8")
        for command in programs.run("holdfast", "--complete", "").split():
            self.assertRegex(text, rf"(?m)^\$ .*holdfast {command} ")


if __name__ == "__main__":
    programs.main()
