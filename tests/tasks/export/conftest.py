"""A run whose data have hostile texts, to be exported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.export.formats import ExportRequest, write_export
from tasks.export.registry import format_of
from tasks.export.selection import Selection, main_method
from tasks.query.database import open_images
from tasks.query.filters import Filter
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.storage.parquet import read_table, write_table
from tests.support.exports import HOSTILE

Export = Callable[..., Path]


@pytest.fixture(scope="session")
def hostile_run(finished_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run, with hostile columns in its table of data."""
    folder = tmp_path_factory.mktemp("runs") / "hostile's run"
    shutil.copytree(finished_run.path, folder)
    copied = RunFolder.at(folder)
    catalog = read_table(copied.catalog)
    for name, values in HOSTILE.items():
        column = pa.array([values[i % len(values)] for i in range(len(catalog))])
        catalog = catalog.append_column(name, column)
    write_table(copied.catalog, catalog, copied.read_state().identity.shard_size)
    return Run.at(folder)


@pytest.fixture
def export(hostile_run: Run, tmp_path: Path) -> Export:
    """Write the run in a format; returns the folder."""

    def write(name: str, chosen: Filter | None = None, **details: bool) -> Path:
        form = format_of(name)
        images = open_images(hostile_run)
        coordinates = None
        if form.needs_coordinates:
            from tasks.explorer.projection import coordinates as coordinates_of

            coordinates = coordinates_of(hostile_run)
        request = ExportRequest(
            Selection.of(hostile_run, images, chosen or Filter()),
            main_method(hostile_run, None),
            coordinates=coordinates,
            **details,
        )
        write_export(form, request, tmp_path / name, lambda done, total: None)
        return tmp_path / name

    return write
