"""Weights and bundles that are cut, lie about themselves, need pickle or fit no network."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file

from models.classifier.small_resnet import small_resnet
from tests.hostile.commands import audit
from tests.hostile.hostile_input import EITHER, Content, HostileInput
from tests.support.fuzz_tables import Touch, numpy_pickle

GROUP = "weights"
WEIGHTS = "model/model.safetensors"
BUNDLE = "model/model.json"
CLASSES = "fish\nmushroom\nbird\nwheel\n"
OWN = audit(
    *("--model", "sightline:small_resnet", "--classes", "classes.txt"),
    *("--size", "64", "--mean", "0", "--std", "1", "--weights"),
)
State = dict[str, torch.Tensor]

hostile = partial(HostileInput, GROUP)


def inputs() -> Iterator[HostileInput]:
    yield from _safetensors()
    yield from _states()
    yield from _torch_files()
    yield from _bundles()
    yield from _preprocessing()


def with_header(header: bytes, size: int | None = None, rest: bytes = bytes(64)) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header + rest


def tensor(**values: object) -> bytes:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | values
    return with_header(json.dumps({"fc.bias": entry}).encode())


def _safetensors() -> Iterator[HostileInput]:
    contents: dict[str, bytes] = {
        "empty": b"",
        "one byte": b"x",
        "seven bytes": bytes(7),
        "zeros": bytes(1000),
        "a header of 2^63 bytes": with_header(b"{}", 1 << 63),
        "a header of 2^40 bytes": with_header(b"{}", 1 << 40),
        "a header beyond the end": with_header(b"{}", 500),
        "a header that is no JSON": with_header(b"{nope"),
        "a header that is a list": with_header(b"[]"),
        "a header that is null": with_header(b"null"),
        "a header that is not UTF-8": with_header(b'{"\xff": 1}'),
        "a deep header": with_header(b'{"a": ' + b"[" * 100_000),
        "no tensors": with_header(b"{}", rest=b""),
        "an entry of text": with_header(b'{"fc.bias": "x"}'),
        "an unknown type": tensor(dtype="X9"),
        "a negative shape": tensor(shape=[-4]),
        "a huge shape": tensor(shape=[1 << 40, 1 << 40]),
        "offsets beyond the end": tensor(data_offsets=[0, 1 << 50]),
        "offsets backwards": tensor(data_offsets=[16, 0]),
        "offsets of text": tensor(data_offsets=["a", "b"]),
        "fewer bytes than the shape": tensor(shape=[400]),
        "only a bias": save({"fc.bias": torch.zeros(4)}),
        "a name with an escape": save({"\x1b[31mfc": torch.zeros(4)}),
        "a name of 5,000 letters": save({"f" * 5000: torch.zeros(4)}),
        "5,000 names": save({f"layer{n}.weight": torch.zeros(1) for n in range(5000)}),
        "a pickle": pickle.dumps(Touch(Path("ran"))),
        "an archive": zip_of({"a": b"b"}),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "a page": b"<!DOCTYPE html><title>404</title>" * 20,
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9",
    }
    for name, content in contents.items():
        yield hostile(f"safetensors, {name}", audit(), {WEIGHTS: content})
        files: dict[str, Content] = {"classes.txt": CLASSES, "w.safetensors": content}
        yield hostile(f"--weights, {name}", (*OWN, "w.safetensors"), files)
    for part in range(1, 8):
        yield hostile(f"safetensors, {part} eighths", audit(), {WEIGHTS: cut(part)})
    others: dict[str, Content] = {"a folder": remade_as_folder, "missing": Path.unlink}
    for name, make in others.items():
        yield hostile(f"safetensors, {name}", audit(), {WEIGHTS: make})


def cut(part: int) -> Callable[[Path], object]:
    def make(path: Path) -> object:
        content = path.read_bytes()
        return path.write_bytes(content[: len(content) * part // 8])

    return make


def remade_as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _states() -> Iterator[HostileInput]:
    """The right names with other numbers, shapes and types."""
    changes: dict[str, Callable[[State], State]] = {
        "one is missing": lambda state: {k: v for k, v in state.items() if k != "fc.weight"},
        "one is more": lambda state: state | {"extra.weight": torch.zeros(3)},
        "one has another shape": lambda state: state | {"fc.bias": torch.zeros(5)},
        "fewer classes": lambda state: heads(state, 3),
        "more classes": lambda state: heads(state, 9),
        "no classes": lambda state: heads(state, 0),
        "NaN": lambda state: state | {"fc.bias": torch.full((4,), torch.nan)},
        "infinity": lambda state: state | {"fc.bias": torch.full((4,), torch.inf)},
        "complex numbers": lambda state: state | {"fc.bias": torch.zeros(4, dtype=torch.complex64)},
        "every one NaN": lambda state: {
            k: v * torch.nan if v.is_floating_point() else v for k, v in state.items()
        },
    }
    for name, change in changes.items():
        yield hostile(f"state, {name}", audit(), {WEIGHTS: changed(change)})
    harmless: dict[str, Callable[[State], State]] = {
        "zeros": lambda state: {k: torch.zeros_like(v) for k, v in state.items()},
        "huge": lambda state: state | {"fc.bias": torch.full((4,), 3e38)},
        "denormal": lambda state: state | {"fc.bias": torch.full((4,), 1e-42)},
        "half": lambda state: {
            k: v.half() if v.is_floating_point() else v for k, v in state.items()
        },
        "double": lambda state: {
            k: v.double() if v.is_floating_point() else v for k, v in state.items()
        },
        "whole numbers": lambda state: state | {"fc.bias": torch.zeros(4, dtype=torch.int64)},
    }
    for name, change in harmless.items():
        yield hostile(f"state, {name}", audit(), {WEIGHTS: changed(change)}, EITHER)


def heads(state: State, count: int) -> State:
    return state | {"fc.weight": torch.zeros(count, 128), "fc.bias": torch.zeros(count)}


def changed(change: Callable[[State], State]) -> Callable[[Path], object]:
    return lambda path: save_file(change(load_file(path)), path)


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _torch_files() -> Iterator[HostileInput]:
    network = small_resnet(4)
    state = network.state_dict()
    deep: Any = {}
    for _ in range(200):
        deep = {"state_dict": deep}
    circle: dict[str, Any] = {}
    circle["state_dict"] = circle
    contents: dict[str, bytes] = {
        "a whole network": saved(network),
        "what runs code": pickle.dumps(Touch(Path("ran"))),
        "what runs code, in torch's archive": saved(Touch(Path("ran"))),
        "what runs code beside the state": saved({"state_dict": state, "x": Touch(Path("ran"))}),
        "an array of objects": numpy_pickle(Path("ran")),
        "an empty state": saved({}),
        "a number": saved(7),
        "nothing": saved(None),
        "a list": saved([1, 2]),
        "one tensor": saved(torch.zeros(3)),
        "a state of numbers": saved(dict.fromkeys(state, 7)),
        "names that are numbers": saved({1: torch.zeros(3)}),
        "another network's": saved({"conv.weight": torch.zeros(3)}),
        "an optimiser's": saved({"state": {}, "param_groups": []}),
        "a deep one": saved(deep),
        "one that holds itself": saved(circle),
        "a sparse tensor": saved(state | {"fc.bias": torch.zeros(4).to_sparse()}),
        "a tensor without numbers": saved(state | {"fc.bias": torch.zeros(4, device="meta")}),
        "a tensor of text": saved(state | {"fc.bias": "text"}),
        "an empty file": b"",
        "an empty archive": zip_of({}),
        "an archive of text": zip_of({"a.txt": b"hello"}),
        "an archive that climbs": zip_of({"../../a/data.pkl": b"x", "a/data.pkl": b"."}),
        "an archive that is a bomb": zip_of({"a/data.pkl": bytes(1 << 26)}),
        "cut": saved(state)[:5000],
        "a script": b"#!/bin/sh\ntouch ran\n",
        "an opcode that never ends": b"\x80\x02" + b"]" * 100_000,
        "a pickle of 2^40 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40),
    }
    for name, content in contents.items():
        for suffix in ("pt", "bin"):
            files: dict[str, Content] = {"classes.txt": CLASSES, f"w.{suffix}": content}
            yield hostile(f"{suffix}, {name}", (*OWN, f"w.{suffix}"), files)
    for name, content in {
        "its own state": saved(state),
        "a prefix": saved(prefixed(state)),
    }.items():
        files = {"classes.txt": CLASSES, "w.pt": content}
        yield hostile(f"pt, {name}", (*OWN, "w.pt"), files, EITHER)


def prefixed(state: State) -> dict[str, Any]:
    return {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}


GOOD = {
    "architecture": "sightline:small_resnet",
    "classes": CLASSES.split(),
    "preprocessing": {"crop": [64, 64], "mean": [0, 0, 0], "std": [1, 1, 1]},
}
VALUES: dict[str, tuple[object, ...]] = {
    "schema_version": (0, 2, "1x", None, 1e30),
    "architecture": ("", 7, None, [], "nope:x", "torchvision:", "file.py:build", "/x/y.py:b"),
    "weights": ("", 7, "../model.safetensors", "/etc/passwd", "a\0b", "nowhere.safetensors", ".."),
    "classes": ("abc", [], [1, 2, 3, 4], [[]], None, ["a"], ["a"] * 4, ["\x1b[31m"] * 4, {}),
    "preprocessing": (None, [], 7, "x", {"nope": 1}, {"crop": []}, {"crop": [0, 0]}),
    "layer": (7, [], "nope", "__class__"),
    "nope": (1,),
}


def _bundles() -> Iterator[HostileInput]:
    texts: dict[str, Content] = {
        "empty": "",
        "null": "null",
        "a list": "[]",
        "a number": "7",
        "open": '{"architecture": ',
        "deep": "[" * 100_000,
        "zeros": bytes(100),
        "not UTF-8": b'{"architecture": "\xff"}',
        "utf-16": json.dumps(GOOD).encode("utf-16"),
        "NaN": "NaN",
        "a huge number": '{"schema_version": 1' + "0" * 5000 + "}",
        "a pickle": pickle.dumps(Touch(Path("ran"))),
        "empty object": "{}",
    }
    for name, text in texts.items():
        yield hostile(f"bundle, {name}", audit(), {BUNDLE: text})
    for key, values in VALUES.items():
        for value in values:
            text = json.dumps(GOOD | {key: value})
            yield hostile(f"bundle, {key} = {json.dumps(value)}", audit(), {BUNDLE: text})
        if key in GOOD:
            rest = {name: value for name, value in GOOD.items() if name != key}
            yield hostile(f"bundle without {key}", audit(), {BUNDLE: json.dumps(rest)})
    code: dict[str, Content] = {
        "theirs/model.json": json.dumps(GOOD | {"architecture": "build.py:build"}),
        "theirs/build.py": "open('ran', 'w')\ndef build():\n    raise OSError\n",
    }
    yield hostile("bundle that names code", audit("--model", "theirs"), code)


PREPARED: dict[str, object] = {"crop": [64, 64], "mean": [0, 0, 0], "std": [1, 1, 1]}
PREPARATIONS: dict[str, tuple[object, ...]] = {
    "crop": (7, [0, 0], [-1, 64], [64], [1 << 40] * 2, ["a"]),
    "resize": (0, -1, "x", [1, 2, 3], 1 << 40, []),
    "mean": (None, 7, [], [0, 0], ["a"] * 3, [1e300] * 3, {}, [float("nan"), 0, 0]),
    "std": (None, [0, 0, 0], [-1, 1, 1], [1], ["x"] * 3, [float("inf"), 1, 1]),
    "interpolation": ("nope", 7, None, []),
    "nope": (1,),
}
PREPROCESSING: tuple[str, ...] = (
    *("", "null", "[]", "7", "{", "[" * 100_000, '{"nope": 1}', '{"crop": [64, 64]}'),
    '{"crop": 1' + "0" * 5000 + "}",
)


def _preprocessing() -> Iterator[HostileInput]:
    changed_values = [
        json.dumps(PREPARED | {key: value}) for key in PREPARATIONS for value in PREPARATIONS[key]
    ]
    for number, text in enumerate((*PREPROCESSING, *changed_values)):
        name = f"preprocessing {number}, {text[:90]}"
        yield hostile(name, audit("--preprocessing", "p.json"), {"p.json": text})
