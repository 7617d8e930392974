"""Classes by a column's values: counted again with loops; a contrast only where it is sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.schema import ClassGroups, CrossTable, wilson
from tasks.summary.cross_tables import (
    ROWS,
    VALUES,
    Answers,
    ColumnCounts,
    TableRows,
    cross_tables,
)

CLASSES = ("knife", "fork", "spoon")
TABLE = TableRows.of(CLASSES)

Image = tuple[str | None, str, str | None]  # label, prediction, place


def table_of(images: Sequence[Image], shards: int = 1) -> CrossTable:
    counts = ColumnCounts(len(CLASSES))
    for shard in range(shards):
        part = images[shard::shards]
        answers = Answers.of([it[0] for it in part], [it[1] for it in part], TABLE)
        counts.add([it[2] for it in part], answers)
    return cross_tables({"place": counts}, TABLE)["place"]


def on(place: str, label: str, **predicted: int) -> list[Image]:
    """Images of one label on one place, by how many are predicted as each class."""
    return [(label, name, place) for name, count in predicted.items() for _ in range(count)]


SHORTCUT = [
    *on("reef", "knife", knife=40),
    *on("reef", "fork", knife=38, fork=12),
    *on("sand", "knife", knife=20, fork=20),
    *on("sand", "fork", knife=4, fork=46),
    *on("lawn", "knife", knife=22, fork=18),
    *on("lawn", "fork", knife=5, fork=45),
]


@given(
    images=st.lists(
        st.tuples(
            st.sampled_from([*CLASSES, None]),
            st.sampled_from(CLASSES),
            st.sampled_from(["reef", "sand", None]),
        ),
        max_size=60,
    ),
    shards=st.integers(1, 3),
)
def test_cells_are_what_a_loop_counts(images: list[Image], shards: int) -> None:
    table = table_of(images, shards)
    placed = [it for it in images if it[2] is not None]
    labelled = any(label is not None for label, *_ in placed)
    assert table.labelled == labelled
    for row in table.rows:
        for value, cell in zip(table.values, row.cells, strict=True):
            here = [it for it in placed if it[2] == value and (it[0] is not None or not labelled)]
            own = [it for it in here if it[0] == row.name]
            other = [it for it in here if it[0] != row.name]
            assert cell.right == wilson(sum(it[1] == row.name for it in own), len(own))
            assert cell.said == wilson(sum(it[1] == row.name for it in other), len(other))
    seen = {name for label, name, _ in placed if (label is not None) == labelled}
    labels = {label for label, *_ in placed if label is not None}
    assert {row.name for row in table.rows} == seen | labels


def test_the_contrast_is_the_surest_shortcut() -> None:
    found = table_of(SHORTCUT).contrast
    assert found is not None
    assert (found.figure, found.name, found.value) == ("said", "knife", "reef")
    assert (found.here.count, found.here.of) == (38, 50)
    assert (found.elsewhere.count, found.elsewhere.of) == (9, 100)
    assert 0 < found.low < 38 / 50 - 9 / 100 < found.high


def test_what_is_surest_comes_first() -> None:
    table = table_of([*SHORTCUT, *on("reef", "spoon", spoon=30), *on("sand", "spoon", spoon=30)])
    assert table.values[0] == "reef"
    assert [row.name for row in table.rows] == ["fork", "knife", "spoon"]


def test_a_class_that_fails_as_many_others_on_one_place_is_told_by_its_accuracy() -> None:
    """What it is taken for differs from image to image, so no class is surely said too often."""
    others = [f"c{number}" for number in range(40)]
    classes = ("knife", *others)
    counts = ColumnCounts(len(classes))
    labels, predictions, places = [], [], []
    for place, wrong in (("reef", 36), ("sand", 2)):
        labels += ["knife"] * 40
        predictions += others[:wrong] + ["knife"] * (40 - wrong)
        places += [place] * 40
    rows = TableRows.of(classes)
    counts.add(places, Answers.of(labels, predictions, rows))
    found = cross_tables({"place": counts}, rows)["place"].contrast
    assert found is not None
    assert (found.figure, found.name, found.value) == ("right", "knife", "reef")
    assert found.high < 0


def test_chance_makes_no_contrast() -> None:
    """Of 20 columns of noise, hardly any has one; without a correction half of them would."""
    random = np.random.default_rng(0)
    labels = random.choice(CLASSES, 600)
    predictions = np.where(random.random(600) < 0.6, labels, random.choice(CLASSES, 600))
    answers = Answers.of(labels.tolist(), predictions.tolist(), TABLE)
    counts = {f"noise {number}": ColumnCounts(len(CLASSES)) for number in range(20)}
    for column in counts.values():
        column.add(random.choice(list("abcd"), 600).tolist(), answers)
    tables = cross_tables(counts, TABLE)
    assert sum(table.contrast is not None for table in tables.values()) <= 1


@pytest.mark.parametrize("images", [[], on("reef", "knife", knife=9, fork=9), SHORTCUT[:40]])
def test_few_images_or_one_place_make_no_contrast(images: list[Image]) -> None:
    assert table_of(images).contrast is None


def test_without_labels_the_predictions_are_compared() -> None:
    table = table_of([(None, name, place) for _, name, place in SHORTCUT])
    assert not table.labelled
    assert table.contrast is not None
    assert (table.contrast.figure, table.contrast.name) == ("said", "knife")
    assert table.contrast.here == wilson(78, 90)
    assert all(cell.right.of == 0 for row in table.rows for cell in row.cells)


def test_a_thousand_classes_on_fifty_places_are_cut() -> None:
    random = np.random.default_rng(0)
    classes = [f"species {number}" for number in range(1000)]
    rows = TableRows.of(classes)
    labels, places = random.choice(classes, 40_000), random.choice(50, 40_000)
    stuck = (places == 7) & (random.random(40_000) < 0.5)
    predictions = np.where(stuck, "species 3", labels)
    counts = ColumnCounts(len(classes))
    counts.add(places.tolist(), Answers.of(labels.tolist(), predictions.tolist(), rows))
    table = cross_tables({"site": counts}, rows)["site"]
    assert (len(table.rows), len(table.values)) == (1, VALUES)  # the only one that surely differs
    assert (table.more_rows, table.more_values) == (999, 50 - VALUES)
    assert (table.rows[0].name, table.values[0]) == ("species 3", "7")
    assert table.contrast is not None
    assert (table.contrast.name, table.contrast.value) == ("species 3", "7")
    assert len(table.model_dump_json(indent=2)) < 150_000


def test_of_many_rows_that_surely_differ_the_surest_are_shown() -> None:
    random = np.random.default_rng(0)
    classes = [f"species {number}" for number in range(40)]
    rows = TableRows.of(classes)
    labels, places = random.choice(classes, 40_000), random.choice(2, 40_000)
    predictions = np.where(places == 1, random.choice(classes, 40_000), labels)
    counts = ColumnCounts(len(classes))
    counts.add(places.tolist(), Answers.of(labels.tolist(), predictions.tolist(), rows))
    table = cross_tables({"site": counts}, rows)["site"]
    assert (len(table.rows), table.more_rows) == (ROWS, 40 - ROWS)


BIRDS, FISH = ("egret", "stork"), ("carp", "eel")


def test_of_many_classes_the_rows_are_their_groups() -> None:
    """A wrong class of the right group is wrong, and is not said of another group's images."""
    others = [f"c{number}" for number in range(40)]
    classes = (*BIRDS, *FISH, *others)
    group_of = dict.fromkeys(BIRDS, "bird") | dict.fromkeys(FISH, "fish")
    groups = ClassGroups(group_of=group_of | dict.fromkeys(others, "other"))
    rows = TableRows.of(classes, groups)
    counts = ColumnCounts(len(rows.names))
    images = [
        *on("shore", "egret", egret=30, stork=10),
        *on("shore", "carp", stork=28, carp=12),
        *on("river", "carp", eel=5, carp=35),
        *on("river", "egret", egret=40),
    ]
    labels, predictions, places = map(list, zip(*images, strict=True))
    counts.add(places, Answers.of(labels, predictions, rows))
    table = cross_tables({"place": counts}, rows)["place"]
    assert table.of_groups
    assert {row.name for row in table.rows} == {"bird", "fish"}
    cells = {
        (row.name, value): cell
        for row in table.rows
        for value, cell in zip(table.values, row.cells, strict=True)
    }
    assert cells["bird", "shore"].right == wilson(30, 40)
    assert cells["bird", "shore"].said == wilson(28, 40)
    assert cells["fish", "river"].right == wilson(35, 40)
    assert cells["fish", "river"].said == wilson(0, 40)
    assert table.contrast is not None
    assert (table.contrast.name, table.contrast.value) == ("bird", "shore")


def test_few_classes_are_rows_of_their_own() -> None:
    groups = ClassGroups(group_of=dict.fromkeys(CLASSES, "cutlery"))
    assert TableRows.of(CLASSES, groups) == TableRows.of(CLASSES)
