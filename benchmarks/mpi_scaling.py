#!/usr/bin/python3
"""Measures saves by many ranks and fits what grows with ranks, tensors and bytes (docs/scaling.md):

    mpi_scaling.py --programs FOLDER [--output FOLDER] [--quick]

PROGRAMS holds mpi_scaling and, where parallel HDF5 is installed, mpi_h5dwrite. Writes OUTPUT/mpi_scaling.json, with every run, and
OUTPUT/mpi_scaling.md, the tables. Under 8 minutes on two idle cores.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy

RANKS = (1, 2, 4, 8, 16, 32, 64)
TENSORS = (100, 500, 2000)


def mpiexec():
    open_mpi = "Open" in subprocess.run(["mpiexec", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return ["mpiexec"] + (["--oversubscribe", "--allow-run-as-root", "-q"] if open_mpi else [])


class Measurement:
    def __init__(self, programs, folder):
        self.programs, self.folder, self.launch, self.runs = programs, folder, mpiexec(), []

    def has(self, program):
        return (self.programs / program).exists()

    def run(self, program, ranks, *arguments):
        command = self.launch + ["-n", str(ranks), str(self.programs / program), self.folder, *map(str, arguments)]
        environment = dict(os.environ, OMPI_MCA_mpi_yield_when_idle="1")  # ranks share cores
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300, env=environment).stdout
        self.runs.append(json.loads(out.strip().splitlines()[-1]))
        print(".", end="", file=sys.stderr, flush=True)
        return self.runs[-1]

    def all(self, quick):
        mib, rounds = (128, 1) if quick else (1024, 3)
        for _ in range(1 if quick else 2):
            self.run("mpi_scaling", 4, 100, mib, rounds, "rows", "plain", "again", "collective")
            if self.has("mpi_h5dwrite"):
                self.run("mpi_h5dwrite", 4, 100, mib, 1)
            self.run("mpi_scaling", 4, 100, mib, rounds, "columns", "plain", "again")
            self.run("mpi_scaling", 4, 100, mib, rounds, "replicas", "plain", "again", "trusted")
        for size in () if quick else (64, 256):
            self.run("mpi_scaling", 4, 100, size, 3, "rows", "plain", "again")
        for ranks in RANKS[::3] if quick else RANKS:
            for tensors in TENSORS:
                # The machine is not always as fast: each has one rank for comparison just before it.
                for _ in range(6 if (ranks, tensors) == (RANKS[-1], TENSORS[-1]) and not quick else 1):
                    one, many = (self.run("mpi_scaling", n, tensors, 8, 1 if quick else 3, "rows", "first", "again") for n in (1, ranks))
                    many["bound"] = one["first"]["metadata"] + many["first"]["broadcast"]


def median(values):
    return float(numpy.median(values))


class Fit:
    """Least squares of a sum of terms, with no negative one; relative errors count."""

    def __init__(self, terms, rows, values):
        names = list(terms)
        while True:
            a = numpy.array([[terms[n](r) for n in names] for r in rows], dtype=float)
            weight = 1 / numpy.maximum(numpy.array(values, dtype=float), 1e-6)
            found = numpy.linalg.lstsq(a * weight[:, None], numpy.ones(len(rows)), rcond=None)[0]
            if (found >= 0).all() or len(names) == 1:
                break
            names.pop(int(numpy.argmin(found)))
        self.terms, self.of = terms, dict(zip(names, map(float, found)))
        self.worst = float(max(abs(a @ found * weight - 1)))

    def at(self, row):
        return sum(c * self.terms[n](row) for n, c in self.of.items())


def beside_content(run, who):
    """What rank 0 gathers but for the content of small tensors, all of which comes to it."""
    return run[who]["gathered"] - (run["bytes"] * (run["ranks"] - 1) / run["ranks"] if run["bytes"] / run["tensors"] < 65536 else 0)


def fits(runs):
    grid = [dict(r, **{who: dict(r[who], gathered=beside_content(r, who)) for who in ("first", "again")}) for r in runs if "first" in r]
    terms = {"1": lambda r: 1, "ranks": lambda r: r["ranks"] - 1, "tensors": lambda r: r["tensors"], "ranks × tensors": lambda r: (r["ranks"] - 1) * r["tensors"]}
    wanted = {
        "first save, rank 0's processor until the file is created, s": ("first", "root_cpu"),
        "replayed save, the same, s": ("again", "root_cpu"),
        "replayed save, rank 0's processor from then on, s": ("again", "root_cpu_commit"),
        "first save, another rank's processor in all, s": ("first", "rank_cpu"),
        "first save, bytes that rank 0 tells to all": ("first", "told"),
        "first save, bytes that rank 0 gathers beside the content of small tensors": ("first", "gathered"),
    }
    return {name: Fit(terms, rows, [r[who][what] for r in rows]) for name, (who, what) in wanted.items() for rows in [[r for r in grid if r["ranks"] > 1]]}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def number(x):
    return "0" if x == 0 else f"{x:.3g}" if 1e-3 <= abs(x) < 1e6 else f"{x:.2e}"


PHASES = ("metadata", "reserve", "write", "exchange", "sync", "commit")


def report(runs, note):
    text = [note + "\n"]
    largest = max(r["bytes"] for r in runs)
    rows = []
    for cut in ("rows", "columns", "replicas"):
        of = [r for r in runs if r["cut"] == cut and r["bytes"] > largest / 2]
        plain = median([r["plain"]["seconds"] for r in of if "plain" in r])
        for name, text_of in (("plain", "plain file a rank"), ("again", "mpi::save"), ("collective", "mpi::save, MPI-IO"), ("trusted", "mpi::save, not compared"), ("H5Dwrite", "collective H5Dwrite")):
            each = [r[name] for r in of if name in r]
            if each:
                seconds = median([e["seconds"] for e in each])
                rows.append([cut, text_of, number(seconds), f"{seconds / plain:.2f}"] + [number(median([e[p] for e in each])) if p in each[0] else "" for p in PHASES])
    text.append(f"4 ranks, 100 tensors, {largest / 1e9:.2f} GB, durable, seconds (exchange is part of write):\n")
    text.append(table(["cut", "", "seconds", "of plain", *PHASES], rows))

    by_bytes = sorted((r for r in runs if r["cut"] == "rows" and "again" in r and "plain" in r and r["ranks"] == 4), key=lambda r: r["bytes"])
    text.append("By bytes, 4 ranks, rows:\n")
    text.append(table(["MB", "plain", "mpi::save", *PHASES], [[round(r["bytes"] / 1e6), number(r["plain"]["seconds"]), number(r["again"]["seconds"])] + [number(r["again"][p]) for p in PHASES] for r in by_bytes]))

    grid = [r for r in runs if "first" in r]
    rows = []
    for ranks, tensors in sorted({(r["ranks"], r["tensors"]) for r in grid}):
        of = [r for r in grid if (r["ranks"], r["tensors"]) == (ranks, tensors)]
        pairs = [r for r in of if "bound" in r]
        each = [r["first"]["metadata"] / r["bound"] for r in pairs]
        some = f" ({min(each):.1f} to {max(each):.1f} in {len(each)})" if len(each) > 1 else ""
        mid = lambda who, what: number(median([r[who][what] for r in of]))
        rows.append([ranks, tensors, mid("first", "seconds"), mid("again", "seconds"), mid("first", "metadata"), f"{median(each):.1f}{some}", mid("first", "root_cpu"), f"{median([r['first']['root_cpu'] / r['bound'] for r in pairs]):.2f}",
                     mid("again", "metadata"), mid("again", "commit"), mid("first", "told"), mid("first", "gathered")])
    text.append("Many ranks on few cores, tensors of 8 MB in all, seconds; `÷ bound`: of the metadata at 1 rank, just before, and a bare broadcast of as many bytes; processor: of rank 0, outside MPI, which is what its wall clock "
                "would be on a core of its own:\n")
    text.append(table(["ranks", "tensors", "first", "replayed", "first: metadata", "÷ bound", "rank 0's processor", "÷ bound", "replayed: metadata", "commit", "told, bytes", "gathered, bytes"], rows))

    found = fits(runs)
    text.append("Fits over 2 to 64 ranks:\n")
    text.append(table(["", "constant", "× other ranks", "× tensors", "× other ranks × tensors", "worst error"],
                      [[name] + [number(f.of[t]) if t in f.of else "" for t in ("1", "ranks", "tensors", "ranks × tensors")] + [f"{100 * f.worst:.0f} %"] for name, f in found.items()]))
    rows = [[name] + [number(f.at({"ranks": ranks, "tensors": tensors})) for ranks, tensors in ((64, 2000), (1000, 2000), (10000, 2000), (10000, 20000))] for name, f in found.items()]
    text.append("Projected by them:\n")
    text.append(table(["ranks, tensors", "64, 2,000", "1,000, 2,000", "10,000, 2,000", "10,000, 20,000"], rows))
    return "\n".join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/mpi_scaling"))
    parser.add_argument("--quick", action="store_true", help="small states, fewer ranks, one round: half a minute")
    parser.add_argument("--from", dest="again", type=pathlib.Path, help="make the tables anew of this JSON")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.again:
        made = json.loads(arguments.again.read_text())
    else:
        before, start = os.getloadavg()[0], datetime.datetime.now()
        folder = tempfile.mkdtemp(prefix="holdfast-mpi-", dir=arguments.output)  # on the disk of the output
        try:
            measured = Measurement(arguments.programs, folder)
            measured.all(arguments.quick)
        finally:
            shutil.rmtree(folder)
        seconds = (datetime.datetime.now() - start).seconds
        made = {"note": f"{start:%Y-%m-%d %H:%M}, {os.cpu_count()} cores, load before {before:.1f} and at the end {os.getloadavg()[0]:.1f}, {seconds} s", "runs": measured.runs}
        (arguments.output / "mpi_scaling.json").write_text(json.dumps(made, indent=1) + "\n")
    text = report(made["runs"], made["note"])
    (arguments.output / "mpi_scaling.md").write_text(text)
    print("\n" + text)


main()
