"""COCO's instance annotations: polygons, run lengths and boxes of categories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from upath import UPath

from models.errors import (
    NothingToAudit,
    UserError,
    describe_os_error,
    find_position,
    list_names,
    printable,
)
from models.file_kinds import suggest_option
from tasks.catalog.boxes import box_region
from tasks.catalog.instances import Instance, instances_of
from tasks.catalog.listing import Listing, unlabelled_listing
from tasks.catalog.pairing import pair_names
from tasks.storage.files import read_bytes

SUFFIX = ".json"
KEYS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Annotations:
    """The images of an annotation file, in its order, and the instances of each."""

    file_name: pa.Array  # string
    instances: pa.Array


def list_annotated(path: UPath, root: UPath) -> Listing:
    """The images of an annotation file, labelled where all instances are of one category."""
    annotations = read_annotations(path)
    if len(annotations.file_name) == 0:
        raise NothingToAudit(f"annotations {path} hold no images")
    listing = unlabelled_listing(root, annotations.file_name)
    labels = pa.array(_image_labels(annotations.instances), pa.string())
    return replace(listing, label=labels, instances=annotations.instances)


def annotate(listing: Listing, path: UPath) -> Listing:
    """The same images with the instances of an annotation file, matched by name."""
    annotations = read_annotations(path)
    images, names = listing.image.to_pylist(), annotations.file_name.to_pylist()
    indices = pair_names(images, names, "give names relative to one folder")
    if all(index is None for index in indices):
        raise UserError(
            f"annotations {path} name none of the images: images are {list_names(images, 2)}, "
            f"annotated are {list_names(names, 2)}"
        )
    return replace(listing, instances=annotations.instances.take(pa.array(indices, pa.int64())))


def read_annotations(path: UPath) -> Annotations:
    """Read a file of COCO's instances; refuses anything else."""
    content = _read(path)
    try:
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        by_image: dict[Any, list[Any]] = {each["id"]: [] for each in content["images"]}
        if len(by_image) < len(content["images"]):
            raise UserError(
                f"annotations {path} give several images one id, so nobody knows whose an "
                "annotation is: give each image its own id"
            )
        for each in content["annotations"]:
            by_image[each["image_id"]].append((names[each["category_id"]], each))
        return Annotations(
            pa.array([_file_name(each) for each in content["images"]], pa.string()),
            instances_of(
                [
                    Instance(name, region)
                    for name, each in by_image[image["id"]]
                    for region in _regions(each)
                ]
                for image in content["images"]
            ),
        )
    except UserError:
        raise
    except KeyError as error:
        raise UserError(
            f"annotations {path} are not COCO's: {printable(str(error.args[0]), 80)!r} is missing "
            "or refers to nothing in their images, annotations or categories; export its "
            "instances again"
        ) from error
    except (TypeError, AttributeError, IndexError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"annotations {path} are not COCO's: values of their images, annotations or "
            "categories have other forms; export its instances again"
        ) from error


def _read(path: UPath) -> dict[str, Any]:
    try:
        text = read_bytes(str(path))
    except OSError as error:
        raise UserError(f"annotations cannot be read: {describe_os_error(error)}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        words = (
            suggest_option(text.decode("utf-8", errors="replace"), "--annotations")
            or "give COCO's instances"
        )
        raise UserError(
            f"annotations {path} are not JSON{find_position(error)}: {words}"
        ) from error
    if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in KEYS):
        return content
    found = f"an object with {list_names(content)}" if isinstance(content, dict) else "no object"
    raise UserError(
        f"annotations {path} are not COCO's: found {found}, "
        f"but lists of {', '.join(KEYS)} are needed"
    )


def _file_name(image: dict[str, Any]) -> str:
    name = image["file_name"]
    if not isinstance(name, str):
        raise UserError(f"annotations have the file_name {name!r}: a text is needed")
    return name


def _regions(annotation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The outline of an annotation, of a crowd too; its box where it has no outline."""
    outline = annotation.get("segmentation")
    if isinstance(outline, dict):
        yield {"counts": outline["counts"], "size": outline["size"]}
        return
    if outline and not isinstance(outline[0], list):
        outline = [outline]
    polygons = [polygon for polygon in outline or () if len(polygon) >= 6]
    if polygons:
        yield {"polygons": polygons}
    elif annotation.get("bbox"):
        yield box_region(annotation["bbox"], "xywh")


def _image_labels(instances: pa.Array) -> Iterator[str | None]:
    for row in instances:
        names = {each["category"] for each in row.as_py() or ()}
        yield names.pop() if len(names) == 1 else None
