"""Only files that the first of them identifies as ours are overwritten."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import BaseModel

from models.addresses import as_path
from models.errors import UserError
from tasks.storage.output_files import OutputFiles


class Result(BaseModel):
    passed: bool


FILES = OutputFiles("result.json", Result, ("junit.xml", "release.md"))


def test_new_files_and_our_own_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    FILES.check(as_path(tmp_path))
    (tmp_path / "result.json").write_text('{"passed": true}')
    (tmp_path / "junit.xml").touch()
    FILES.check(as_path(tmp_path))
    FILES.check(as_path(tmp_path / "nowhere"))
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"passed": "perhaps"}'])
def test_files_of_others_are_refused_and_named(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "junit.xml").touch()
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    named = "junit.xml" if content is None else "result.json"
    with pytest.raises(UserError, match=f"{named} was not written by Sightline.*move it away"):
        FILES.check(as_path(tmp_path))


@pytest.mark.parametrize("name", ["result.json", "junit.xml"])
@pytest.mark.parametrize("target", ["mine", "nowhere"])
def test_nothing_is_written_over_a_link(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "result.json").write_text('{"passed": true}')
    (tmp_path / "mine").write_text('{"passed": true}')
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(tmp_path / target)
    with pytest.raises(UserError, match=f"{name} was not written"):
        FILES.check(as_path(tmp_path))


def test_only_what_a_killed_writer_left_is_deleted(tmp_path: Path) -> None:
    left = tmp_path / f".release.md.{uuid4().hex}.tmp"
    kept = [".release.md.mine.tmp", f".thesis.tex.{uuid4().hex}.tmp", "release.md"]
    for path in (left, *(tmp_path / name for name in kept)):
        path.touch()
    FILES.remove_temporary_files(as_path(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
