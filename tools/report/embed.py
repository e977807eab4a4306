#!/usr/bin/python3
"""Makes a C++ header of the page that `holdfast report` fills in: its style and scripts stand in it, and its policy lets no others run.

    embed.py page.html page.css page.js chart.js-licence.txt chart.min.js report_page.hpp
"""

import base64
import hashlib
import pathlib
import re
import sys

DELIMITER = "page"


def digest_of(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def literals(text, most=16000):
    """C++ need not support a literal of more than 64 KiB; a character takes up to 4 bytes."""
    return [f'R"{DELIMITER}({text[at:at + most]}){DELIMITER}"' for at in range(0, len(text), most)]


def main():
    page, style, script, licence, library = (pathlib.Path(path).read_text(encoding="utf-8").replace("\r", "") for path in sys.argv[1:6])
    for text in style, script, library:
        if re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
            sys.exit("embed.py: a script or style would end early in the page")
    parts = {"style": style, "script": script, "library": library, "licence": licence,
             "policy": f"default-src 'none'; style-src {digest_of(style)}; script-src {digest_of(library)} {digest_of(script)}"}
    page = re.sub(r"\{\{(\w+)\}\}", lambda mark: parts.get(mark[1], mark[0]), page)
    pieces = page.split("{{title}}", 1)
    pieces[1:] = pieces[1].split("{{content}}", 1)
    if f'){DELIMITER}"' in page or len(pieces) != 3:
        sys.exit("embed.py: expected {{title}} and {{content}} once each")
    arrays = "\n".join(f"inline constexpr std::string_view {name}[] = {{{', '.join(literals(piece))}}};" for name, piece in zip(("before_title", "before_content", "after_content"), pieces))
    pathlib.Path(sys.argv[6]).write_text(f"#pragma once\n#include <string_view>\n\nnamespace tool::page {{\n\n{arrays}\n\n}}  // namespace tool::page\n", encoding="utf-8")


if __name__ == "__main__":
    main()
