#!/usr/bin/python3
"""A trainer of many ranks, killed and resumed: single ranks die, then all at once. On the same number of ranks the final file must be,
byte for byte, that of the uninterrupted run; another number of ranks that takes it up must save the same tensors, but for
each rank's own.

  kill_examples.py TRAINER MPIEXEC [FLAGS...]
"""

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import h5py

TRAINER, MPIEXEC, STEPS, EVERY = sys.argv[1], sys.argv[2:], 1200, 20


def children(parent):
    """The processes of a parent, by /proc."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def start(ranks, folder, *more):
    return subprocess.Popen([*MPIEXEC, "-n", str(ranks), TRAINER, "--steps", str(STEPS), "--checkpoint-every", str(EVERY), "--checkpoint-dir", str(folder), *more],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    return output


def kill(process, everyone, rng):
    """Kills one rank, or all of them and mpiexec, once a checkpoint was saved; whether it came before the end."""
    for line in process.stdout:
        if line.startswith("step ") and rng.random() < 0.3:
            break
    time.sleep(rng.uniform(0, 0.02))
    ranks = children(process.pid)
    for victim in [process.pid, *ranks] if everyone else [rng.choice(ranks)] if ranks else []:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.communicate(timeout=100)
    return process.returncode != 0


def tensors(path):
    """Content by path of what all ranks share."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: (item.dtype, item.shape, item[()].tobytes())})
                        if isinstance(item, h5py.Dataset) and not name.startswith(("ranks/", "holdfast/")) else None)
    return found


def main():
    seed = int(os.environ.get("HOLDFAST_TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"HOLDFAST_TEST_SEED={seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as temporary:
        work = pathlib.Path(temporary)
        print(finish(start(2, work / "whole", "--final", str(work / "whole.h5"))).splitlines()[-1])
        kills = 0
        for everyone in (False, True, False, True):
            kills += kill(start(2, work / "killed", "--resume"), everyone, rng)
        assert kills, "it was never killed: it is too fast for this test"
        output = finish(start(2, work / "killed", "--resume", "--final", str(work / "killed.h5")))
        resumed = re.search(r"resumed at step (\d+)", output)
        print(f"{kills} kills, then {resumed[0]}")
        assert int(resumed[1]) > 0
        assert (work / "whole.h5").read_bytes() == (work / "killed.h5").read_bytes(), "the resumed run ended elsewhere"
        for ranks in (3, 1):
            output = finish(start(ranks, work / "whole", "--resume", "--final", str(work / f"{ranks}.h5")))
            assert f"resumed at step {STEPS}" in output, output
            assert tensors(work / f"{ranks}.h5") == tensors(work / "whole.h5"), f"{ranks} ranks restored something else"
            print(f"the same on {ranks}: {len(tensors(work / 'whole.h5'))} tensors")


signal.alarm(600)
main()
