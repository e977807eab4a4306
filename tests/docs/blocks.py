#!/usr/bin/python3
"""Every C++ block of a page is, word for word, in a source that is compiled and tested.

  blocks.py PAGE SOURCE
"""

import pathlib
import re
import sys

page, source = (pathlib.Path(argument).read_text(encoding="utf-8") for argument in sys.argv[1:3])
blocks = re.findall(r"^```cpp\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
assert blocks, "no C++ in the page"
missing = [block for block in blocks if block not in source]
print("\n".join(missing) or f"{len(blocks)} blocks are in the source")
sys.exit(bool(missing))
