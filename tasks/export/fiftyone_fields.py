"""The fields of a FiftyOne dataset: from columns to the documents that it keeps in MongoDB."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.export.picture_files import local_path
from tasks.export.selection import Selection
from tasks.pictures.rows import Row
from tasks.query.columns import Column

VERSION = "1.0.0"  # of FiftyOne, whose documents these are: later ones read them, too
CORE = "fiftyone.core"
MAP, MASK = "map", "foreground_mask"  # fields of ours that are no columns
GROUND_TRUTH = "ground_truth"
LABELS = {"label": GROUND_TRUTH, "prediction": "prediction", "flag": "flag"}  # Classifications
FOREGROUND_VALUE = 255  # of a pixel in a mask
TAKEN = {  # names that a sample of FiftyOne has for itself
    *("add_labels", "clear_field", "compute_metadata", "copy", "created_at", "dataset"),
    *("dataset_id", "field_names", "filename", "filepath", "from_dict", "from_doc", "from_frame"),
    *("from_json", "get_field", "get_media_key", "has_field", "id", "in_dataset", "iter_fields"),
    *("last_modified_at", "media_reference", "media_type", "merge", "metadata", "reload", "save"),
    *("set_field", "tags", "to_dict", "to_json", "to_mongo_dict", "update_fields", "frames"),
}


def name_fields(columns: Sequence[Column]) -> dict[str, str]:
    """The field of each column: MongoDB takes no dots, and some names are FiftyOne's own."""
    fields = {it.name: LABELS.get(it.name, it.name) for it in columns if it.own}
    fields = {name: _plain(field) for name, field in fields.items()}
    taken = {*TAKEN, MAP, MASK, *fields.values()}
    for column in columns:
        if not column.own:
            fields[column.name] = _free(_plain(column.name), taken)
            taken.add(fields[column.name])
    return fields


def as_sample(row: Row, values: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The document of one image, without its files."""
    sample: dict[str, Any] = {
        "_id": _object_id("sample", row.row_id),
        "filepath": local_path(row.image) or row.image,
        "tags": [],
        "_media_type": "image",
        "_rand": int(_digest("rand", row.row_id)[:13], 16) / 16**13,
    }
    for name, value in values.items():
        if name not in LABELS:
            sample[fields[name]] = value
        elif value is not None:
            sample[fields[name]] = label(row.row_id, fields[name], "Classification", label=value)
    if "prediction" in sample:
        sample["prediction"]["confidence"] = values["confidence"]
    return sample


def label(row_id: str, field: str, kind: str, **values: Any) -> dict[str, Any]:
    """The document of a label of FiftyOne."""
    return {"_id": _object_id(field, row_id), "_cls": kind, "tags": [], **values}


def describe_dataset(selection: Selection, method: str | None) -> dict[str, Any]:
    """metadata.json: the dataset, its fields and a view of the flagged images."""
    run = selection.run
    about = {"run": str(run.folder.path), "model": run.state.model_address, "maps": method}
    dataset = _object_id("dataset", str(run.folder.path))
    columns = {column.name: column for column in selection.columns}
    return {
        "_id": dataset,
        "name": run.folder.path.name,
        "version": VERSION,
        "media_type": "image",
        "tags": [],
        "description": f"Exported by Sightline from {run.folder.path}",
        "info": about,
        "mask_targets": {MASK: {str(FOREGROUND_VALUE): "foreground"}},
        "sample_fields": [
            *_OF_EVERY_SAMPLE,
            *(
                _column_field(field, columns[name], selection.schema.field(name).type)
                for name, field in name_fields(selection.columns).items()
            ),
            _label_field(MAP, "Heatmap", f"map of {method}, over the whole picture"),
            _label_field(MASK, "Segmentation", "the foreground"),
        ],
        "saved_views": [_flagged(dataset)] if "flag" in columns else [],
    }


def _flagged(dataset: dict[str, str]) -> dict[str, Any]:
    """Images that rest on the background, the highest score first."""
    rests = {"$expr": {"$eq": ["$flag.label", "rests_on_background"]}}
    stages = (
        {"_cls": f"{CORE}.stages.Match", "kwargs": [["filter", rests]]},
        {
            "_cls": f"{CORE}.stages.SortBy",
            "kwargs": [["field_or_expr", "score"], ["reverse", True], ["create_index", True]],
        },
    )
    return {
        "_id": _object_id("view", dataset["$oid"]),
        "_dataset_id": dataset,
        "name": "rests on background",
        "slug": "rests-on-background",
        "view_stages": [json.dumps(stage) for stage in stages],
    }


def _column_field(field: str, column: Column, data_type: pa.DataType) -> dict[str, Any]:
    words = column.words if field == column.name else f"{column.words} ({column.name})"
    if column.own and column.name in LABELS:
        return _label_field(field, "Classification", words)
    if pa.types.is_list(data_type):
        return _field(field, "ListField", subfield=f"{CORE}.fields.StringField", description=words)
    return _field(field, _type_of(data_type), description=words)


def _type_of(data_type: pa.DataType) -> str:
    if pa.types.is_boolean(data_type):
        return "BooleanField"
    if pa.types.is_integer(data_type):
        return "IntField"
    return "FloatField" if pa.types.is_floating(data_type) else "StringField"


def _label_field(name: str, kind: str, words: str) -> dict[str, Any]:
    return _field(
        name,
        "EmbeddedDocumentField",
        embedded_doc_type=f"{CORE}.labels.{kind}",
        fields=[_ID, _TAGS, *_FIELDS_OF[kind]],
        description=words,
    )


def _field(name: str, kind: str, **details: Any) -> dict[str, Any]:
    return {
        "name": name,
        "db_field": name,
        "ftype": f"{CORE}.fields.{kind}",
        "embedded_doc_type": None,
        "subfield": None,
        "fields": [],
        "description": None,
        "info": None,
        "read_only": False,
        **details,
    }


_ID = _field("id", "ObjectIdField", db_field="_id")
_TAGS = _field("tags", "ListField", subfield=f"{CORE}.fields.StringField")
_FIELDS_OF = {
    "Classification": [_field("label", "StringField"), _field("confidence", "FloatField")],
    "Heatmap": [_field("map_path", "StringField")],
    "Segmentation": [_field("mask_path", "StringField")],
}
_OF_EVERY_SAMPLE = (
    _ID,
    _field("filepath", "StringField"),
    _TAGS,
    _field("_media_type", "StringField"),
    _field("_rand", "FloatField"),
    _field("_dataset_id", "ObjectIdField"),
    _field("created_at", "DateTimeField", read_only=True),
    _field("last_modified_at", "DateTimeField", read_only=True),
    _field(
        "metadata",
        "EmbeddedDocumentField",
        embedded_doc_type=f"{CORE}.metadata.ImageMetadata",
        fields=[_field("width", "IntField"), _field("height", "IntField")],
    ),
)


def _plain(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if plain[:1].isalpha() else f"column_{plain.lstrip('_')}"


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first of name_2, name_3, … that nobody has."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free


def _object_id(*parts: str) -> dict[str, str]:
    """The same for the same image: exported twice, a sample keeps its id."""
    return {"$oid": _digest(*parts)[:24]}


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
