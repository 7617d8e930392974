"""Files that say something of each label: a JSON object, or CSV lines that begin with it."""

from __future__ import annotations

import csv
import json
from typing import Any

from models.addresses import as_path
from models.errors import MappingFileError


def read_mapping(path: str) -> dict[str, list[Any]]:
    """What follows each label: the value of a JSON object, or a line's other columns."""
    file = as_path(path)
    if not file.is_file():
        raise FileNotFoundError(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".json":
            return {label: [value] for label, value in json.loads(text).items()}
        return {row[0]: row[1:] for row in csv.reader(text.splitlines(keepends=True)) if row}
    except (ValueError, AttributeError, RecursionError, csv.Error) as error:
        raise MappingFileError(str(error)) from error
