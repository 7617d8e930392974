"""Text of users made safe to show: nothing in it moves the cursor, ends a line or hides a part."""

from __future__ import annotations

import re

# Controls, lone surrogates (of a path that is not UTF-8), separators of lines, and overrides of the
# reading order, which disguise an extension.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Line ends as an arrow; unprintable characters, and those that reverse the reading order, as a
    replacement mark."""
    lines = text.replace("\r\n", "\n").replace("\n", "↵").replace("\t", " ")
    return HIDDEN.sub("\ufffd", lines)
