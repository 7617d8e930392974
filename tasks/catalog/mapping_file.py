"""Files that say something of each label: a JSON object, or CSV lines that begin with it."""

from __future__ import annotations

import csv
import json
from typing import Any

from models.addresses import place
from models.errors import Mistake


class MappingMistake(Mistake):
    """Text that maps nothing; whoever reads it says what it was wanted for."""


def read_mapping(path: str) -> dict[str, list[Any]]:
    """What follows each label: the value of a JSON object, or a line's other columns."""
    file = place(path)
    if not file.is_file():
        raise FileNotFoundError(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".json":
            return {label: [value] for label, value in json.loads(text).items()}
        return {row[0]: row[1:] for row in csv.reader(text.splitlines(keepends=True)) if row}
    except (ValueError, AttributeError, RecursionError, csv.Error) as error:
        raise MappingMistake(str(error)) from error
