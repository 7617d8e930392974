"""What a file maps each label to, in both forms, and files that map nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.errors import MappingFileError, UserError
from tasks.catalog.labels import match_labels
from tasks.catalog.mapping_file import read_mapping
from tasks.catalog.mask_values import foreground_values


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("m.csv", "cat,1\n\ndog,2,3\nowl\n", {"cat": ["1"], "dog": ["2", "3"], "owl": []}),
        ("m.csv", '\ufeffcat,"a,b"\r\n', {"cat": ["a,b"]}),
        ("m.txt", "cat,1", {"cat": ["1"]}),
        ("m.json", '{"cat": 1, "dog": ["2", "3"]}', {"cat": [1], "dog": [["2", "3"]]}),
    ],
)
def test_both_forms_map_labels(
    tmp_path: Path, name: str, text: str, expected: dict[str, list[Any]]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_mapping(str(tmp_path / name)) == expected


NONE = [
    ("m.json", b"[1, 2]"),
    ("m.json", b"{"),
    ("m.json", b"[" * 100_000),
    ("m.csv", b"cat,\xff\xfe\n"),
    ("m.csv", b"c" * 200_000 + b",1\n"),  # more than the csv module takes
]


@pytest.mark.parametrize(("name", "content"), NONE)
def test_a_file_that_maps_nothing_is_refused_by_each_caller(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MappingFileError):
        read_mapping(str(path))
    labels, masks = pa.array(["cat"]), pa.array([["a.png"]])
    with pytest.raises(UserError, match=r"^labels file .* is not a mapping \(.+\): write lines"):
        match_labels(labels, ("cat",), str(path))
    with pytest.raises(UserError, match=r"^mask values .* are not a mapping \(.+\): write"):
        foreground_values(str(path), labels, labels, masks)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_mapping(str(tmp_path))
