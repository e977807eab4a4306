"""holdfast beside its peers and the machine's own limits, on the same tensors, in interleaved rounds.

  /usr/bin/python3 benchmarks/compare --programs build/bench/benchmarks/compare --output build/compare [--quick] [--check]

./scripts/bench builds the programs and runs this. Writes compare.json, compare.md and compare.png to the output folder, and deletes all else that
it writes there.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import random
import shutil
import sys

import machine
import measure
import plan
import report
import targets
import workers

HERE = pathlib.Path(__file__).resolve().parent


def options():
    parser = argparse.ArgumentParser(prog="benchmarks/compare", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="where Meson has built compare_worker")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the report and, meanwhile, for the files; on a disk")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter that runs the Python peers")
    parser.add_argument("--quick", action="store_true", help="smaller states, few rounds")
    parser.add_argument("--check", action="store_true", help="fail unless every target is met, and name those that are not")
    parser.add_argument("--rounds", type=int, help="default: 7, quick: 2")
    parser.add_argument("--seed", type=int, help="of the order in each round; default: random")
    parser.add_argument("--only", default="", help="groups whose name contains this, as 'save gpt2', 'load' or 'count'")
    return parser.parse_args()


def too_large(group, folder):
    """Why a group cannot run on this machine; empty if it can."""
    memory, disk = group.needs()
    if memory > machine.available_memory():
        return f"{group.title}: needs {memory / 1e9:.0f} GB of memory"
    if disk * 1.1 > machine.free_disk(folder):
        return f"{group.title}: needs {disk / 1e9:.0f} GB of free disk"
    return ""


def commands(chosen):
    """How the workers are started: those that were built, and Python's."""
    built = [(str(chosen.programs / name),) for name in ("compare_worker", "compare_libtorch") if (chosen.programs / name).exists()]
    return [*built, (chosen.python, str(HERE / "peers.py"))]


def run(chosen):
    files = chosen.output / "files"
    shutil.rmtree(files, ignore_errors=True)  # of a run that was killed
    files.mkdir(parents=True)
    if machine.file_system(files) == "tmpfs":
        sys.exit(f"{files} is memory, not a disk: choose another --output")
    seed = chosen.seed if chosen.seed is not None else random.randrange(1 << 32)
    offers, versions = workers.look(commands(chosen))
    print(f"seed {seed}", flush=True)
    done = {"when": f"{datetime.datetime.now():%Y-%m-%d %H:%M}", "seed": seed, "quick": chosen.quick, "only": chosen.only, "machine": machine.describe(files, versions),
            "left_out": [], "groups": {}}
    try:
        wanted = (g for g in plan.groups(chosen.quick, chosen.rounds or (2 if chosen.quick else 7)) if chosen.only in g.name)
        for _, of_same_tensors in itertools.groupby(wanted, key=lambda g: g.tensors):
            groups = list(of_same_tensors)
            why = next(filter(None, (too_large(g, files) for g in groups)), "")
            if why:
                done["left_out"].append(why)
                continue
            with measure.session(groups, offers, files / "session", seed) as session:
                for group in groups:
                    done["groups"][group.name] = result = session.run(group)
                    print(f"{result['took']:6.1f} s  {group.title}", flush=True)
    finally:
        shutil.rmtree(files)
    return done


def write(done, folder):
    (folder / "compare.json").write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "compare.md").write_text(report.markdown(done), encoding="utf-8")
    plotted = report.plot(done, folder / "compare.png")
    print(f"\n{folder / 'compare.md'}, compare.json" + (", compare.png" if plotted else "; no plot: matplotlib is not installed"))


def main():
    chosen = options()
    done = run(chosen)
    print("\n" + report.table(["work", "at most", "reached", ""], report.target_rows(done)))
    write(done, chosen.output)
    if chosen.check:
        missed, unmeasured = targets.shortfalls(targets.of(chosen.only), done["groups"])
        for t in missed:
            print(f"falls short: {t.work}", file=sys.stderr)
        for t in unmeasured:
            print(f"not measured: {t.work}", file=sys.stderr)
        sys.exit(bool(missed or unmeasured))


main()
