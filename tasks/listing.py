"""What the user has, as addresses: class folders, a flat folder, or a CSV, JSONL or Parquet table.

Nothing is opened here but the table itself; columns that are not ours stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from upath import UPath

from models.mistakes import Mistake, nearest, shown
from tasks.places import read_table, walk

PICTURES = frozenset(  # torchvision's ImageFolder
    (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
)
TABLES = (".csv", ".jsonl", ".parquet")
IMAGE_COLUMNS = ("file_name", "image")  # found by themselves; any other is named by the user
LABEL_COLUMNS = ("label",)
MASK_COLUMNS = ("mask",)


class ListingMistake(Mistake):
    """A dataset that cannot be listed as it was given."""


class NothingToAudit(Mistake):
    """A dataset without a single image."""


@dataclass(frozen=True)
class Columns:
    """Names of the user's columns; None looks for the usual ones."""

    image: str | None = None
    label: str | None = None
    mask: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Listing:
    """Images in order. Addresses are relative to the root; labels are the user's own values."""

    root: UPath
    key: pa.Array  # string
    image: pa.Array  # string
    label: pa.Array  # string or integer, null where unknown
    mask: pa.Array  # string, null where there is none
    extra: pa.Table  # the user's further columns

    def take(self, rows: pa.Array) -> Listing:
        return Listing(
            self.root,
            self.key.take(rows),
            self.image.take(rows),
            self.label.take(rows),
            self.mask.take(rows),
            self.extra.take(rows),
        )


def list_images(path: UPath, columns: Columns, split: str | None = None) -> Listing:
    """List the dataset at a folder or a table; `split` keeps the rows with that value."""
    if not path.exists():
        raise ListingMistake(f"data {path} not found: give a folder of images or a table of them")
    if path.is_file():
        return _from_table(path, columns, split)
    for name in (f"metadata{suffix}" for suffix in TABLES):
        if (path / name).is_file():
            return _from_table(path / name, columns, split)
    if split is not None:
        raise ListingMistake(f"folder {path} has no split column: give a table, or drop --split")
    return _from_folder(path)


def _from_folder(root: UPath) -> Listing:
    images = list(walk(root, PICTURES))
    if not images:
        raise NothingToAudit(
            f"folder {root} holds no images: looked for {' '.join(sorted(PICTURES))} at any depth"
        )
    in_classes = [len(PurePosixPath(image).parts) > 1 for image in images]
    if any(in_classes) and not all(in_classes):
        loose = images[in_classes.index(False)]
        raise ListingMistake(
            f"folder {root} mixes class folders with loose images (such as {loose!r}): "
            "move the loose ones into a class folder, or give a table"
        )
    labels = [PurePosixPath(image).parts[0] if all(in_classes) else None for image in images]
    return Listing(
        root,
        key=pa.array(images, pa.string()),
        image=pa.array(images, pa.string()),
        label=pa.array(labels, pa.string()),
        mask=pa.nulls(len(images), pa.string()),
        extra=pa.table({}),
    )


def _from_table(path: UPath, columns: Columns, split: str | None) -> Listing:
    table = _keep_split(_read_table(path), split, path)
    if table.num_rows == 0:
        raise NothingToAudit(f"table {path} holds no rows{f' of split {split!r}' if split else ''}")
    image = _column(table, columns.image, IMAGE_COLUMNS, "image", path)
    if image is None:
        raise ListingMistake(
            f"table {path} has columns {shown(table.column_names)}, none of them "
            f"{' or '.join(IMAGE_COLUMNS)}: name the one with the file names with --image-column"
        )
    if table[image].null_count:
        raise ListingMistake(f"table {path} has {table[image].null_count} rows without {image!r}")
    label = _column(table, columns.label, LABEL_COLUMNS, "label", path)
    mask = _column(table, columns.mask, MASK_COLUMNS, "mask", path)
    key = _column(table, columns.key, ("row_id",), "key", path) or image
    if table[key].null_count:
        raise ListingMistake(f"table {path} has {table[key].null_count} rows without {key!r}")
    used = {name for name in (image, label, mask, key) if name is not None}
    return Listing(
        path.parent,
        key=_strings(table[key]),
        image=_strings(table[image]),
        label=_labels(table[label], path) if label else pa.nulls(table.num_rows, pa.string()),
        mask=_nulled(_strings(table[mask])) if mask else pa.nulls(table.num_rows, pa.string()),
        extra=table.drop_columns(sorted(used)),
    )


def _read_table(path: UPath) -> pa.Table:
    if path.suffix not in TABLES:
        raise ListingMistake(f"data {path} is no folder and no table ({' '.join(TABLES)})")
    try:
        if path.suffix == ".csv":
            return _typed(path)
        if path.suffix == ".jsonl":
            with path.open("rb") as file:
                return pyarrow.json.read_json(file)
        return read_table(path)
    except (pa.ArrowException, OSError) as error:
        told = str(error).splitlines()[0]
        raise ListingMistake(f"table {path} cannot be read as {path.suffix}: {told}") from error


def _typed(path: UPath) -> pa.Table:
    """A CSV with numbers where every value is one, and `007` left a text: nothing is lost."""
    with path.open("rb") as file:
        header = pyarrow.csv.open_csv(file).schema.names
    as_texts = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
    )
    with path.open("rb") as file:
        texts = pyarrow.csv.read_csv(file, convert_options=as_texts)
    return pa.table({name: _typed_column(texts[name]) for name in texts.column_names})


def _typed_column(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    values = pc.if_else(pc.equal(texts, ""), None, texts)
    if values.null_count == len(values):
        return texts
    for kind in (pa.int64(), pa.float64()):
        try:
            numbers = values.cast(kind)
        except pa.ArrowInvalid:
            continue
        if kind == pa.float64() or numbers.cast(pa.string()).equals(values):
            return numbers
        return texts
    return texts


def _keep_split(table: pa.Table, split: str | None, path: UPath) -> pa.Table:
    if split is None:
        return table
    if "split" not in table.column_names:
        raise ListingMistake(f"table {path} has no column 'split': drop --split")
    splits = table["split"].cast(pa.string())
    if not pc.any(pc.equal(splits, split)).as_py():
        known = [str(value) for value in pc.unique(splits).to_pylist()]
        raise ListingMistake(
            f"table {path} has no split {split!r}{nearest(split, known)}; it has {shown(known)}"
        )
    return table.filter(pc.equal(splits, split))


def _column(
    table: pa.Table, named: str | None, usual: tuple[str, ...], role: str, path: UPath
) -> str | None:
    if named is None:
        return next((name for name in usual if name in table.column_names), None)
    if named not in table.column_names:
        raise ListingMistake(
            f"table {path} has no {role} column {named!r}{nearest(named, table.column_names)}; "
            f"it has {shown(table.column_names)}"
        )
    return named


def _labels(column: pa.ChunkedArray, path: UPath) -> pa.Array:
    column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        return column
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _nulled(column.cast(pa.string()))
    raise ListingMistake(
        f"table {path} has labels of type {column.type}: one class name or index an image is "
        "allowed; several labels an image cannot be audited"
    )


def _strings(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().cast(pa.string())


def _nulled(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(texts, ""), None, texts)
