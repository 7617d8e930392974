"""torchvision's datasets by name, from files on disk; nothing is downloaded."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.addresses import as_path, is_local
from models.errors import NothingToAudit, UserError, list_names, suggest
from tasks.catalog.listing import Listing, unlabelled_listing
from tasks.catalog.voc import list_voc

PREFIX = "torchvision:"
TRIMAP_VALUES = "1,3"  # the animal and its uncertain edge; 2 is the background


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a dataset: paths of the pictures, their classes, and masks where it has any."""

    paths: list[str]
    labels: list[str] | list[int]
    masks: list[str] | None = None


def list_torchvision_dataset(address: str, images: str | None, split: str | None) -> Listing:
    """List `torchvision:NAME`, whose folder (torchvision's `root`) is `images`."""
    name = address.removeprefix(PREFIX)
    if name not in READERS:
        raise UserError(
            f"torchvision's dataset {name!r} cannot be listed{suggest(name, READERS)}: "
            f"{', '.join(READERS)} can; write the pictures of others to class folders"
        )
    if images is None or not is_local(images) or not Path(images).is_dir():
        raise UserError(
            f"{address} needs the local folder of torchvision's files, found {images!r}: "
            "give it with --images FOLDER"
        )
    root = as_path(images)
    dataset = _open(name, Path(root), split)
    if len(dataset) == 0:
        raise NothingToAudit(f"{address} in {root} holds no images")
    if name == VOC:
        return list_voc(as_path(Path(dataset.images[0]).parent.parent), dataset.image_set)
    files = READERS[name](dataset)
    listing = unlabelled_listing(
        root, pa.array([os.path.relpath(path, root) for path in files.paths])
    )
    listing = replace(listing, label=pa.array(files.labels))
    if files.masks is None:
        return listing
    masks = pa.array([[mask] for mask in files.masks])
    return replace(listing, masks=masks, mask_values=TRIMAP_VALUES)


def _open(name: str, root: Path, split: str | None) -> Any:
    """Open the dataset; an error of torchvision becomes the reason of a UserError."""
    from torchvision import datasets

    kind = getattr(datasets, name)
    word = next((word for word in ("split", "image_set") if word in _parameters(kind)), None)
    if split is not None and word is None:
        raise UserError(f"{PREFIX}{name} has no splits: drop --split")
    _refuse_unpacking(name, root, split)
    try:
        return kind(root, **({word: split or ""} if word else {}))
    except Exception as error:  # each dataset has its own exceptions
        splits = sorted(re.findall("'([^']+)'", str(error).partition("Valid values are")[2]))
        if word and (splits or split is None):
            known = f" {list_names(splits)}" if splits else ""
            message = f"name one of its splits{known} with --split"
        else:
            message = f"its files must lie in {root} as torchvision unpacks them"
        raise UserError(f"{PREFIX}{name}: {message}") from error


def _parameters(kind: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(kind).parameters)


def _refuse_unpacking(name: str, root: Path, split: str | None) -> None:
    """ImageNet's class would unpack archives, Caltech's would make a folder: we only read."""
    needed = {"ImageNet": ("meta.bin", split or ""), "Caltech101": ("caltech101",)}
    missing = [part for part in needed.get(name, ()) if not (root / part).exists()]
    if missing:
        raise UserError(
            f"{PREFIX}{name}: {root} has no {list_names(missing)}: open the dataset once with "
            "torchvision itself, which unpacks it"
        )


def _list_samples(dataset: Any) -> DatasetFiles:
    """Most datasets have (path, class) pairs, or two lists, under different names."""
    pairs = getattr(dataset, "_samples", None) or getattr(dataset, "samples", None)
    if pairs is None:
        pairs = zip(dataset._image_files, dataset._labels, strict=True)
    pairs = list(pairs)
    numbers = [int(number) for _, number in pairs]
    classes = getattr(dataset, "classes", None)
    labels = numbers if classes is None else [_first_name(classes[number]) for number in numbers]
    return DatasetFiles([str(path) for path, _ in pairs], labels)


def _first_name(names: str | tuple[str, ...]) -> str:
    """ImageNet's classes have several names; models use the first."""
    return names if isinstance(names, str) else names[0]


def _list_pets(dataset: Any) -> DatasetFiles:
    return DatasetFiles(
        [str(path) for path in dataset._images],
        [dataset.classes[number] for number in dataset._labels],
        [os.path.relpath(path, dataset.root) for path in dataset._segs],
    )


def _list_caltech(dataset: Any) -> DatasetFiles:
    names = [dataset.categories[number] for number in dataset.y]
    folder = Path(dataset.root, "101_ObjectCategories")
    numbered = zip(names, dataset.index, strict=True)
    return DatasetFiles([str(folder / name / f"image_{n:04d}.jpg") for name, n in numbered], names)


VOC = "VOCSegmentation"
READERS: dict[str, Callable[[Any], DatasetFiles]] = {
    "OxfordIIITPet": _list_pets,
    VOC: _list_samples,  # not called: list_voc reads it
    "Caltech101": _list_caltech,
    "Country211": _list_samples,
    "DTD": _list_samples,
    "EuroSAT": _list_samples,
    "FGVCAircraft": _list_samples,
    "Flowers102": _list_samples,
    "Food101": _list_samples,
    "GTSRB": _list_samples,
    "ImageNet": _list_samples,
    "Imagenette": _list_samples,
    "RenderedSST2": _list_samples,
    "StanfordCars": _list_samples,
    "SUN397": _list_samples,
}
