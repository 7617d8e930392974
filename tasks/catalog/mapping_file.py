"""Files that map each label to something: a JSON object, or CSV lines that begin with a label."""

from __future__ import annotations

import csv
import json
from typing import Any

from models.addresses import as_path
from models.errors import MappingFileError


def read_mapping(path: str) -> dict[str, list[Any]]:
    """What each label maps to: the value in a JSON object, or the other columns of a CSV line."""
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
