"""Addresses that would open another file, send a request or run code, everywhere one can stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import audit, audit_of_data, audit_of_table, release, retrain
from tests.hostile.hostile_input import EITHER, HostileInput

GROUP = "addresses"
SERVER = "http://127.0.0.1:9"  # where nobody listens: the interpreter tells of a request
REFERENCES = json.dumps({"version": 1, "refs": {"a.png": "base64:AAAA"}})
ADDRESSES = (
    f"reference://a.png::{SERVER}/evil.json",
    "reference://a.png::planted.json",
    f"simplecache::{SERVER}/evil.json",
    "filecache::file://planted.json",
    f"{SERVER}/evil.json",
    "https://127.0.0.1:9/evil.json",
    "github://owner:name@main/evil.json",
    "ftp://127.0.0.1:9/evil.json",
    "sftp://nobody@127.0.0.1/evil.json",
    "zip://evil.json::s3://bucket/a.zip",
    "data:text/plain;base64,AAAA://x",
    "javascript://alert(1)",
    "hTTp://127.0.0.1:9/evil.json",
    "s3://bucket/a::reference://b",
)
OPTIONS = (
    *("--data", "--images", "--masks", "--annotations", "--labels", "--mask-values", "--model"),
    *("--weights", "--classes", "--out", "--reuse", "--donors", "--foreground-weights"),
    *("--series", "--config", "--preprocessing"),
)
COMMANDS = (
    *(("show",), ("runs",), ("publish",), ("policy", "check"), ("remove", "--yes"), ("init",)),
    ("compare", "model"),
    ("compare", "--out", "out", "model"),
    ("bundle", "--model", "model", "--out"),
    ("bundle", "--out", "out", "--model"),
    ("log", "--name", "net", "--model"),
    release("--policy"),
    release("--run"),
    release("--champion-run"),
    retrain("--train"),
)

hostile = partial(HostileInput, GROUP)
with_planted = {"planted.json": REFERENCES}


def inputs() -> Iterator[HostileInput]:
    for address in ADDRESSES:
        yield from _options(address)
        yield from _commands(address)
        yield from _tables(address)
        yield from _bundles(address)


def _options(address: str) -> Iterator[HostileInput]:
    for option in OPTIONS:
        words = audit(option, address)
        if option == "--series":
            words = (*audit_of_data("data")[:-2], option, address)
        yield hostile(f"{option} {address}", words, with_planted)


def _commands(address: str) -> Iterator[HostileInput]:
    for command in COMMANDS:
        name = " ".join((command[0], *command[-2:]))
        yield hostile(f"{name} {address}", (*command, address), with_planted)


def _tables(address: str) -> Iterator[HostileInput]:
    quoted = address.replace('"', '""')
    row = {"file_name": "images/test/00000.png", "label": "fish"}
    for column in ("file_name", "mask"):
        cells = json.dumps(row | {column: address})
        yield hostile(
            f"{column} of JSONL {address}",
            audit_of_table("list.jsonl"),
            with_planted | {"list.jsonl": cells},
        )
    yield hostile(
        f"file_name of CSV {address}",
        audit_of_table("list.csv"),
        with_planted | {"list.csv": f'file_name,label\n"{quoted}",fish\n'},
    )
    image = {"id": 1, "file_name": address, "width": 64, "height": 64}
    content = {"images": [image], "annotations": [], "categories": []}
    yield hostile(
        f"file_name of COCO {address}",
        audit_of_table("coco.json"),
        with_planted | {"coco.json": json.dumps(content)},
    )
    yield hostile(  # further columns are data: never opened
        f"a further column {address}",
        audit_of_table("list.jsonl"),
        with_planted | {"list.jsonl": json.dumps(row | {"source": address})},
        EITHER,
    )


def _bundles(address: str) -> Iterator[HostileInput]:
    bundle = {
        "architecture": "sightline:small_resnet",
        "classes": ["fish", "mushroom", "bird", "car"],
        "preprocessing": {"crop": [64, 64], "mean": [0, 0, 0], "std": [1, 1, 1]},
    }
    for key in ("weights", "architecture"):
        yield hostile(
            f"{key} of a bundle {address}",
            audit("--model", "theirs"),
            with_planted | {"theirs/model.json": json.dumps(bundle | {key: address})},
        )
    section = "\n[output]\nrun = 'out'\n"
    for key in ("data.path", "model.address", "interventions.donors", "data.labels"):
        outer, _, inner = key.partition(".")
        needed = {"data": 'path = "data"', "model": 'address = "model"'}
        needed[outer] = f"{needed.get(outer, '')}\n{inner} = {json.dumps(address)}"
        if inner in ("path", "address"):
            needed[outer] = f"{inner} = {json.dumps(address)}"
        text = "".join(f"[{name}]\n{lines}\n" for name, lines in needed.items()) + section
        yield hostile(
            f"{key} of a configuration {address}",
            ("audit", "--config", "audit.toml"),
            with_planted | {"audit.toml": text},
        )
