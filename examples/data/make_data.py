#!/usr/bin/python3
"""Makes digits.csv and genesis.txt from two Debian packages: apt-get install python3-sklearn bible-kjv

The files are kept in the repository, so that nothing here is needed to build or run the examples.
"""
import csv
import gzip
import importlib.resources
import pathlib
import re
import subprocess

here = pathlib.Path(__file__).resolve().parent


def digits():
    """1,797 rows of 64 pixels, 0 to 16, and the label, as integers."""
    packed = importlib.resources.files("sklearn.datasets.data") / "digits.csv.gz"
    with gzip.open(packed.open("rb"), "rt", encoding="ascii") as text:
        rows = [[int(float(cell)) for cell in row] for row in csv.reader(text)]
    assert len(rows) == 1797 and all(len(row) == 65 for row in rows)
    (here / "digits.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="ascii")


def genesis():
    """The 1,533 verses of Genesis, one a line, without their numbers."""
    listed = subprocess.run(["bible", "-f", "gen1:1-50:26"], check=True, capture_output=True, text=True).stdout
    verses = [re.sub(r"^Ge\d+:\d+ ", "", line).strip() for line in listed.splitlines() if line.strip()]
    assert len(verses) == 1533
    (here / "genesis.txt").write_text("".join(verse + "\n" for verse in verses), encoding="ascii")


if __name__ == "__main__":
    digits()
    genesis()
