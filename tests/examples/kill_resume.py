#!/usr/bin/python3
"""Kills a trainer with SIGKILL at random moments, resumes it each time, and demands the very bytes of the uninterrupted run.

The trainer is any program with --checkpoint-dir DIR --steps N --resume --checkpoint-every K --final FILE that prints lines
"resumed at step N" and "step N". It runs once to the end; then again in a fresh folder, where one life after the other is
killed at moments drawn over the measured time (so that kills land in start-up, in a training step and inside a save), and
the last one finishes. If a life ends before its kill, or no life left work to resume, so much has the machine's speed changed since it
was measured, then the trainer starts over in a fresh folder, with moments that count from the first step that a life prints and
come earlier, or later. The final files must be equal byte for byte.

The seed fixes the delays, not the scheduler: the same seed repeats a failure likely, not surely.
"""

import argparse
import hashlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
RESUMED = re.compile(r"^resumed at step (\d+)", re.MULTILINE)
STEP = re.compile(r"^step (\d+)", re.MULTILINE)


def paint(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text):
    print(text, flush=True)


class Life:
    """One process from start to its end or to its SIGKILL, which comes kill_after seconds after the start or after its first step."""

    def __init__(self, command, kill_after=None, after_a_step=False):
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            start = time.monotonic()
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            while after_a_step and process.poll() is None and not STEP.search(os.pread(output.fileno(), 1 << 16, 0).decode(errors="replace")):
                time.sleep(0.001)
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
            code = process.wait()
            self.seconds = time.monotonic() - start
            output.seek(0)
            self.output = output.read()
        self.killed = code == -signal.SIGKILL and kill_after is not None
        if code and not self.killed:
            sys.exit(f"{' '.join(command)}\nended with status {code} by itself:\n{self.output}")
        resumed = RESUMED.search(self.output)
        self.resumed_at = int(resumed[1]) if resumed else 0
        self.last_step = max([self.resumed_at, *map(int, STEP.findall(self.output))])


class Trainer:
    def __init__(self, executable, steps, checkpoint_every, extra):
        self.name = pathlib.Path(executable).name
        self.command = [str(executable), "--steps", str(steps), *extra]
        if checkpoint_every:
            self.command += ["--checkpoint-every", str(checkpoint_every)]

    def live(self, folder, final, resume=False, **kill):
        return Life([*self.command, "--checkpoint-dir", str(folder), "--final", str(final), *(["--resume"] if resume else [])], **kill)


def unfinished_saves(folder):
    """The temporaries that lie in a checkpoint folder: a kill that adds one landed inside a save."""
    return {p.name for p in folder.iterdir() if p.suffix == ".tmp"} if folder.exists() else set()


def train_under_fire(trainer, work, kills, start_up, whole, rng):
    """Runs the trainer through that many kills, at moments drawn over the measured time; returns the last life and its file. Every
    life begins with the start-up, of which a kill may wait for half or all: what takes long to start gets to its training, too."""
    final, after_a_step, training = work / "resumed.h5", False, max(whole - start_up, 0.01)
    for attempt in range(1, 16):
        folder, progressed = work / f"killed-{attempt}", False
        moments = sorted(rng.uniform(0, training) for _ in range(kills))
        for kill_after in [*(b - a + (0 if after_a_step else rng.uniform(0.5, 1) * start_up) for a, b in zip([0, *moments], moments)), None]:
            before = unfinished_saves(folder)
            life = trainer.live(folder, final, folder.exists(), kill_after=kill_after, after_a_step=after_a_step and kill_after is not None)
            progressed |= life.resumed_at > 0
            origin = f"resumed at step {life.resumed_at}" if life.resumed_at else "from the beginning"
            if life.killed:
                where = (f", past step {life.last_step}" if life.last_step else "")
                where += ", inside a save" if unfinished_saves(folder) - before else ""
                say(f"  {origin:<24} {paint('SIGKILL', 31)} after {life.seconds:.3f} s{where}")
            else:
                say(f"  {origin:<24} finished after {life.seconds:.3f} s")
                if kill_after is None and progressed:
                    return life, final
                break
        say("  It finished too early, or no kill left work to resume: once more in a fresh folder")
        if after_a_step:
            training *= 1.4 if kill_after is None else 0.7
        after_a_step = True
    sys.exit("the trainer cannot be killed amid its work: give it more steps, or a smaller --checkpoint-every")


def first_difference(left, right):
    """Names the first dataset whose type, shape or bytes differ between two HDF5 files."""
    try:
        import h5py
    except ImportError:
        return "install h5py to see which dataset differs"
    try:
        a, b = h5py.File(left, "r"), h5py.File(right, "r")
    except OSError as error:
        return f"h5py cannot open one of them: {error}"
    with a, b:
        names = [set(), set()]
        for file, found in zip((a, b), names):
            file.visititems(lambda name, item, found=found: found.add(name) if isinstance(item, h5py.Dataset) else None)
        if names[0] != names[1]:
            return f"only in one of them: {sorted(names[0] ^ names[1])}"
        for name in sorted(names[0]):
            x, y = a[name], b[name]
            if (x.dtype, x.shape) != (y.dtype, y.shape):
                return f"/{name}: {x.dtype}{list(x.shape)} against {y.dtype}{list(y.shape)}"
            if x.size is not None and x[()].tobytes() != y[()].tobytes():
                return f"/{name} ({x.dtype}{list(x.shape)}) differs"
    return "all datasets are equal: the difference is in metadata"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("executable")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--checkpoint-every", type=int)
    parser.add_argument("--seed", type=int, help="default: $HOLDFAST_TEST_SEED, else random")
    parser.add_argument("--prepare", metavar="OPTION", help="the trainer's option that names a file it makes when it is not there "
                        "(a pretrained model): made beforehand by a run of no steps, so that the kills land in the training")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="work in this new folder and leave the files there")
    parser.usage = "%(prog)s executable --steps STEPS [options] [-- arguments of the trainer]"
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:end])
    seed = options.seed if options.seed is not None else int(os.environ.get("HOLDFAST_TEST_SEED") or random.SystemRandom().getrandbits(32))
    with tempfile.TemporaryDirectory() as temporary:
        work = options.keep or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        extra = [*sys.argv[end + 1:], *([f"--{options.prepare}", str(work / "prepared.h5")] if options.prepare else [])]
        trainer = Trainer(options.executable, options.steps, options.checkpoint_every, extra)
        none = Trainer(options.executable, 0, options.checkpoint_every, extra)
        for _ in range(2 if options.prepare else 1):  # the first makes what is prepared
            start_up = none.live(work / "preparing", work / "unused.h5").seconds
        say(paint(f"{trainer.name}, {options.steps} steps, uninterrupted", 1))
        whole_final = work / "uninterrupted.h5"
        whole = trainer.live(work / "uninterrupted", whole_final)
        report(whole)
        say(paint(f"{trainer.name}, {options.steps} steps, killed {options.kills} times", 1) + f" (seed {seed})")
        last, killed_final = train_under_fire(trainer, work, options.kills, start_up, whole.seconds, random.Random(seed))
        report(last)

        files = {"uninterrupted": whole_final, f"killed {options.kills} times": killed_final}
        digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
        say(paint("SHA-256 of the final state", 1))
        for name, digest in digests.items():
            say(f"  {name:<16} {digest}")
        if whole_final.read_bytes() == killed_final.read_bytes():
            say(paint("IDENTICAL", "1;32"))
            return 0
        say(paint("DIFFERENT", "1;31") + f": {first_difference(whole_final, killed_final)}")
        return 1


def report(life):
    """The last words of a trainer: its loss or accuracy."""
    lines = life.output.strip().splitlines()
    say(f"  {lines[-1].strip() if lines else ''}  ({life.seconds:.2f} s)")


if __name__ == "__main__":
    sys.exit(main())
