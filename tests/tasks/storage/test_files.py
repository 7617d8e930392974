"""Folders are walked once: links to other folders are followed, links to parents are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from models.addresses import as_path
from models.errors import AddressError
from tasks.storage.files import walk
from tests.support.other_user import not_root


def listed(root: Path) -> list[str]:
    return list(walk(as_path(root), frozenset({".png"})))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("cats/a.png", "dogs/small/b.png", "c.png", "notes.txt", ".hidden/d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


HERE = ["c.png", "cats/a.png", "dogs/small/b.png"]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("again", "."),
        ("dogs/all", ".."),
        ("dogs/small/up", ".."),
        ("dogs/small/self", "."),
        ("dogs/above", "../.."),
        ("dogs/filesystem", "/"),
    ],
)
def test_a_link_to_a_parent_is_left_out(root: Path, link: str, target: str) -> None:
    (root / link).symlink_to(target, target_is_directory=True)
    assert listed(root) == HERE


def test_links_that_lead_to_each_other_are_followed_once(root: Path) -> None:
    (root / "cats" / "dogs").symlink_to("../dogs")
    (root / "dogs" / "cats").symlink_to("../cats")
    assert listed(root) == [
        "c.png",
        "cats/a.png",
        "cats/dogs/small/b.png",
        "dogs/cats/a.png",
        "dogs/small/b.png",
    ]


def test_a_link_to_pictures_elsewhere_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "e.png").touch()
    (root / "birds").symlink_to(tmp_path / "store")
    assert listed(root) == ["c.png", "birds/e.png", *HERE[1:]]
    (tmp_path / "way").symlink_to(root)  # a link in the root's own path changes nothing
    assert listed(tmp_path / "way") == ["c.png", "birds/e.png", *HERE[1:]]


def test_broken_links_are_not_pictures(root: Path) -> None:
    (root / "gone").symlink_to("nowhere")
    (root / "round").symlink_to("round")
    assert listed(root) == HERE


@pytest.fixture
def shared_root() -> Iterator[Path]:
    """Pictures in a folder that every user can reach."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ("cats/a.png", "dogs/small/b.png"):
            (root / name).parent.mkdir(parents=True)
            (root / name).touch()
        yield root


@pytest.mark.parametrize("name", ["dogs", "dogs/small"])
def test_a_folder_that_may_not_be_read_is_named(shared_root: Path, name: str) -> None:
    (shared_root / name).chmod(0)
    with not_root(), pytest.raises(AddressError, match=f"folder .*/{name} cannot be read "):
        listed(shared_root)


def test_a_hidden_folder_that_may_not_be_read_is_left_out(shared_root: Path) -> None:
    (shared_root / ".trash").mkdir(mode=0)
    with not_root():
        assert listed(shared_root) == ["cats/a.png", "dogs/small/b.png"]
