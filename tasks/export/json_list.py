"""A JSON list of any length, written value by value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, Any


@dataclass
class JsonList:
    """The values of a list in a file, whose brackets somebody else writes."""

    file: IO[str]
    written: int = 0

    def append(self, value: Any) -> None:
        if self.written:
            self.file.write(",\n")
        json.dump(value, self.file, ensure_ascii=False, allow_nan=False)
        self.written += 1
