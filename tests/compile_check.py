#!/usr/bin/python3
"""Promises about what compiles, checked with the compiler and flags of a build folder.

  compile_check.py headers BUILD   every public header compiles alone, and twice in one translation unit
  compile_check.py fail BUILD      no tests/compile_fail/*.cpp compiles, and each says what its `// error: REGEX` lines expect
  compile_check.py adapters BUILD  all adapters whose tests are built compile in one translation unit, in either order, and bind their types there
  compile_check.py nvcc BUILD NVCC tests/cuda/program.cu compiles with that nvcc, without a warning
  compile_check.py listed BUILD [FOLDER...]
                                   every tests/FOLDER/*.cpp is part of the build (a file nobody listed would never run), but for those folders
                                   and what the tests compile themselves
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def compile_commands(build):
    """Source file -> its entry in compile_commands.json."""
    entries = json.loads((build / "compile_commands.json").read_text())
    return {(pathlib.Path(e["directory"]) / e["file"]).resolve(): e for e in entries}


def include_flags(entry):
    return [w for w in shlex.split(entry["command"]) if w.startswith(("-I", "-isystem"))]


def syntax_check(build):
    """A function that checks one file (or arguments) with the flags of tests/odr/first.cpp and returns the finished process."""
    entry = compile_commands(build)[ROOT / "tests/odr/first.cpp"]
    words, flags = iter(shlex.split(entry["command"])), []
    for word in words:
        if word in ("-o", "-MF", "-MQ"):
            next(words)
        elif word not in ("-c", "-MD", entry["file"]):
            flags.append(word)

    def run(*arguments):
        return subprocess.run([*flags, "-fsyntax-only", "-fdiagnostics-color=never", *map(str, arguments)], cwd=entry["directory"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run


def check_all(files, problem_of):
    """Runs problem_of(file) for each file, a few at a time; prints and counts the problems."""
    assert files, "nothing to check: has a folder moved?"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [(f, p) for f, p in zip(files, pool.map(problem_of, files)) if p]
    for file, problem in problems:
        print(f"{file.relative_to(ROOT)}: {problem}\n")
    print(f"{len(files) - len(problems)} of {len(files)} as they should be")
    return len(problems)


def headers(build):
    """A header that its own test includes first was compiled alone by the build; the others are compiled here, with headers
    in their way that they must not ask for."""
    check, built = syntax_check(build), compile_commands(build)

    def problem(header):
        path = header.relative_to(ROOT / "include")
        test = (ROOT / "tests" / path.relative_to("holdfast")).with_suffix(".cpp")
        if test in built and re.findall(r"#include (.*)", test.read_text())[:1] == [f"<{path}>"]:
            return ""
        flags = []
        if path.parts[1] in ("adapters", "cuda", "mpi"):
            test = (ROOT / "tests" / path.parts[1] / path.parts[2]).with_suffix(".cpp")
            if test.is_file() and test not in built:
                return ""  # its library is not part of this build
            flags = include_flags(built[test]) if test in built else []
        if path.name == "mpi.hpp":
            return ""  # tests/mpi/umbrella.cpp includes it first
        if f"#include <{path}>" in (ROOT / "tests/cuda/program.cu").read_text():
            return ""  # only nvcc compiles what it needs
        result = check(*flags, "-I", ROOT / "tests/poison", "-include", header, "-include", header, "-x", "c++", os.devnull)
        return f"does not compile alone\n{result.stdout}" if result.returncode else ""
    return check_all(sorted((ROOT / "include/holdfast").rglob("*.hpp")), problem)


def fail(build):
    check = syntax_check(build)

    def problem(source):
        expected = re.findall(r"^\s*// error: (.+)$", source.read_text(), re.MULTILINE)
        if not expected:
            return "has no line `// error: REGEX`"
        result = check(source)
        if result.returncode == 0:
            return "compiles, and must not"
        missing = [e for e in expected if not re.search(e, result.stdout)]
        return f"fails without the message {missing}\n{result.stdout}" if missing else ""
    return check_all(sorted((ROOT / "tests/compile_fail").glob("*.cpp")), problem)


def adapters(build):
    """tests/adapters/together.hpp binds something of each, under `#ifdef WITH_NAME`."""
    check, built, together = syntax_check(build), compile_commands(build), ROOT / "tests/adapters/together.hpp"
    headers, flags = [], []
    for header in sorted((ROOT / "include/holdfast/adapters").glob("*.hpp")):
        entry = built.get(ROOT / "tests/adapters" / f"{header.stem}.cpp")
        if entry:
            headers.append(header)
            flags.append(f"-DWITH_{header.stem.upper()}")
            flags += include_flags(entry)
    print("adapters:", *(h.stem for h in headers))
    if not headers:
        return 0
    missing = [h.stem for h in headers if f"#ifdef WITH_{h.stem.upper()}\n" not in together.read_text()]
    if missing:
        print(f"{together.relative_to(ROOT)} binds nothing of {', '.join(missing)}")
        return 1
    umbrella = ROOT / "include/holdfast/holdfast.hpp"

    def problem(last):
        order = [*headers, umbrella] if last == headers[-1] else [umbrella, *reversed(headers)]
        result = check(*flags, *(w for h in (*order, together) for w in ("-include", h)), "-x", "c++", os.devnull)
        return f"does not compile as the last adapter of {len(headers)}\n{result.stdout}" if result.returncode else ""
    return check_all([headers[-1], headers[0]] if len(headers) > 1 else headers, problem)


def nvcc(build, compiler):
    flags = [w.replace("-isystem", "-isystem=") for w in include_flags(compile_commands(build)[ROOT / "tests/odr/first.cpp"])]
    result = subprocess.run([compiler, "-std=c++20", "-Werror", "all-warnings", *flags, "-c", str(ROOT / "tests/cuda/program.cu"), "-o", os.devnull], cwd=build, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(result.stdout)
    return result.returncode


def listed(build, *left_out):
    built = compile_commands(build)
    sources = [s for s in sorted((ROOT / "tests").rglob("*.cpp")) if s.parent.name not in ("compile_fail", "consumer", *left_out)]
    return check_all(sources, lambda s: "" if s in built else "is not built: add it to the list in meson.build")


if __name__ == "__main__":
    checks = {"headers": headers, "fail": fail, "adapters": adapters, "nvcc": nvcc, "listed": listed}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    sys.exit(checks[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:]) != 0)
