"""Classes by a column's values on the page: rates with intervals, the sentence, and what is cut."""

from __future__ import annotations

import pytest

from reports.column_sections import column_sections, surest_story, tell_contrast
from reports.finding import headline
from tasks.schema import Contrast, CrossTable, Summary, wilson
from tests.support.audit_summaries import (
    NAMES,
    class_summary,
    cross_table,
    few_images,
    hostile_summary,
    summary,
    without_foreground,
    without_labels,
)
from tests.support.html_page import read

STORY = (
    "Where site is reef, it says knife in 76% of the images of other classes, everywhere else in "
    "9%."
)


def contrast(**changes: object) -> CrossTable:
    table = cross_table()
    assert table.contrast is not None
    fields = table.contrast.model_dump() | changes
    return table.model_copy(update={"contrast": Contrast.model_validate(fields)})


def test_the_story_is_told_in_one_sentence_at_the_head_and_at_its_column() -> None:
    words = read(summary()).words
    assert words.count(STORY) == 2
    assert words.index(STORY) < words.index("When the background changes")


def test_a_drop_of_accuracy_is_told_where_nothing_is_said_too_often() -> None:
    fields = {"figure": "right", "here": wilson(3, 40), "elsewhere": wilson(37, 40)}
    told = tell_contrast("site", contrast(**fields, low=-0.9, high=-0.5)).striptags()
    assert told == "Where site is reef, knife is predicted right in 8%, everywhere else in 92%."


def test_without_labels_it_is_not_said_to_be_wrong() -> None:
    table = contrast().model_copy(update={"labelled": False})
    told = tell_contrast("site", table).striptags()
    assert "it says knife in 76%, everywhere else in 9%; without labels it is not known" in told
    page = read(summary(**without_labels(), cross_tables={"site": table}))
    assert "Predicted as this class, of all images" in page.words
    assert "of the images with this label" not in page.words


def test_no_story_is_told_where_nothing_is_sure() -> None:
    table = cross_table().model_copy(update={"contrast": None})
    page = read(summary(cross_tables={"site": table}))
    assert "everywhere else in" not in page.words.replace("the same rate everywhere else", "")
    assert surest_story(few_images()) == ""


def test_the_surest_of_all_columns_stands_at_the_head() -> None:
    tables = {"camera": contrast(value="7", low=0.2), "site": contrast(low=0.5)}
    assert "site is reef" in surest_story(summary(cross_tables=tables)).striptags()


def test_cells_have_intervals_and_say_where_they_are_few() -> None:
    table = cross_table()
    few = table.rows[0].cells[0].model_copy(update={"right": wilson(3, 9), "said": wilson(0, 0)})
    row = table.rows[0].model_copy(update={"cells": (few, table.rows[0].cells[1])})
    page = read(summary(cross_tables={"site": table.model_copy(update={"rows": (row,)})}))
    assert "Predicted right, of the images with this label Label reef sand knife" in page.words
    assert "knife 33.3% 12.1 to 64.6% 3 of 9, few 80.0% 65.2 to 89.5% 32 of 40" in page.words
    assert "knife none 9.0% 4.8 to 16.2% 9 of 100" in page.words


def test_accuracy_is_left_out_where_every_cell_has_few_images() -> None:
    table = cross_table()
    few = table.rows[0].cells[0].model_copy(update={"right": wilson(3, 9)})
    rows = tuple(row.model_copy(update={"cells": (few, few)}) for row in table.rows)
    page = read(summary(cross_tables={"site": table.model_copy(update={"rows": rows})}))
    assert "No label has 20 images with one value: how often it is predicted" in page.words
    assert "of the images with this label" not in page.words


def test_what_is_left_out_is_counted() -> None:
    table = cross_table().model_copy(update={"more_rows": 985, "more_values": 1})
    words = read(summary(cross_tables={"site": table})).words
    assert "left out are 985 classes and 1 value, which predictions/ and catalog.parquet" in words


def test_columns_that_say_the_same_are_named_once() -> None:
    words = read(summary()).words
    assert "By site site_id divides the images in the same way and is not repeated." in words
    same = {"label": ("species", "species_id", "code")}
    words = read(summary(same_columns=same)).words
    assert "species, species_id and code divide the images as the labels do and are not" in words


def test_the_group_column_comes_first() -> None:
    quiet, loud = (class_summary("a", 6, 100),), (class_summary("b", 90, 100),)
    found, _ = column_sections(summary(by_column={"site": loud, "group": quiet}, cross_tables={}))
    assert [section.column for section in found] == ["group", "site"]


def test_hostile_names_stay_words() -> None:
    page = read(hostile_summary())
    assert not page.of("script")
    assert all(name.strip() in page.text for name in NAMES if name.startswith("<img"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            summary(),
            "78.2% of 1,197 images with a label are predicted right. 34.9% of the decided "
            "predictions are flagged as resting on the background; 5.0% would be if backgrounds "
            "did not matter.",
        ),
        (
            without_foreground(**without_labels() | {"evidence": None}),
            "Nothing is flagged: this audit had no foreground.",
        ),
        (
            few_images(),
            "78.2% of 1,197 images with a label are predicted right. 5.3% of the decided "
            "predictions are flagged: too few images to judge the excess.",
        ),
    ],
)
def test_the_headline_is_plain_text(given: Summary, words: str) -> None:
    assert headline(given) == words
