#!/usr/bin/python3
"""What including an umbrella header costs a translation unit: user seconds of the compiler, the fastest of several interleaved rounds.

  header_cost.py [--compiler g++] [--rounds 7]
"""

import argparse
import pathlib
import resource
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = {
    "nothing": "",
    "the standard headers holdfast.hpp uses": "".join(
        f"#include <{h}>\n" for h in ("algorithm", "array", "atomic", "chrono", "complex", "functional", "map", "memory",
                                      "mutex", "optional", "random", "set", "span", "string", "sstream", "thread", "unordered_map", "vector")),
    "<nlohmann/json.hpp>": "#include <nlohmann/json.hpp>\n",
    "<boost/test/unit_test.hpp>": "#include <boost/test/unit_test.hpp>\n",
    "<holdfast/core/traits.hpp>": "#include <holdfast/core/traits.hpp>\n",
    "<holdfast/core/state.hpp>": "#include <holdfast/core/state.hpp>\n",
    "<holdfast/holdfast.hpp>": "#include <holdfast/holdfast.hpp>\n",
}


def user_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    flags = subprocess.run(["pkg-config", "--cflags", "hdf5-serial", "libxxhash"], check=True, capture_output=True, text=True).stdout.split()
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for i, (name, text) in enumerate(HEADERS.items()):
                source = pathlib.Path(folder, f"{i}.cpp")
                source.write_text(text + "int main() {}\n", encoding="utf-8")
                seconds = user_seconds([options.compiler, "-std=c++20", "-O0", f"-I{ROOT}/include", *flags, "-c", str(source), "-o", f"{folder}/x.o"])
                best[name] = min(best.get(name, seconds), seconds)
    for name, seconds in best.items():
        print(f"{seconds:6.2f} s  {name}")


main()
