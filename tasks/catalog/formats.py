"""Lists a dataset in any of its forms; folders of images here, each other form in its own module.

Only a table or an annotation file is opened, never a picture.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pyarrow as pa
from upath import UPath

from models.addresses import as_path
from models.errors import NothingToAudit, UserError, list_names, suggest
from tasks.catalog import coco, torchvision_datasets, voc
from tasks.catalog.listing import (
    PICTURES,
    SPLITS,
    Columns,
    Listing,
    split_names,
    text_column,
    unlabelled_listing,
)
from tasks.catalog.table_files import TABLES
from tasks.catalog.tables import list_table
from tasks.storage.files import walk


def list_images(
    address: str | os.PathLike[str],
    columns: Columns,
    split: str | None = None,
    images: str | None = None,
) -> Listing:
    """List a dataset in any of its forms.

    File names are relative to the folder `images`, else to that of the table or annotation file.
    """
    if str(address).startswith(torchvision_datasets.PREFIX):
        _refuse_columns(address, columns)
        return torchvision_datasets.list_torchvision_dataset(str(address), images, split)
    path = as_path(address)
    if not path.exists():
        raise UserError(
            f"data {path} not found: give a folder of images, a table of them "
            f"({' '.join(TABLES)}), a COCO annotation file, or {torchvision_datasets.PREFIX}NAME"
        )
    if path.is_file():
        return _list_file(path, columns, split, images)
    if not path.is_dir():  # reading a pipe could block for ever
        raise UserError(
            f"data {path} is a pipe, a socket or a device: give a folder of images, a table of "
            f"them ({' '.join(TABLES)}), or a COCO annotation file"
        )
    if images is not None:
        raise UserError(
            f"data {path} is a folder and --images is for tables, annotation files and "
            "torchvision's datasets: drop --images"
        )
    return _list_folder(path, columns, split)


def _list_file(path: UPath, columns: Columns, split: str | None, images: str | None) -> Listing:
    root = path.parent if images is None else as_path(images)
    if not root.is_dir():
        raise UserError(f"images folder {root} not found")
    if path.suffix != coco.SUFFIX:
        return list_table(path, columns, split, root)
    if split is not None:
        raise UserError(f"annotations {path} have no splits: drop --split")
    _refuse_columns(path, columns)
    return coco.list_annotated(path, root)


def _list_folder(root: UPath, columns: Columns, split: str | None) -> Listing:
    for name in (f"metadata{suffix}" for suffix in TABLES):
        if (root / name).is_file():
            return list_table(root / name, columns, split, root)
    if voc.is_voc(root):
        _refuse_columns(root, columns)
        return voc.list_voc(root, split)
    images = text_column(walk(root, PICTURES))
    if len(images) == 0:
        raise NothingToAudit(
            f"folder {root} holds no images: looked for {' '.join(sorted(PICTURES))} at any depth"
        )
    tops = _top_folders(images)
    folders = sorted({top for top in tops if top is not None})
    if None not in tops and set(folders) <= {name for names in SPLITS for name in names}:
        return _list_folder(root / _choose_split(root, folders, split), columns, None)
    _refuse_columns(root, columns)
    if split is not None:
        raise UserError(
            f"folder {root} has no split column and no folders "
            f"{', '.join(names[0] for names in SPLITS)}: give a table, or drop --split"
        )
    if None in tops and folders:
        loose = images[tops.index(None)].as_py()
        raise UserError(
            f"folder {root} mixes class folders with loose images (such as {loose!r}): "
            "move the loose ones into a class folder, or give a table"
        )
    return replace(unlabelled_listing(root, images), label=pa.array(tops, pa.string()))


def _refuse_columns(data: object, columns: Columns) -> None:
    """Refuse options that name columns, for a dataset without any."""
    options = {"image": "image-column", "label": "label-column", "mask": "mask-column"}
    options |= {"key": "key-column", "split": "split-column", "boxes": "box-columns"}
    unused = [f"--{option}" for name, option in options.items() if getattr(columns, name)]
    if unused:
        raise UserError(f"data {data} is not a table: drop {' '.join(unused)}, or give a table")


def _top_folders(images: pa.Array) -> list[str | None]:
    """The top folder that each image lies in, None for one directly in the root."""
    return [
        top if below else None
        for top, below, _ in (image.as_py().partition("/") for image in images)
    ]


def _choose_split(root: UPath, folders: list[str], split: str | None) -> str:
    if split is None:
        raise UserError(
            f"folder {root} holds the splits {list_names(folders)}: name one with --split, "
            "or give its folder as --data"
        )
    folder = next((name for name in split_names(split) if name in folders), None)
    if folder is None:
        raise UserError(
            f"folder {root} has no split {split!r}{suggest(split, folders)}; it has "
            f"{list_names(folders)}"
        )
    return folder
