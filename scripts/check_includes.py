#!/usr/bin/python3
"""Rejects an #include in include/holdfast/ that the folder table of ARCHITECTURE.md does not allow.

The table's rows name a folder (or a header directly in include/holdfast/), what it includes from, and what lives there:

    | `core/` | std, `<xxhash.h>`       | … |
    | `hdf5/` | core, io, `<hdf5.h>`    | … |
    | `holdfast.hpp` | core, checkpoint | … |

The second cell holds, separated by commas: folders, and third-party headers in angle brackets (`<H5*.h>`: shell patterns work).
Words with neither meaning (std, only, …) say nothing to this script: a folder may always include itself, the standard library and
the operating system.

  check_includes.py [ROOT]     ROOT: the repository (default: the one this script lies in)
"""

import fnmatch
import pathlib
import re
import sys

SYSTEM = ("arpa/*", "asm/*", "dirent.h", "dlfcn.h", "emmintrin.h", "endian.h", "errno.h", "fcntl.h", "immintrin.h", "linux/*", "netinet/*",
          "poll.h", "pthread.h", "sched.h", "signal.h", "sys/*", "time.h", "unistd.h")


def read_table(text):
    """{folder or header: (folders it may include from, third-party header patterns)} from the rows of the table."""
    rows = {}
    for name, allowed in re.findall(r"^\|\s*`([\w.]+/?)`\s*\|([^|]*)\|", text, re.MULTILINE):
        if name.endswith(("/", ".hpp")):
            rows[name.rstrip("/")] = ({word for word in re.findall(r"[\w.]+", re.sub(r"<[^>]*>", "", allowed))},
                                      re.findall(r"<([^>]*)>", allowed))
    return rows


def owner(path):
    """The table row that a path below include/holdfast/ belongs to: its folder, or itself."""
    return path.parts[0]


def check(root):
    """The list of broken rules, as lines of text."""
    architecture, base = root / "ARCHITECTURE.md", root / "include" / "holdfast"
    table = read_table(architecture.read_text(encoding="utf-8"))
    headers = sorted(base.rglob("*.hpp"))
    if not table or not headers:
        return [f"{architecture}: no folder table found" if not table else f"{base}: no headers found"]
    problems = []
    for header in headers:
        path = header.relative_to(base)
        row = owner(path)
        if row not in table:
            problems.append(f"{header.relative_to(root)}: `{row}` has no row in the folder table of ARCHITECTURE.md")
            continue
        folders, third_party = table[row]
        for number, line in enumerate(header.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
            problem = found and judge(base, header, row, folders, third_party, *found.groups())
            if problem:
                problems.append(f"{header.relative_to(root)}:{number}: {problem}")
    return problems


def judge(base, header, row, folders, third_party, bracket, name):
    """What is wrong with one include, or None."""
    if bracket == '"':
        return f'"{name}": write <holdfast/…>, as users do'
    if name.startswith("holdfast/"):
        target = pathlib.PurePath(name).relative_to("holdfast")
        if not (base / target).is_file():
            return f"<{name}> does not exist"
        if owner(target) not in folders | {row}:
            return f"<{name}>: `{row}` includes only from {', '.join(sorted(folders)) or 'itself'} (ARCHITECTURE.md)"
        return None
    standard = "." not in name and "/" not in name
    if standard or any(fnmatch.fnmatch(name, pattern) for pattern in (*SYSTEM, *third_party)):
        return None
    return f"<{name}>: third-party header that the row of `{row}` in ARCHITECTURE.md does not name"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    problems = check(root)
    print("\n".join(problems) if problems else "every include follows the folder table")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
