"""What the tests here share: the programs that Meson names on the command line, and a folder for the files they write."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = {pathlib.Path(path).name: path for path in sys.argv[1:]}
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def run(program, *arguments, expect=0):
    """Runs a program and returns its output. It must exit with `expect`, and be silent on stderr if that is 0."""
    done = subprocess.run([PROGRAMS.get(program, program), *map(str, arguments)], capture_output=True, timeout=100)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    call = " ".join(map(str, (program, *arguments)))
    if done.returncode != expect or "HDF5-DIAG" in err or (expect == 0 and err):
        raise AssertionError(f"{call}: exit {done.returncode}, expected {expect}\n{out[-2000:]}\n{err[-4000:]}")
    return out if expect == 0 else err


class Case(unittest.TestCase):
    """A test with a folder of its own, in which `written` makes a checkpoint of write_everything.cpp."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="holdfast-test-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)

    @classmethod
    def written(cls, name="run.h5", *options):
        path = cls.folder / name
        run("write_everything", *options, path)
        return path


def main():
    unittest.main(argv=sys.argv[:1])
