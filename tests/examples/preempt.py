#!/usr/bin/python3
"""examples/save_now_and_exit, sent the signals of a scheduler, saves and ends with 75 each time; the runs together end as one does."""

import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

EXECUTABLE, STEPS = sys.argv[1], "3000000"


def live(folder, sent=None, after=0.0):
    """One process, sent a signal some time after it started; its exit status and output."""
    process = subprocess.Popen([EXECUTABLE, str(folder), STEPS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if sent is not None:
        time.sleep(after)
        process.send_signal(sent)
    output = process.communicate(timeout=100)[0]
    return process.returncode, output


def newest(folder):
    return sorted(folder.glob("step-*.h5"))[-1]


def main():
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        whole, preempted = pathlib.Path(folder, "whole"), pathlib.Path(folder, "preempted")
        start = time.monotonic()
        status, output = live(whole)
        seconds = time.monotonic() - start
        assert status == 0 and "finished" in output, output
        saved = 0
        for sent in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            status, output = live(preempted, sent, 0.1 + random.uniform(0, seconds / 5))
            print(output.strip().splitlines()[-1])
            assert status in (75, 0), (status, output)
            saved += status == 75 and f"signal {int(sent)}: saved at step" in output
        status, output = live(preempted)
        assert status == 0, output
        assert saved > 0 and "resumed at step" in output, output
        assert newest(whole).read_bytes() == newest(preempted).read_bytes(), "the preempted run ended elsewhere"


main()
