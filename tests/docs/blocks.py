#!/usr/bin/python3
"""What pages show is compiled and run. Every block of C++ or Python is, word for word but for its indentation, in a source of tests/ or examples/;
a whole program (pages.py compiles and runs it), a console session (pages.py, or tests/tools/page.py), format.md (tests/python/format_doc.py) and
build files of other projects (tests/consumer) are run as they are. Commands in sh blocks are run by pages.py, but for those of NOT_FOLLOWED, of
which the script, its options and the files must be there.

  blocks.py             tells which blocks nothing checks
  blocks.py --accept    gives blocks that differ from their source by white space alone the source's, which clang-format made
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
RUN_AS_THEY_ARE = {"docs/format.md": {"python"}, "docs/tool.md": {"console"}, "docs/tutorial.md": {"console"}, "docs/install.md": {"cmake", "ini", "meson"}}

# What begins a command that pages.py does not run, and who runs it instead, or why nobody does.
NOT_FOLLOWED = {
    "./scripts/test": "it runs the tests: .ci/run is this script",
    "./scripts/demo": "tests/examples/kill_resume.py does, of which it is the first trainer with other numbers",
    "./scripts/docs": "the test docs_site does",
    "./scripts/bench": "takes minutes and gigabytes, and its times mean something only where somebody reads them",
    "./scripts/gpu": "needs a GPU; tests/gpu is what it runs",
    "./scripts/fuzz": "takes as long as it is given; tests/fuzz run the same harnesses for seconds",
    "./scripts/format": "rewrites the sources",
    "./scripts/tidy": "needs clang-tidy 19, and minutes for a file",
    "./scripts/coverage": "builds and runs all tests once more",
    "pre-commit install": "changes the clone; what it installs are scripts of this list",
}


def tracked(*patterns):
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def indented(block, by):
    """As it stands inside a function: lines of the preprocessor begin where all of them do."""
    return "".join(line if line.startswith("#") or line == "\n" else " " * by + line for line in block.splitlines(keepends=True))


def commands(block):
    """The lines of a sh block that are more than a comment."""
    return [line for line in block.splitlines() if line.split("#")[0].strip()]


def not_followed(line):
    """What of NOT_FOLLOWED begins the line, if anything does."""
    return next((start for start in NOT_FOLLOWED if re.match(re.escape(start) + r"(?!\w)", line)), None)


def problem_of_unfollowed(line):
    """What can be said of a command without running it."""
    script, *arguments = line.split("#")[0].split()
    if not script.startswith("./"):
        return ""
    if not (ROOT / script).is_file():
        return f"calls {script}, which is not there"
    for argument in arguments:
        option = re.match(r"--[a-z-]+", argument)
        if option and not any(option[0] in text.read_text(encoding="utf-8") for text in (ROOT / script, *tracked("benchmarks/*.py"))):
            return f"calls {script}, which has no {argument}"
        if "/" in argument and not (ROOT / argument).exists():
            return f"names {argument}, which is not there"
    return ""


def problem(page, language, block, sources):
    """Why nothing would notice if the block were wrong."""
    if language in RUN_AS_THEY_ARE.get(page, ()) or language == "":
        return ""
    if language in ("cpp", "python"):
        if language == "cpp" and "int main(" in block and page in ("README.md", "docs/tutorial.md"):
            return ""
        suffixes = (".py",) if language == "python" else (".cpp", ".hpp", ".cu", ".cuh")
        if any(indented(block, by) in text for path, text in sources.items() if path.suffix in suffixes for by in range(0, 13, 2)):
            return ""
        return "is in no source that is compiled and run"
    if language == "sh":
        return next(filter(None, map(problem_of_unfollowed, filter(not_followed, commands(block)))), "")
    return f"is {language}, which nothing runs"


def accepted(block, sources):
    """What a source has in its place but for white space."""
    words = re.compile(r"\s+".join(map(re.escape, block.split())) + r"\n")
    for text in sources.values():
        if found := words.search(text):
            whole = text[text.rfind("\n", 0, found.start()) + 1:found.end()]
            by = min(len(line) - len(line.lstrip()) for line in whole.splitlines() if line and not line.startswith("#"))
            return "".join(line if line.startswith("#") else line[by:] or "\n" for line in whole.splitlines(keepends=True))
    return block


def main():
    sources = {path: path.read_text(encoding="utf-8") for path in tracked("tests/*", "examples/*") if path.suffix in (".cpp", ".hpp", ".cu", ".cuh", ".py")}
    problems, counted, unfollowed = [], 0, set()
    for path in tracked("*.md"):
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        if sys.argv[1:] == ["--accept"]:
            text = BLOCK.sub(lambda m: f"{m[1]}```{m[2]}\n{accepted(m[3], sources) if m[2] in ('cpp', 'python') else m[3]}{m[1]}```", text)
            path.write_text(text, encoding="utf-8")
        for match in BLOCK.finditer(text):
            counted += 1
            if match[2] == "sh":
                unfollowed.update(map(not_followed, commands(match[3])))
            if why := problem(page, match[2], match[3], sources):
                problems.append(f"{page}:{text.count(chr(10), 0, match.start()) + 1}: this block {why}\n{match[3]}")
    problems += [f"tests/docs/blocks.py: no page has the command {start}" for start in NOT_FOLLOWED if start not in unfollowed]
    print("\n".join(problems) or f"{counted} blocks of {len(sources)} sources are as they should be")
    return bool(problems) or counted < 50


if __name__ == "__main__":
    sys.exit(main())
