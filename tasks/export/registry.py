"""The formats that a run can be exported to; each is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command's options name the formats, and torch takes seconds to import
    from tasks.export.formats import Format

MODULES = {
    "csv": "csv_file",
    "parquet": "parquet_file",
    "fiftyone": "fiftyone_dataset",
    "embedding-atlas": "embedding_atlas",
    "coco": "coco_dataset",
}
NAMES = tuple(MODULES)


def format_of(name: str) -> Format:
    """What is defined as FORMAT in the format's own file."""
    form: Format = import_module(f"tasks.export.{MODULES[name]}").FORMAT
    return form
