#!/usr/bin/python3
"""Every C++ block of docs/adapters.md is, word for word, in tests/adapters/dlib.cpp, which compiles and tests it.

  docs.py DOCUMENT SOURCE
"""

import pathlib
import re
import sys

document, source = (pathlib.Path(argument).read_text(encoding="utf-8") for argument in sys.argv[1:3])
blocks = re.findall(r"^```cpp\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
assert blocks, "no C++ in the document"
missing = [block for block in blocks if block not in source]
print("".join(missing) or f"{len(blocks)} blocks are those of the test")
sys.exit(bool(missing))
