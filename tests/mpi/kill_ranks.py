#!/usr/bin/python3
"""Kills one rank of four with SIGKILL at steps of a save: before every call of its storage (of writes the first and the last), and after
calls of MPI (some, drawn by a seed); with HOLDFAST_TEST_EFFORT=20 all of both. Each time every visible checkpoint must be whole, and the newest the one of before or the
next; then the same ranks resume from it.

  kill_ranks.py KILLED MPIEXEC [FLAGS...]
"""

import os
import random
import signal
import subprocess
import sys
import tempfile

KILLED, MPIEXEC, RANKS = sys.argv[1], sys.argv[2:], 4
EFFORT = int(os.environ.get("HOLDFAST_TEST_EFFORT") or 1)


def live(folder, rank, of, at):
    """One run; the calls that its rank made, None if it died."""
    run = subprocess.run([*MPIEXEC, "-n", str(RANKS), KILLED, folder, str(rank), of, str(at)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=100)
    made = [line.split()[1:] for line in run.stdout.splitlines() if line.startswith("calls ")]
    assert run.returncode == 0 or (not made and "rank " not in run.stdout), run.stdout  # died, and not of an error
    return made[0] if run.returncode == 0 else None


def newest(folder):
    return int(subprocess.run([KILLED, folder], check=True, stdout=subprocess.PIPE, text=True).stdout)


def temporaries(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def chosen(calls, rng):
    if EFFORT > 1:
        return range(len(calls))
    if calls[0] == "collective":
        return sorted(rng.sample(range(len(calls)), 2))
    writes = [n for n, what in enumerate(calls) if what == "write"]
    return [n for n, what in enumerate(calls) if what != "write" or n in (writes[0], writes[-1])]


def main():
    seed = int(os.environ.get("HOLDFAST_TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"HOLDFAST_TEST_SEED={seed}")
    rng, kills, old, new = random.Random(seed), 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        for _ in range(3):  # from then on each save lets one checkpoint go
            live(folder, 0, "storage", 10**6)
        for rank in range(RANKS):
            for of in ("storage", "mpi"):
                calls = live(folder, rank, of, 10**6)
                step = newest(folder)
                for at in chosen(calls, rng):
                    for name in temporaries(folder):  # to delete one is a call of its own
                        os.remove(os.path.join(folder, name))
                    assert live(folder, rank, of, at) is None, f"rank {rank} outlived {of} call {at}"
                    now = newest(folder)
                    assert now in (step, step + 1), (rank, of, at, step, now)
                    kills, old, new, step = kills + 1, old + (now == step), new + (now != step), now
        assert live(folder, 0, "storage", 10**6)
        assert newest(folder) == step + 1
        assert not temporaries(folder), temporaries(folder)
    print(f"{kills} kills: {old} left the checkpoint of before as the newest, {new} the next one")
    assert old and new


signal.alarm(900 * EFFORT)
main()
