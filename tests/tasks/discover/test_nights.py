"""Patterns from night to night, and of two networks: audits of other and of the same images."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import UserError
from tasks.compare.pattern_changes import compare_patterns
from tasks.compare.two_models import compare_models
from tasks.discover.discover import add_patterns
from tasks.discover.given_names import name_pattern
from tasks.execution.settings import ComputeSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import PatternChange, PatternSummary
from tasks.storage.parquet import read_table
from tests.support.command_line import invoke
from tests.support.tagged_audits import audit
from tests.support.tagged_pictures import write_tagged_pictures

IMAGES = 300


def discover(run: RunFolder, folder: Path) -> PatternSummary:
    add_patterns(run, ComputeSettings(workers=0), str(folder / "dask"), lambda *_: None)
    return patterns_of(run)


def patterns_of(run: RunFolder) -> PatternSummary:
    found = open_run(run.path).summary().patterns
    assert found is not None
    return found


def members_of(run: RunFolder, pattern: str) -> set[str]:
    rows = read_table(run.pattern_members).to_pylist()
    return {row["row_id"] for row in rows if row["pattern"] == pattern}


def moved_patterns(run: RunFolder) -> tuple[PatternChange, ...]:
    """Since the run that rows were reused from."""
    moved = open_run(run.path).summary().moved
    assert moved is not None
    assert moved.patterns is not None
    return moved.patterns


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """The table of the first night, and its run, whose tag has the user's name."""
    folder = tmp_path_factory.mktemp("nights")
    table, _ = write_tagged_pictures(folder / "first", IMAGES)
    run = audit(folder / "run", table, "rests_on_tags")
    assert [it.id for it in discover(run, folder).confirmed] == ["P1"]
    done = invoke("name", str(run.path), "P1", " the white tag ")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"P1 of {run.path} is called the white tag\n"
    return table, run


def test_other_images_of_a_known_pattern_have_its_id_and_its_name(
    first: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    table, tagged = write_tagged_pictures(tmp_path / "second", 240, seed=1)
    table.with_name("images").rename(table.with_name("night"))
    table.write_text(table.read_text().replace("images/", "night/"))  # other row ids, too
    run = audit(tmp_path / "run", table, "rests_on_tags", reuse=first[1].path)
    found = discover(run, tmp_path)
    (pattern,) = found.confirmed
    assert (pattern.id, pattern.name, pattern.named) == ("P1", "the white tag", True)
    names = {row_id.rpartition("/")[2] for row_id in members_of(run, "P1")}
    assert len(names & tagged) / len(names | tagged) > 0.9
    assert found.known_from == open_run(first[1].path).state.id
    (change,) = moved_patterns(run)
    assert (change.kind, change.name) == ("unchanged", "the white tag")
    assert change.now is not None
    assert change.now.share.value == pattern.images / 240
    assert change.sentence.startswith("no change that these numbers can show")
    ids = [it.id for it in found.candidates]
    assert len(set(ids)) == len(ids)
    dark = [
        next(it for it in night.candidates if it.space == "low brightness")
        for night in (patterns_of(first[1]), found)
    ]
    assert dark[0].id == dark[1].id
    assert found.numbered >= max(int(it[1:]) for it in ids)


def test_a_given_name_is_in_the_table(first: tuple[Path, RunFolder]) -> None:
    run = first[1]
    (row,) = (it for it in read_table(run.patterns).to_pylist() if it["pattern"] == "P1")
    assert row["name"] == "the white tag"


def test_a_second_time_everything_keeps_its_id_and_its_name(
    first: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    run = first[1]
    before = open_run(run.path).summary().patterns
    assert discover(run, tmp_path) == before


def test_another_network_is_tested_on_the_same_images(
    first: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    """Its features say nothing of the tags; the rows do."""
    table, before = first
    run = audit(tmp_path / "run", table, "rests_on_objects", donors=before.path)
    found = discover(run, tmp_path)
    assert found.confirmed == ()
    (tag,) = (it for it in found.candidates if it.id == "P1")
    assert (tag.name, tag.verdict, tag.pulls_to) == ("the white tag", "not confirmed", "red")
    assert tag.effect is not None
    assert tag.effect.high < 0.05
    shared = members_of(run, "P1") & members_of(before, "P1")
    assert len(shared) > 0.5 * min(tag.images, len(members_of(before, "P1")))
    then, now = open_run(before.path), open_run(run.path)
    (gone,) = compare_models(then, now).patterns or ()
    assert (gone.kind, gone.name) == ("gone", "the white tag")
    assert gone.sentence.startswith("gone: not confirmed now, ")
    (new,) = compare_models(now, then).patterns or ()
    assert new.sentence.startswith("new: not confirmed before, ")
    # Two audits of which neither knows the other's ids: by rows alone.
    strangers = found.model_copy(
        update={
            "known_from": None,
            "candidates": tuple(
                it.model_copy(update={"verdict": "confirmed"}) for it in found.candidates
            ),
        }
    )
    first_patterns = then.summary().patterns
    kinds = {
        it.before.id: it.kind
        for it in compare_patterns(then, first_patterns, now, strangers) or ()
        if it.before is not None
    }
    assert kinds["P1"] == "unchanged"


def test_other_pictures_under_the_same_row_ids_are_not_known(
    first: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    table, _ = write_tagged_pictures(tmp_path / "other", 240, seed=1)
    run = audit(tmp_path / "run", table, "rests_on_objects", donors=first[1].path)
    row_ids, known = open_run(run.path).table()["row_id"].to_pylist(), members_of(first[1], "P1")
    assert known & set(row_ids)
    assert "P1" not in {it.id for it in discover(run, tmp_path).candidates}


def test_a_pattern_without_images_is_no_candidate(
    first: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    table, _ = write_tagged_pictures(tmp_path / "bare", 120, seed=2, share=0.0)
    run = audit(tmp_path / "run", table, "rests_on_tags", reuse=first[1].path)
    assert discover(run, tmp_path).confirmed == ()
    (change,) = moved_patterns(run)
    assert change.kind == "gone"
    assert change.sentence in (
        "gone: no candidate has these images now",
        "gone: too few images to judge it now",
    )


@pytest.mark.parametrize(
    ("pattern", "name", "message"),
    [
        ("P71", "x", "has no pattern P71"),
        ("P1", "  ", "a name of 0 characters"),
        ("P1", "x" * 81, "a name of 81 characters: give 1 to 80"),
    ],
)
def test_a_name_that_cannot_be_given_is_refused(
    first: tuple[Path, RunFolder], pattern: str, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        name_pattern(first[1], pattern, name)
    assert open_run(first[1].path).summary().patterns.confirmed[0].name == "the white tag"  # type: ignore[union-attr]
