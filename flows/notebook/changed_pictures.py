"""Interventions in long form: one row per changed picture, in the order of the images."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.notebook.table_columns import INTERVENTIONS as COLUMNS
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS
from tasks.storage.parquet import read_table

REMOVALS = ("object_removed", "background_removed")
STORED = [name for name in INTERVENTIONS.columns.names if "features" not in name]  # type: ignore[union-attr]


def changed_pictures(run: Run) -> pa.Table:
    """Object removed, background removed, each exchange and each move of every image."""
    paths = run.folder.parts(INTERVENTIONS)
    expected = INTERVENTIONS.columns
    parts = [_unfold(read_table(path, STORED, expected=expected)) for path in paths]
    table = pa.concat_tables([COLUMNS.empty_table(), *parts])
    at = COLUMNS.get_field_index("donor_label")
    return table.set_column(at, "donor_label", _donor_labels(run, table["donor"]))


def _unfold(images: pa.Table) -> pa.Table:
    changes = pa.concat_tables(
        [
            *(_after_removal(images, kind) for kind in REMOVALS),
            _from_lists(
                images,
                "exchanged",
                {
                    "prediction": "exchanged_predictions",
                    "probability": "exchanged",
                    "donor": "donors",
                    "same_class": "same_class",
                },
            ),
            _from_lists(
                images,
                "moved",
                {"prediction": "moved_predictions", "probability": "moved", "way": "moved_ways"},
            ),
        ]
    )
    order = np.argsort(changes["image"].to_numpy(), kind="stable")
    return changes.take(order).select(COLUMNS.names)


def _after_removal(images: pa.Table, kind: str) -> pa.Table:
    columns = {"prediction": images[f"{kind}_prediction"], "probability": images[kind]}
    return _rows(images, kind, np.arange(len(images)), np.zeros(len(images), np.int64), columns)


def _from_lists(images: pa.Table, kind: str, lists: dict[str, str]) -> pa.Table:
    """A row for each element of the lists, which have one length in an image."""
    counts = pc.fill_null(pc.list_value_length(images[kind]), 0).to_numpy()
    image = np.repeat(np.arange(len(images)), counts)
    slot = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = {name: pc.list_flatten(images[stored]) for name, stored in lists.items()}
    return _rows(images, kind, image, slot, columns)


def _rows(
    images: pa.Table, kind: str, image: np.ndarray, slot: np.ndarray, columns: dict[str, pa.Array]
) -> pa.Table:
    """These columns and the others, which are null, as COLUMNS has them; and the image's number."""
    known = {
        "row_id": images["row_id"].take(pa.array(image)),
        "kind": pa.repeat(kind, len(image)),
        "slot": pa.array(slot),
        **columns,
    }
    nulls = {it.name: pa.nulls(len(image), it.type) for it in COLUMNS if it.name not in known}
    table = pa.table({**known, **nulls}).select(COLUMNS.names).cast(COLUMNS)
    return table.append_column("image", pa.array(image))


def _donor_labels(run: Run, donor: pa.ChunkedArray) -> pa.ChunkedArray:
    """The label of each donor's picture."""
    if not run.folder.donors.is_file():
        return pa.chunked_array([pa.nulls(len(donor), pa.string())])
    pool = read_table(run.folder.donors, ["row_id", "label"])
    found = pc.index_in(donor, pool["row_id"].combine_chunks(), skip_nulls=True)
    return pool["label"].take(found)
