"""An address is a place that is there for everybody, or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.addresses import as_path, is_local, read_text
from models.errors import AddressError


@pytest.mark.parametrize("prefix", ["", "file://", "local://"])
def test_local_places_are_absolute(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text("words", encoding="utf-8")
    assert str(as_path(f"{prefix}note.txt")) == str(tmp_path / "note.txt")
    assert is_local(as_path(f"{prefix}{tmp_path}/note.txt"))
    assert read_text(f"{prefix}{tmp_path}/note.txt") == "words"


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("://x", "://x is no address: it needs a protocol, such as s3://"),
        ("nofs://x", "nofs://x is no address that fsspec knows ("),
    ],
)
def test_what_is_no_address_is_one_line(address: str, line: str) -> None:
    for reach in (as_path, read_text):
        with pytest.raises(AddressError) as caught:
            reach(address)
        assert str(caught.value).startswith(line)
