"""The table of images as one Parquet file, each column described in its metadata."""

from __future__ import annotations

from pathlib import Path

from models.addresses import as_path
from tasks.export.formats import ExportRequest, Format, Progress
from tasks.storage.parquet import open_writer

FILE = "images.parquet"


def write(request: ExportRequest, folder: Path, progress: Progress) -> list[str]:
    """images.parquet: a row group for each shard."""
    selection = request.selection
    about = {"sightline.run": str(selection.run.folder.path)}
    schema = selection.schema.with_metadata(about)
    done = 0
    with open_writer(as_path(folder / FILE), schema) as append:
        for shard in selection.shards():
            append(shard.table.cast(schema))
            done += len(shard.table)
            progress(done, selection.total)
    return []


def how_to_open(folder: Path) -> str:
    return f"pandas.read_parquet({str(folder / FILE)!r})"


FORMAT = Format("parquet", write, how_to_open)
