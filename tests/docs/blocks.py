#!/usr/bin/python3
"""What pages show is compiled and run. Every block of C++ or Python is, word for word but for its indentation, in a source of tests/ or examples/;
a whole program (pages.py compiles and runs it), a console session (pages.py, or tests/tools/page.py), format.md (tests/python/format_doc.py) and
build files of other projects (tests/consumer) are run as they are. Of the commands in sh blocks the scripts and their options must be there.

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


def tracked(*patterns):
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def indented(block, by):
    """As it stands inside a function: lines of the preprocessor begin where all of them do."""
    return "".join(line if line.startswith("#") or line == "\n" else " " * by + line for line in block.splitlines(keepends=True))


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
        for script, arguments in re.findall(r"(?:^|[;&] *)\./scripts/(\w+)([^\n#;&]*)", block, re.MULTILINE):
            path = ROOT / "scripts" / script
            if not path.is_file():
                return f"there is no scripts/{script}"
            for option in re.findall(r"--[a-z-]+", arguments):
                if not any(option in text.read_text(encoding="utf-8") for text in (path, *tracked("benchmarks/*.py"))):
                    return f"scripts/{script} has no {option}"
        return ""
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
    problems, counted = [], 0
    for path in tracked("*.md"):
        page, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        if sys.argv[1:] == ["--accept"]:
            text = BLOCK.sub(lambda m: f"{m[1]}```{m[2]}\n{accepted(m[3], sources) if m[2] in ('cpp', 'python') else m[3]}{m[1]}```", text)
            path.write_text(text, encoding="utf-8")
        for match in BLOCK.finditer(text):
            counted += 1
            if why := problem(page, match[2], match[3], sources):
                problems.append(f"{page}:{text.count(chr(10), 0, match.start()) + 1}: this block {why}\n{match[3]}")
    print("\n".join(problems) or f"{counted} blocks of {len(sources)} sources are as they should be")
    return bool(problems) or counted < 50


if __name__ == "__main__":
    sys.exit(main())
