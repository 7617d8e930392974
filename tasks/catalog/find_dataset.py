"""Which settings a folder of data needs: its table and columns, its split, masks and labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from upath import UPath

from models.errors import UserError, list_names
from tasks.catalog import voc
from tasks.catalog.file_columns import MASK_WORDS
from tasks.catalog.first_rows import READERS, Row, read_first_rows
from tasks.catalog.listing import PICTURES, SPLITS
from tasks.catalog.tables import IMAGE_COLUMNS, LABEL_COLUMNS, MASK_COLUMNS, SPLIT_COLUMNS
from tasks.storage.files import walk

MASK_FOLDERS = ("masks", "mask", "segmentations", "segmentation", "annotations", "labels")
IMAGE_FOLDERS = ("images", "image", "imgs", "pictures", "photos")
LABEL_WORDS = ("label", "class", "category", "species", "target", "name")  # in a column's name
TRIED = 20  # rows whose files are looked for
MOST_FILES = 20_000  # listed, to see what a folder holds
LARGEST_JSON = 1 << 28  # bytes


@dataclass(frozen=True)
class FoundDataset:
    """What stands in the section [data], what is to be said of it, and what is still to be done."""

    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # distinct, as far as they were read
    missing: list[str] = field(default_factory=list)


def find_dataset(folder: Path, classes: Sequence[str] = ()) -> FoundDataset:
    """Look at a folder of data, for a model with these classes, as far as they are known; refuses a
    folder in which nothing is found."""
    table = _find_table(folder, classes)
    if table is not None:
        return table
    for find in (_find_coco, _find_voc):
        found = find(folder)
        if found is not None:
            return found
    inner = (_find_table(path, classes) for path in _subfolders(folder))
    found = next((table for table in inner if table is not None), None) or _find_folders(folder)
    if found is not None:
        return found
    raise UserError(
        f"folder {folder} holds no images: looked for {' '.join(sorted(PICTURES))}, and for tables "
        f"({' '.join(READERS)}) that name images"
    )


def _subfolders(folder: Path) -> list[Path]:
    """Those in which a table is looked for; a split has one of its own, which is not all."""
    splits = {name for group in SPLITS for name in group}
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in splits)
    return [path for path in inner if not path.name.startswith(".")]


def _find_table(folder: Path, classes: Sequence[str]) -> FoundDataset | None:
    """The first table whose rows name pictures that exist; `metadata` comes before others."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]  # a pipe would block
    tables = [path for path in files if path.suffix.lower() in READERS]
    for path in sorted(tables, key=lambda path: path.stem != "metadata"):
        rows = read_first_rows(path)
        for root in (folder, *(folder / name for name in IMAGE_FOLDERS)):
            named = _columns_of_files(rows, root)
            if named:
                return _describe_table(path, root, rows, named, classes)
    return None


def _columns_of_files(rows: Sequence[Row], root: Path) -> list[str]:
    """Columns whose values are pictures below the root, in the order of the table."""
    tried = rows[:TRIED]
    return [name for name in (rows[0] if rows else ()) if _are_files(tried, name, root)]


def _are_files(rows: Sequence[Row], column: str, root: Path) -> bool:
    names = [value for row in rows if isinstance(value := row.get(column), str) and value]
    files = [name for name in names if Path(name).suffix.lower() in PICTURES]
    return bool(files) and sum((root / name).is_file() for name in files) * 2 > len(names)


def _describe_table(
    path: Path, root: Path, rows: Sequence[Row], files: Sequence[str], classes: Sequence[str]
) -> FoundDataset:
    masks = [name for name in files if any(word in name.lower() for word in MASK_WORDS)]
    images = [name for name in files if name not in masks] or list(files)
    image = _preferred(images, IMAGE_COLUMNS)
    label = _find_label_column(rows, files, classes)
    usual = path.stem == "metadata" and root == path.parent
    settings: dict[str, Any] = {"path": str(path.parent if usual else path)}
    if root != path.parent:
        settings["images"] = str(root)
    settings |= _named("image_column", image, IMAGE_COLUMNS, rows)
    notes, missing = [f"{path.name} has the columns {list_names(rows[0], 20)}."], []
    if label is not None:
        settings |= _named("label_column", label, LABEL_COLUMNS, rows)
    else:
        notes.append("No column looks like a label.")
        missing.append(
            "name the column of the labels in [data], if there is one: label_column = "
            f"{_list_candidates(rows, files)}"
        )
    if masks:
        settings |= _named("mask_column", masks[0], MASK_COLUMNS, rows)
    notes.append(_describe_masks(bool(masks)))
    split = _find_split_column(rows)
    if split is not None and (chosen := _choose_split(_values(rows, split), notes)):
        settings |= chosen | _named("split_column", split, SPLIT_COLUMNS, rows)
    labels = [] if label is None else _values(rows, label)
    return FoundDataset(settings, notes, labels, missing)


def _preferred(names: Sequence[str], usual: Sequence[str]) -> str:
    return next((name for name in usual if name in names), names[0])


def _named(setting: str, column: str, usual: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """The setting, where the column would not be found without it."""
    first = next((name for name in usual if name in rows[0]), None)
    return {} if first == column else {setting: column}


def _find_label_column(
    rows: Sequence[Row], files: Sequence[str], classes: Sequence[str]
) -> str | None:
    """A usual name, one whose values are classes, or one that speaks of labels and repeats."""
    others = [name for name in rows[0] if name not in (*files, *SPLIT_COLUMNS)]
    usual = [name for name in LABEL_COLUMNS if name in others]
    fitting = [name for name in others if (found := _values(rows, name)) and {*found} <= {*classes}]
    repeating = _repeating(rows, others)
    speaking = [name for word in LABEL_WORDS for name in repeating if word in name.lower()]
    return next(iter((*usual, *fitting, *speaking)), None)


def _repeating(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    return [name for name in names if 1 < len(_values(rows, name)) <= max(2, len(rows) // 2)]


def _list_candidates(rows: Sequence[Row], files: Sequence[str]) -> str:
    others = [name for name in rows[0] if name not in files]
    return " or ".join(f'"{name}"' for name in _repeating(rows, others)[:5]) or '"COLUMN"'


def _find_split_column(rows: Sequence[Row]) -> str | None:
    """The usual one, or one that holds nothing but names of splits, whatever it is called."""
    if usual := [name for name in SPLIT_COLUMNS if _values(rows, name)]:
        return usual[0]
    splits = {name for group in SPLITS for name in group}
    values = ((name, set(_values(rows, name))) for name in rows[0])
    return next((name for name, found in values if found and found <= splits), None)


def _values(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({str(row[column]) for row in rows if row.get(column) not in (None, "")})


def _choose_split(splits: Sequence[str], notes: list[str]) -> dict[str, str]:
    """The test pictures, or else those for validation: a model is not judged where it learnt."""
    if not splits:
        return {}
    names = [name for group in reversed(SPLITS) for name in group if name in splits]
    if not names:
        return {}
    notes.append(f"It has the splits {list_names(splits)}; without a split all are audited.")
    return {"split": names[0]}


def _describe_masks(found: bool) -> str:
    if found:
        return "Masks were found: the audit knows what the object is."
    return (
        "No masks were found: without masks or boxes nothing is flagged, except with "
        '[foreground] source = "estimate".'
    )


def _find_coco(folder: Path) -> FoundDataset | None:
    files = sorted((*folder.glob("*.json"), *folder.glob("annotations/*.json")))
    for path in files:
        content = _read_json(path)
        names = [entry["file_name"] for entry in _entries(content, "images")]
        roots = (folder, *(path for path in sorted(folder.iterdir()) if path.is_dir()))
        root = next((it for it in roots if names and (it / names[0]).is_file()), None)
        if root is not None and "annotations" in content:
            labels = [str(entry.get("name")) for entry in _entries(content, "categories")]
            notes = [f"COCO's annotations of {len(names)} images, with their regions."]
            return FoundDataset({"path": str(path), "images": str(root)}, notes, sorted(labels))
    return None


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        is_small = path.is_file() and path.stat().st_size <= LARGEST_JSON
        content = json.loads(path.read_text(encoding="utf-8")) if is_small else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _entries(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content.get(key)
    needed = {"images": "file_name"}.get(key)
    found = [it for it in entries if isinstance(it, dict)] if isinstance(entries, list) else []
    return [it for it in found if needed is None or isinstance(it.get(needed), str)]


def _find_voc(folder: Path) -> FoundDataset | None:
    if not voc.is_voc(UPath(folder)):
        return None
    return FoundDataset({"path": str(folder)}, ["A dataset in Pascal VOC's form, with its masks."])


def _find_folders(folder: Path) -> FoundDataset | None:
    """Class folders, splits of class folders, or loose pictures; with masks beside them."""
    names = list(_list_pictures(folder))
    tops = sorted({Path(name).parts[0] for name in names if len(Path(name).parts) > 1})
    splits = [top for top in tops if top in {name for group in SPLITS for name in group}]
    notes: list[str] = []
    if splits and splits == tops:
        settings = {"path": str(folder)} | _choose_split(splits, notes)
        labels = _folders_of(names, 1)
        return FoundDataset(settings, [*notes, _describe_labels(labels)], labels)
    images = _one_of(folder, IMAGE_FOLDERS)
    masks = _one_of(folder, MASK_FOLDERS)
    if images is not None and set(tops) <= {*IMAGE_FOLDERS, *MASK_FOLDERS}:
        labels = _folders_of([name for name in names if Path(name).parts[0] == images.name], 1)
        settings = {"path": str(images)} | ({} if masks is None else {"masks": str(masks)})
        notes = [_describe_labels(labels), _describe_masks(masks is not None)]
        return FoundDataset(settings, notes, labels)
    if not names:
        return None
    notes = [_describe_labels(tops), _describe_masks(False)]
    return FoundDataset({"path": str(folder)}, notes, tops)


def _list_pictures(folder: Path) -> Iterator[str]:
    return islice(walk(UPath(folder), PICTURES), MOST_FILES)


def _folders_of(names: Sequence[str], depth: int) -> list[str]:
    parts = [Path(name).parts for name in names]
    return sorted({it[depth] for it in parts if len(it) > depth + 1})


def _one_of(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _describe_labels(labels: Sequence[str]) -> str:
    if not labels:
        return "The pictures have no labels: nothing is said about right and wrong."
    return f"The folders are {len(labels)} labels: {list_names(labels)}."
