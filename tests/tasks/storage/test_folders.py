"""Folders that cannot be made are refused in one line, and checking leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import UserError
from tasks.storage.folders import check_folder, make_folder


def a_file(path: Path) -> Path:
    path.touch()
    return path


def under_a_file(path: Path) -> Path:
    path.touch()
    return path / "run"


def a_link_to_nothing(path: Path) -> Path:
    path.symlink_to(path.with_name("nowhere"))
    return path


def a_link_to_itself(path: Path) -> Path:
    path.symlink_to(path)
    return path


def a_link_to_a_file(path: Path) -> Path:
    path.with_name("file").touch()
    path.symlink_to(path.with_name("file"))
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_file, "it is a file or a device"),
        (lambda _: Path("/dev/null"), "it is a file or a device"),
        (a_link_to_nothing, "it is a link to nothing"),
        (a_link_to_itself, "it is a link"),
        (a_link_to_a_file, "it is a "),
        (under_a_file, "a part of its path is a file"),
        (lambda path: path / ("x" * 300), "its name is too long"),
        (lambda path: path / "zero\0byte", "it has a zero byte"),
        (lambda _: Path("/proc/run"), "nothing can be made there"),
        (lambda _: Path("/sys/run"), "you may not write there"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_folder_is_refused(tmp_path: Path, make: object, reason: str) -> None:
    assert callable(make)
    address = make(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"^--out .*{reason}.*: give another --out$") as caught:
        check_folder(str(address), "--out")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_checking_makes_nothing(tmp_path: Path) -> None:
    check_folder(str(tmp_path / "runs/nightly/one"), "--out")
    assert list(tmp_path.iterdir()) == []
    check_folder("s3://bucket/run", "--out")  # storage says it when it is written


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a/b", "--out")
    (folder / "mine").touch()
    make_folder(folder, "--out")
    assert (folder / "mine").exists()
