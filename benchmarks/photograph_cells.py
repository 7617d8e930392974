"""Cells of benchmarks on photographs: measured once where the photographs are, then kept."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Columns = dict[str, np.ndarray]
Rows = list[dict[str, str]]

CELLS = Path(__file__).parent / "cells" / "photographs"


def load_cell(file: Path, photos: Path | None, measure: Callable[[Path], Columns]) -> Columns:
    """As it was kept, or measured now."""
    if not file.exists():
        if photos is None:
            sys.exit(
                f"photographs: {file.name} is not kept and --photos DIR is not given: "
                "name the folder"
            )
        sys.stderr.write(f"photographs: {file.stem}\n")
        _keep(file, measure(photos))
    with np.load(file) as kept:
        return dict(kept)


def _keep(file: Path, columns: Mapping[str, np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".tmp").open("wb") as opened:
        np.savez_compressed(opened, **columns)  # type: ignore[arg-type]
    file.with_suffix(".tmp").replace(file)


def read_rows(photos: Path, columns: tuple[str, ...]) -> Rows:
    """The table of the photographs; says what is missing."""
    table = photos / "table.csv"
    if not table.is_file():
        sys.exit(f"photographs: {table} does not exist: --photos names a folder with table.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(columns) <= set(rows[0]):
        sys.exit(f"photographs: {table} needs rows with the columns {', '.join(columns)}")
    return rows
