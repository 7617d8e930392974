"""Tables of images: which column is what; other columns of the user stay as they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from models.errors import NothingToAudit, UserError, list_names, suggest
from tasks.catalog.boxes import boxes_of
from tasks.catalog.file_columns import MASK_SEPARATOR, find_image_column, find_mask_column
from tasks.catalog.instances import gather_instances
from tasks.catalog.listing import SPLITS, Columns, Listing, instances_type, split_names
from tasks.catalog.mask_files import lists_of
from tasks.catalog.table_files import read_table_file, spell_fractions

IMAGE_COLUMNS = ("file_name", "image", "img_filename", "path")  # the usual names, in this order
LABEL_COLUMNS = ("label", "y")
MASK_COLUMNS = ("mask", "masks", "mask_file_name")
KEY_COLUMNS = ("row_id",)
SPLIT_COLUMNS = ("split",)
LARGEST_INTEGER = 2.0**53  # a float64 holds every integer below
WRITABLE = (  # types of one plain text for each value
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal),
    *(pa.types.is_temporal, pa.types.is_null),
)


def list_table(path: UPath, columns: Columns, split: str | None, root: UPath) -> Listing:
    """List the images of a table, whose addresses are relative to `root`."""
    table = read_table_file(path, columns.boxes)
    if split is not None:
        table = _keep_split(table, split, columns, path)
    if table.num_rows == 0:
        raise NothingToAudit(f"table {path} holds no rows{f' of split {split!r}' if split else ''}")
    image = _find_image_column(table, columns, root, path)
    label = _find_column(table, columns.label, _usual_label_columns(table, columns), "label", path)
    mask = _find_column(table, columns.mask, MASK_COLUMNS, "mask", path)
    key = _find_column(table, columns.key, KEY_COLUMNS, "key", path) or image
    instances = boxes_of(table, columns, path)
    used = {name for name in (image, label, mask, key) if name is not None}
    if mask is None and instances is None and columns.seek_masks:
        mask = find_mask_column(table, image, used, root, path)
        used |= set() if mask is None else {mask}
    count = table.num_rows
    listing = Listing(
        root,
        key=_read_keys(table, key, path),
        image=_required_texts(table, image, path),
        label=_read_labels(table[label], path) if label else pa.nulls(count, pa.string()),
        masks=_read_masks(table[mask], path) if mask else pa.nulls(count, pa.list_(pa.string())),
        instances=pa.nulls(count, instances_type(pa.string())) if instances is None else instances,
        extra=table.drop_columns(sorted(used)),
    )
    return gather_instances(listing) if columns.boxes and key == image else listing


def _keep_split(table: pa.Table, split: str, columns: Columns, path: UPath) -> pa.Table:
    column = _find_column(table, columns.split, SPLIT_COLUMNS, "split", path)
    if column is None:
        raise UserError(
            f"table {path} has no column 'split', from which a split is taken; it has "
            f"{list_names(table.column_names, 20)}: name the one of the splits with "
            "--split-column, or name no split"
        )
    splits = _as_texts(table, column, path)
    values = [str(value) for value in pc.unique(splits).to_pylist()]
    aliases = split_names(split)
    if pa.types.is_integer(table[column].type):  # WILDS: 0 train, 1 validation, 2 test
        aliases += tuple(str(number) for number, names in enumerate(SPLITS) if split in names)
    value = next((name for name in aliases if name in values), None)
    if value is None:
        raise UserError(
            f"table {path} has no split {split!r}{suggest(split, values)}; it has "
            f"{list_names(values)}"
        )
    return table.filter(pc.equal(splits, value))


def _find_image_column(table: pa.Table, columns: Columns, root: UPath, path: UPath) -> str:
    image = _find_column(table, columns.image, IMAGE_COLUMNS, "image", path)
    image = image or find_image_column(table, root, path)
    if image is None:
        raise UserError(
            f"table {path} has columns {list_names(table.column_names)}, none of them "
            f"{' or '.join(IMAGE_COLUMNS)}, and none names pictures below {root}: name the one "
            "with the file names with --image-column"
        )
    if not _is_text(table[image].type):
        raise UserError(
            f"table {path} has {table[image].type} in column {image!r}, not file names: write the "
            "pictures to files, and a table with their names"
        )
    return image


def _usual_label_columns(table: pa.Table, columns: Columns) -> tuple[str, ...]:
    """`y` beside `x` is a coordinate, not a label."""
    coordinates = {"y"} if "x" in table.column_names else set()
    return tuple(name for name in LABEL_COLUMNS if name not in coordinates | set(columns.boxes))


def _find_column(
    table: pa.Table, column: str | None, usual: tuple[str, ...], role: str, path: UPath
) -> str | None:
    if column is None:
        return next((name for name in usual if name in table.column_names), None)
    if column not in table.column_names:
        raise UserError(
            f"table {path} has no {role} column {column!r}{suggest(column, table.column_names)}; "
            f"it has {list_names(table.column_names)}"
        )
    return column


def _read_labels(column: pa.ChunkedArray, path: UPath) -> pa.Array:
    column = column.combine_chunks()
    if pa.types.is_floating(column.type):
        column = _to_integers(column.cast(pa.float64()))
    if pa.types.is_integer(column.type):
        return column
    if _is_text(column.type) or pa.types.is_null(column.type):
        return _empty_to_null(column.cast(pa.string()))
    raise UserError(
        f"table {path} has labels of type {column.type}: give one class name or index an image; "
        "several labels an image cannot be audited"
    )


def _to_integers(numbers: pa.Array) -> pa.Array:
    """Integers that pandas wrote as fractions because some are missing; other numbers stay."""
    valid = pc.if_else(pc.is_nan(numbers), None, numbers)
    whole = pc.and_(pc.equal(valid, pc.floor(valid)), pc.less(pc.abs(valid), LARGEST_INTEGER))
    return valid.cast(pa.int64()) if pc.all(whole).as_py() else numbers


def _read_masks(column: pa.ChunkedArray, path: UPath) -> pa.Array:
    """Each row's masks as a list; null for a row without masks."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        masks = column.combine_chunks()
        texts, row = pc.list_flatten(masks), pc.list_parent_indices(masks)
        if _is_text(texts.type) or pa.types.is_null(texts.type):
            texts = _empty_to_null(texts.cast(pa.string()))
            row = row.filter(texts.is_valid()).to_numpy()
            return lists_of(texts.drop_null(), pa.array(np.bincount(row, minlength=len(masks))))
    if not _is_text(kind) and not pa.types.is_null(kind):
        raise UserError(
            f"table {path} has masks of type {kind}: an address or a list of them is needed"
        )
    texts = _empty_to_null(column.combine_chunks().cast(pa.string()))
    if path.suffix.lower() == ".csv":
        return pc.split_pattern(texts, MASK_SEPARATOR)
    offsets = pa.array(range(len(texts) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, texts, mask=texts.is_null())


def _read_keys(table: pa.Table, name: str, path: UPath) -> pa.Array:
    """Keys as they are written; refuses numbers that have lost digits already."""
    numbers = table[name]
    if not pa.types.is_floating(numbers.type):
        return _required_texts(table, name, path)
    fractions = numbers.cast(pa.float64())
    if pc.any(pc.greater_equal(pc.abs(fractions), LARGEST_INTEGER)).as_py():
        raise UserError(
            f"table {path} has numbers in column {name!r} of which only 15 digits are kept: "
            "write keys as text, in quotes"
        )
    texts = table.set_column(table.column_names.index(name), name, spell_fractions(fractions))
    return _required_texts(texts, name, path)


def _required_texts(table: pa.Table, name: str, path: UPath) -> pa.Array:
    texts = _empty_to_null(_as_texts(table, name, path).combine_chunks())
    if texts.null_count:
        raise UserError(f"table {path} has {texts.null_count} rows without {name!r}")
    return texts


def _as_texts(table: pa.Table, name: str, path: UPath) -> pa.ChunkedArray:
    kind = table[name].type
    if not (_is_text(kind) or any(is_kind(kind) for is_kind in WRITABLE)):
        raise UserError(f"table {path} has {kind} in column {name!r}: texts or numbers are needed")
    return table[name].cast(pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _empty_to_null(texts: pa.Array) -> pa.Array:
    empty = pc.equal(texts, "")
    return pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts
