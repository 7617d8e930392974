"""Tables and annotations in every form that they should not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.hostile.commands import audit, audit_of_data, audit_of_table
from tests.hostile.hostile_input import ACCEPTED, EITHER, Content, HostileInput
from tests.support.fuzz_tables import tables

GROUP = "tables"
ANY = frozenset({ACCEPTED, 2, 4})
PICTURE = "images/test/00000.png"
OTHER = "images/test/00001.png"

hostile = partial(HostileInput, GROUP)

CSV: dict[str, str] = {
    "label is a list": f'file_name,label\n{PICTURE},"[1, 2]"\n',
    "label is nan": f"file_name,label\n{PICTURE},nan\n",
    "label has another case": f"file_name,label\n{PICTURE},FISH\n",
    "label with a space": f"file_name,label\n{PICTURE}, fish\n",
    "label with a line end": f'file_name,label\n{PICTURE},"fi\nsh"\n',
    "label with an escape": f"file_name,label\n{PICTURE},\x1b[2Jfish\n",
    "label that is long": f"file_name,label\n{PICTURE},{'f' * 200_000}\n",
    "label that is a number": f"file_name,label\n{PICTURE},3\n",
    "many unknown labels": "file_name,label\n" + "".join(f"{PICTURE},l{n}\n" for n in range(5000)),
    "mask nowhere": f"file_name,label,mask\n{PICTURE},fish,nowhere.png\n",
    "mask is a folder": f"file_name,label,mask\n{PICTURE},fish,images\n",
    "mask is the table": f"file_name,label,mask\n{PICTURE},fish,metadata.csv\n",
    "box of words": f"file_name,label,bbox\n{PICTURE},fish,box\n",
    "box of nan": f'file_name,label,bbox\n{PICTURE},fish,"[nan, 1, 2, 3]"\n',
    "box of three": f'file_name,label,bbox\n{PICTURE},fish,"[1, 2, 3]"\n',
    "box that is deep": f"file_name,label,bbox\n{PICTURE},fish,{'[' * 50_000}\n",
    "box outside": f'file_name,label,bbox\n{PICTURE},fish,"[900, 900, 5, 5]"\n',
    "keys that repeat": f"file_name,label,row_id\n{PICTURE},fish,a\n{OTHER},fish,a\n",
    "keys that are empty": f"file_name,label,row_id\n{PICTURE},fish,\n{OTHER},fish,\n",
    "split nowhere": f"file_name,label,split\n{PICTURE},fish,train\n",
    "the picture is a folder": "file_name,label\nimages,fish\n",
    "the picture is the table": "file_name,label\nmetadata.csv,fish\n",
    "the picture is nowhere": "file_name,label\nnowhere.png,fish\n",
    "the picture has no name": "file_name,label\n\n",
    "the picture is a long name": f"file_name,label\n{'a/' * 3000}b.png,fish\n",
    "the picture has a long part": f"file_name,label\n{'a' * 300}.png,fish\n",
    "a tilde": "file_name,label\n~/.ssh/id_rsa,fish\n",
    "a variable": "file_name,label\n$HOME/a.png,fish\n",
    "Windows' path": "file_name,label\nC:\\a.png,fish\n",
    "a share": "file_name,label\n\\\\host\\share\\a.png,fish\n",
    "a secret in it": "file_name,label\nhttps://host/a.png?sig=password-7,fish\n",
    "a secret as label": f"file_name,label\n{PICTURE},https://u:password-7@h/\n",
    "no such column": f"picture_address,label\n{PICTURE},fish\n",
    "columns of one letter": "a,b\n1,2\n",
    "spaces in the header": f" file_name , label \n{PICTURE},fish\n",
    "an empty header": f",\n{PICTURE},fish\n",
    "quotes in quotes": f'file_name,label\n"{PICTURE}"x,fish\n',
    "tabs": f"file_name\tlabel\n{PICTURE}\tfish\n",
}
CSV_CODES = {  # others than 2
    "box outside": EITHER,  # the row fails when it is read
    "label that is a number": EITHER,  # an index of the classes
    "spaces in the header": frozenset({ACCEPTED}),
    "the picture has no name": frozenset({4}),
}
CSV_OPTIONS = {  # by the name's first word
    "box": ("--box-columns", "bbox"),
    "split": ("--split", "test"),
    "no": ("--image-column", "file_name"),
}
COCO: dict[str, object] = {
    "null": None,
    "a list": [],
    "empty": {},
    "no images": {"images": [], "annotations": [], "categories": []},
    "images is a number": {"images": 7, "annotations": [], "categories": []},
    "images of numbers": {"images": [1, 2], "annotations": [], "categories": []},
    "images without a name": {"images": [{"id": 1}], "annotations": [], "categories": []},
    "images without an id": {"images": [{"file_name": "a"}], "annotations": [], "categories": []},
    "ids that repeat": {
        "images": [{"id": 1, "file_name": PICTURE}, {"id": 1, "file_name": OTHER}],
        "annotations": [],
        "categories": [],
    },
    "ids of lists": {
        "images": [{"id": [1], "file_name": PICTURE}],
        "annotations": [],
        "categories": [],
    },
    "annotations is null": {
        "images": [{"id": 1, "file_name": PICTURE}],
        "annotations": None,
        "categories": [],
    },
}
ANNOTATIONS: dict[str, object] = {
    "of a number": 7,
    "of no image": {"id": 1, "image_id": 99, "category_id": 1, "bbox": [1, 1, 5, 5]},
    "of no category": {"id": 1, "image_id": 1, "category_id": 99, "bbox": [1, 1, 5, 5]},
    "without an image": {"id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]},
    "category is a list": {"id": 1, "image_id": 1, "category_id": [1], "bbox": [1, 1, 5, 5]},
    "box of words": {"id": 1, "image_id": 1, "category_id": 1, "bbox": "box"},
    "box of infinities": {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1e999, 1, 5, 5]},
    "box of two": {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1]},
    "segmentation of a number": {"id": 1, "image_id": 1, "category_id": 1, "segmentation": 7},
    "segmentation of one point": {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[1, 1]],
    },
    "run lengths that are too long": {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"counts": [1 << 40], "size": [1 << 20, 1 << 20]},
    },
}
JSON_TEXTS: dict[str, Content] = {
    "open": '{"images": [',
    "deep": "[" * 100_000,
    "empty": "",
    "zeros": bytes(100),
    "not utf-8": b'{"images": "\xff"}',
    "pickle": b"\x80\x04cos\nsystem\n",
    "numbers that are huge": '{"images": [{"id": 1' + "0" * 5000 + ', "file_name": "a"}]}',
}


def inputs() -> Iterator[HostileInput]:
    for name, content in tables(Path("ran")):  # relative: the folder's, never made
        codes = ANY if name not in SURELY_REFUSED else frozenset({2})
        yield hostile(name, audit_of_table(name), {name: content}, codes)
    for name, text in CSV.items():
        codes = CSV_CODES.get(name, frozenset({2}))
        words = audit_of_table("t.csv", *CSV_OPTIONS.get(name.partition(" ")[0], ()))
        yield hostile(name, words, {"t.csv": text}, codes, never=("password-7",))
    yield from _annotations()


SURELY_REFUSED = (
    *("zero bytes.csv", "only zeros.csv", "utf-16.csv", "latin.csv", "many columns.csv"),
    *("twice.csv", "pickle.csv", "array.jsonl", "half.jsonl", "deadly deep.jsonl"),
    *("pickle.jsonl", "magic.parquet", "pickle.parquet", "zip.parquet", "script.parquet"),
)


def _annotations() -> Iterator[HostileInput]:
    for name, content in COCO.items():
        files: dict[str, Content] = {"coco.json": json.dumps(content)}
        codes = frozenset({2, 4})
        yield hostile(f"COCO, {name}", audit_of_table("coco.json"), files, codes)
        yield hostile(f"--annotations, {name}", audit("--annotations", "coco.json"), files, EITHER)
    for name, content in ANNOTATIONS.items():
        whole = {
            "images": [{"id": 1, "file_name": PICTURE, "width": 64, "height": 64}],
            "annotations": [content],
            "categories": [{"id": 1, "name": "fish"}],
        }
        files = {"coco.json": json.dumps(whole)}
        yield hostile(f"COCO, {name}", audit_of_table("coco.json"), files, EITHER)
    for name, text in JSON_TEXTS.items():
        yield hostile(f"JSON, {name}", audit_of_data("c.json"), {"c.json": text})
        yield hostile(
            f"--annotations, {name} text", audit("--annotations", "c.json"), {"c.json": text}
        )
