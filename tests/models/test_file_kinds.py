"""A file that was given to the wrong option says what it looks like, and which option takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose
from models.addresses import as_path
from models.classifier.preprocessing import read_preprocessing
from models.errors import UserError
from models.file_kinds import suggest_option
from tasks.catalog.coco import read_annotations
from tasks.catalog.labels import match_labels
from tasks.catalog.mask_values import foreground_values
from tasks.gate.policy import read_policy

FILES = {
    "--classes": "cat\ndog\nowl\n",
    "--labels": "cat,0\ndog,1\n",
    "--preprocessing": '{"resize": 64, "crop": [56, 56]}',
    "--annotations": '{"images": [], "annotations": [], "categories": []}',
    "--model": '{"architecture": "torchvision:resnet18", "classes": ["cat"]}',
    "--policy": '[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n',
    "--config": '[data]\npath = "photos"\n',
    "--data": "file_name,label\na.jpg,cat\n",
}


@pytest.mark.parametrize("option", FILES)
def test_each_file_is_recognised(option: str) -> None:
    assert suggest_option(FILES[option], "--other").endswith(f", which {option} takes")
    assert suggest_option(FILES[option], option) == ""


def test_a_list_of_names_is_recognised_too() -> None:
    words = "it looks like a list of names, which --classes takes"
    assert suggest_option('["cat", "dog"]', "--labels") == words
    assert suggest_option('["cat", "dog"]', "--classes") == ""


@pytest.mark.parametrize("text", ["", "[]", "\0\0", "[1, 2]", "{", "a,b,c\nd\n", "\u202e", '"' * 3])
def test_anything_else_is_not_guessed(text: str) -> None:
    assert suggest_option(text, "--classes") == ""


def labels(path: str) -> None:
    match_labels(pa.array(["cat"]), ("cat",), path)


def mask_values(path: str) -> None:
    names = pa.array(["cat"])
    foreground_values(path, names, names, pa.array([["a.png"]]))


def preprocessing(path: str) -> None:
    read_preprocessing(path)


def coco_annotations(path: str) -> None:
    read_annotations(as_path(path))


def policy(path: str) -> None:
    read_policy(path)


def config(path: str) -> None:
    compose(AuditSettings, Path(path), {"data.path": "d", "model.address": "m", "output.run": "r"})


@pytest.mark.parametrize(
    "read", [labels, mask_values, preprocessing, coco_annotations, policy, config]
)
def test_a_file_of_classes_is_told_to_every_other_option(
    read: Callable[[str], None], tmp_path: Path
) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(FILES["--classes"])
    with pytest.raises(UserError) as caught:
        read(str(path))
    assert "it looks like one name per line, which --classes takes" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "read", [labels, mask_values, preprocessing, coco_annotations, policy, config]
)
@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[" * 100_000, b"", b"\0", b"a: [", b'"'])
def test_no_message_of_a_parser_stands_in_ours(
    read: Callable[[str], None], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(str(path))
    line = str(caught.value)
    for words in ("Expecting", "codec", "Extra data", "recursion", "index out", "while parsing"):
        assert words not in line
    assert "\n" not in line
