#!/usr/bin/python3
"""scripts/check_includes.py finds what it is there to find: bad includes planted in a temporary tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_includes.py"
TABLE = """
| folder | includes only from | what lives here |
|---|---|---|
| `holdfast.hpp` | core, hdf5 | everything |
| `core/` | std only, `<xxhash.h>` | nouns |
| `hdf5/` | core, `<H5*.h>` | the format |
"""
GOOD = {"core/a.hpp": "#include <holdfast/core/b.hpp>\n#include <vector>\n#include <sys/stat.h>\n#include <xxhash.h>\n",
        "core/b.hpp": "#pragma once\n",
        "hdf5/c.hpp": "#include <H5Fpublic.h>\n#include <holdfast/core/a.hpp>\n",
        "holdfast.hpp": "#include <holdfast/hdf5/c.hpp>\n"}


def run(files, table=TABLE):
    with tempfile.TemporaryDirectory() as root:
        (pathlib.Path(root) / "ARCHITECTURE.md").write_text(table)
        for name, text in files.items():
            path = pathlib.Path(root) / "include" / "holdfast" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, SCRIPT, root], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout


class CheckIncludes(unittest.TestCase):
    def accepts(self, files):
        code, output = run(files)
        self.assertEqual(code, 0, output)

    def rejects(self, name, text, message):
        code, output = run({**GOOD, name: text})
        self.assertEqual(code, 1, output)
        self.assertIn(f"include/holdfast/{name}", output)
        self.assertIn(message, output)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_good_tree(self):
        self.accepts(GOOD)

    def test_folder_against_the_table(self):
        self.rejects("core/b.hpp", "#pragma once\n#  include <holdfast/hdf5/c.hpp>\n", "b.hpp:2: <holdfast/hdf5/c.hpp>: `core` includes only from")

    def test_umbrella_from_a_folder(self):
        self.rejects("core/b.hpp", "#include <holdfast/holdfast.hpp>\n", "`core` includes only from")

    def test_third_party(self):
        self.rejects("core/b.hpp", "#include <hdf5.h>\n", "<hdf5.h>: third-party header")
        self.rejects("core/b.hpp", "#include <Eigen/Core>\n", "<Eigen/Core>: third-party header")

    def test_quotes(self):
        self.rejects("core/b.hpp", '#include "a.hpp"\n', "write <holdfast/")

    def test_missing_target(self):
        self.rejects("core/b.hpp", "#include <holdfast/core/gone.hpp>\n", "does not exist")

    def test_unknown_folder(self):
        self.rejects("misc/x.hpp", "", "`misc` has no row")

    def test_no_table_and_no_headers(self):
        self.assertEqual(run(GOOD, table="# Architecture\n")[0], 1)
        self.assertEqual(run({})[0], 1)


if __name__ == "__main__":
    unittest.main()
