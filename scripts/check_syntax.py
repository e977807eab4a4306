#!/usr/bin/python3
"""Shows what a compiler has to say of every source of a build folder, without making anything: check_syntax.py BUILD_FOLDER

Takes the commands of its compile_commands.json. Exits with 1 if one of them fails.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys


def command_of(entry):
    """What ninja would run, without what it writes."""
    words = iter(shlex.split(entry["command"]))
    kept = []
    for word in words:
        if word in ("-o", "-MF", "-MQ"):
            next(words)
        elif word not in ("-c", "-MD"):
            kept.append(word)
    return [*kept, "-fsyntax-only"]


def check(entry):
    return subprocess.run(command_of(entry), cwd=entry["directory"], capture_output=True, text=True, check=False)


def main():
    folder = pathlib.Path(sys.argv[1])
    entries = [e for e in json.loads((folder / "compile_commands.json").read_text()) if (pathlib.Path(e["directory"]) / e["file"]).exists()]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(check, entries))
    failed = [r for r in results if r.returncode != 0]
    for r in failed:
        print(r.stderr, file=sys.stderr)
    print(f"{len(results) - len(failed)} of {len(results)} sources are sound")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
