"""What a text file looks like, for a message about one that was given to the wrong option."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

LINES = 50  # looked at
SECTIONS = re.compile(
    r"^\s*(\[(data|model|output|attribution)\]|(data|model|output):)", re.MULTILINE
)
TABLE_COLUMNS = frozenset(("file_name", "image", "img_filename", "path"))


def suggest_option(text: str, given: str) -> str:
    """`it looks like one name per line, which --classes takes`; empty for any other content, and
    for what the option that the file was given to takes."""
    kind, option = _kind_of(text) or ("", given)
    return "" if option == given else f"it looks like {kind}, which {option} takes"


def _kind_of(text: str) -> tuple[str, str] | None:
    """What the content is called, and the option that takes it."""
    start = text.lstrip()[:1]
    try:
        if start in ("{", "["):
            return _kind_of_json(json.loads(text))
    except (ValueError, RecursionError):
        pass  # a section of TOML begins with a bracket as well
    if re.search(r"^\s*\[\[rule\]\]", text, re.MULTILINE):
        return "a policy", "--policy"
    if SECTIONS.search(text):
        return "a configuration", "--config"
    return None if start in ("{", "[") else _kind_of_lines(text)


def _kind_of_json(content: Any) -> tuple[str, str] | None:
    if isinstance(content, list):
        is_names = bool(content) and all(isinstance(name, str) for name in content)
        return ("a list of names", "--classes") if is_names else None
    return _kind_of_mapping(content) if isinstance(content, dict) else None


def _kind_of_mapping(content: dict[str, Any]) -> tuple[str, str] | None:
    keys = content.keys()
    if {"images", "annotations"} <= keys:
        return "COCO's annotations", "--annotations"
    if "architecture" in keys:
        return "a model bundle", "--model"
    if keys & {"resize", "crop", "mean", "std"}:
        return "a preprocessing", "--preprocessing"
    if keys and all(isinstance(value, str) for value in content.values()):
        return "a class for each label", "--labels"
    return None


def _kind_of_lines(text: str) -> tuple[str, str] | None:
    lines = [line for line in text.splitlines()[:LINES] if line.strip()]
    try:
        rows = list(csv.reader(lines))
    except csv.Error:
        return None
    if not rows or "\0" in text:
        return None
    if TABLE_COLUMNS & set(rows[0]):
        return "a table of images", "--data"
    if all(len(row) == 1 for row in rows):
        return "one name per line", "--classes"
    return ("lines label,class", "--labels") if all(len(row) == 2 for row in rows) else None
