"""Files that map each label to something: a JSON object, or CSV lines that begin with a label."""

from __future__ import annotations

import csv
import json
from typing import Any

from models.addresses import as_path
from models.errors import MappingFileError, find_position
from models.file_kinds import suggest_option


def read_mapping(path: str) -> dict[str, list[Any]]:
    """What each label maps to: the value in a JSON object, or the other columns of a CSV line."""
    file = as_path(path)
    if not file.is_file():
        raise FileNotFoundError(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MappingFileError("it is not UTF-8 text") from error
    mapping = _parse_json(text) if file.suffix == ".json" else _parse_lines(text)
    if mapping and not any(mapping.values()):
        raise MappingFileError(suggest_option(text, "--labels") or "its lines have one column")
    return mapping


def _parse_json(text: str) -> dict[str, list[Any]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        words = suggest_option(text, "--labels") or f"it is not JSON{find_position(error)}"
        raise MappingFileError(words) from error
    if not isinstance(content, dict):
        raise MappingFileError("it is JSON, but not an object")
    return {label: [value] for label, value in content.items()}


def _parse_lines(text: str) -> dict[str, list[Any]]:
    try:
        rows = list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error as error:
        raise MappingFileError("it is not CSV") from error
    return {row[0]: row[1:] for row in rows if row}
