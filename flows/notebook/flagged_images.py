"""The images that are flagged, those to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flows.notebook.run_tables import IMAGES, columns_of, read_run_table
from models.errors import UserError, list_names, suggest
from tasks.runs.reader import Run

FLAGGED = "rests_on_background"
NEEDED = ("flag", "score")


def flagged_images(
    run: Run, of_classes: Mapping[str, str | None], columns: Sequence[str] | None
) -> pa.Table:
    """Rows of the table of images, the highest score first; of one label, prediction or both."""
    if "flag" not in {column.name for column in columns_of(run, IMAGES)}:
        raise UserError(
            f"run {run.folder.path} has no flags: an audit has them once it is finished, a "
            "comparison of methods has none"
        )
    classes = {column: name for column, name in of_classes.items() if name is not None}
    for column, name in classes.items():
        _check_class(run, column, name)
    images = read_run_table(run, IMAGES, _with_needed(columns, classes))
    for column, name in {"flag": FLAGGED, **classes}.items():
        images = images.filter(pc.equal(images[column].cast(pa.string()), name))
    order = pc.sort_indices(images, [("score", "descending")])  # stable: catalog order otherwise
    chosen = images.take(order)
    return chosen if columns is None else chosen.select(list(dict.fromkeys(columns)))


def _with_needed(columns: Sequence[str] | None, classes: Iterable[str]) -> Sequence[str] | None:
    """And what the images are chosen by; all columns, or what is no list of them, as they are."""
    if columns is None or isinstance(columns, str) or not len(columns):
        return columns
    return [*columns, *NEEDED, *classes]


def _check_class(run: Run, column: str, name: str) -> None:
    classes = run.state.classes
    if classes and name not in classes:  # runs of older versions do not name them
        raise UserError(
            f"{column}={name!r} is no class of run {run.folder.path}{suggest(name, classes)}; it "
            f"has {list_names(classes)}"
        )
