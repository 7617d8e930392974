"""A commented configuration of an audit, from what was found of data and model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from models.classifier.find_model import FoundModel
from models.errors import list_names
from tasks.catalog.find_dataset import FoundDataset

HEAD = (
    "The settings of an audit, as `sightline init` found them. Run it: sightline audit --config "
    "{file}. A line that begins with # is not read; `sightline audit --help` names every setting."
)
EXAMPLE = {"address": "path/to/file.py:function", "weights": "weights.safetensors"}
UNCERTAIN = (
    "The weights do not say how their pictures were prepared. What torchvision's own weights of "
    "this network were trained with; remove the # if yours were, too, or change the numbers:"
)


def write_config(file: str, data: FoundDataset, model: FoundModel) -> str:
    """The text of the configuration."""
    parts = [
        *_comments([HEAD.format(file=file)]),
        *("", "[data]", *_comments([*data.notes, *_describe_labels(data)])),
        *_lines(data.settings),
        *("", "[model]", *_comments(model.notes)),
        *_lines(model.settings),
        *(f"# {line}" for line in _lines(_examples(model))),
        *_propose_preprocessing(model),
        *("", "[output]", 'run = "runs/first"', ""),
    ]
    return "\n".join(parts)


def _describe_labels(data: FoundDataset) -> Iterator[str]:
    if data.labels:
        yield f"Labels in the first rows: {list_names(data.labels)}."


def _examples(model: FoundModel) -> dict[str, str]:
    """Lines to fill in: the model, where none was found, and its classes."""
    missing = {name: value for name, value in EXAMPLE.items() if name not in model.settings}
    needs_model = "address" not in model.settings
    needs_classes = "weights" in model.settings and "classes" not in model.settings
    classes = {"classes": "classes.txt"} if needs_classes or needs_model else {}
    return (missing if needs_model else {}) | classes


def _propose_preprocessing(model: FoundModel) -> Iterator[str]:
    if model.preprocessing is not None:
        yield from ("", *_comments([UNCERTAIN]), "# [model.preprocessing]")
        yield from (f"# {line}" for line in _lines(model.preprocessing))


def _lines(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        text = json.dumps(value, ensure_ascii=False)  # TOML's strings have JSON's escapes
        yield f"{name} = {text}".replace("\x7f", "\\u007f")


def _comments(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        plain = "".join(letter if letter.isprintable() else " " for letter in sentence)
        yield from textwrap.wrap(plain, 98, initial_indent="# ", subsequent_indent="# ")
