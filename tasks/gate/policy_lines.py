"""Where a policy's file has its rules and keys, for messages about them."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEADER = re.compile(r"\s*\[\[\s*rule\s*\]\]")


@dataclass(frozen=True)
class Lines:
    """The lines of rules and keys, which TOML's parser does not give: found where the file has the
    usual layout, `[[rule]]` and one key per line, and unknown otherwise."""

    text: str
    rules: int

    def of(self, number: int | None, key: str | None = None) -> int | None:
        """The line of a rule's key or header; without a rule, of a top-level key."""
        lines = self.text.splitlines()
        starts = [index for index, line in enumerate(lines) if HEADER.match(line)]
        if number is None:
            first, last = 0, len(lines)
        elif len(starts) != self.rules:
            return None
        else:
            first, last = starts[number], [*starts, len(lines)][number + 1]
        if key is not None:
            pattern = re.compile(rf"[\s\[]*[\"']?{re.escape(key)}[\"']?\s*[\]=.]")
            matches = (index for index in range(first, last) if pattern.match(lines[index]))
            return next(matches, first) + 1
        return first + 1

    def name(self, number: int) -> str:
        """`rule 3 (line 12)`."""
        line = self.of(number)
        return f"rule {number + 1}" + (f" (line {line})" if line is not None else "")
