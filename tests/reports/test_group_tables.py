"""Classes and groups: what stands out comes first and is marked, small groups are not judged."""

from __future__ import annotations

import re

from reports.audit_page import render_page
from reports.column_sections import column_sections
from reports.finding import headline
from reports.group_tables import COLUMNS, flagged_table, rank_groups, stands_out
from tasks.schema import ClassGroups, GroupSummary, WorstGroup, wilson
from tests.support.audit_summaries import (
    SPITEFUL,
    class_summary,
    cross_table,
    evidence,
    excess_of,
    few_images,
    figure,
    summary,
    without_foreground,
)
from tests.support.html_page import Page, read


def without_null(name: str) -> GroupSummary:
    """Decided often enough, but no donor is predicted as these images are."""
    nothing = {"null": wilson(0, 0), "excess": None, "q": None}
    return class_summary(name, 30, 60).model_copy(update=nothing)


def section(page: Page) -> str:
    """The words of the tables."""
    return page.text.partition("The share of decided predictions")[2].partition(
        "Distribution of lift"
    )[0]


def test_a_group_is_flagged_beside_its_null_with_excess_and_q() -> None:
    words = section(read(summary()))
    assert "tent 61.5% 91 of 148 4.7% +56.8 +48.8 to +64.8 <0.001" in words
    assert all(title in words for title in ("By label", "By predicted class", "By site"))


def test_small_groups_are_too_few_instead_of_an_excess() -> None:
    page = read(summary(by_prediction=(), by_column={}))
    assert "teapot 22.2% 2 of 9 0.0% too few" in section(page)
    assert len(page.of("groups")) == 1


def test_a_group_without_a_null_says_so() -> None:
    groups = (without_null("kiln"),)
    assert "kiln 50.0% 30 of 60 – no null" in section(read(summary(by_label=groups)))


def test_what_stands_out_comes_first_and_is_marked() -> None:
    certain, doubtful = class_summary("tent", 50, 148), class_summary("bus", 14, 148)
    alone = class_summary("one image of one", 1, 1)
    untested = without_null("kiln")
    # Alone it would stand out; among so many groups it does not.
    chance = class_summary("owl", 60, 148).model_copy(update={"q": 0.07})
    groups = (alone, untested, doubtful, chance, certain)
    assert [group.name for group in rank_groups(groups)] == [
        "tent",
        "owl",
        "bus",
        "kiln",
        alone.name,
    ]
    assert [group.name for group in groups if stands_out(group)] == ["tent"]
    page = read(summary(by_label=groups, by_prediction=(), by_column={}))
    rows = [
        attributes["class"].split()
        for tag, attributes in page.elements
        if tag == "tr" and "class" in attributes
    ]
    assert sum("marked" in row for row in rows) == 1


def test_a_rate_below_the_null_is_never_marked() -> None:
    below = class_summary("bus", 1, 148).model_copy(
        update={"excess": excess_of(-0.2, 0.01), "q": 0.0001}
    )
    assert not stands_out(below)


def test_of_a_thousand_classes_thirty_are_drawn_and_the_others_folded_in_pages() -> None:
    names = [f"species {number}" for number in range(1000)]
    classes = tuple(class_summary(name, index % 40, 50) for index, name in enumerate(names))
    alone = class_summary("one image of one", 1, 1)
    page = read(summary(by_label=(alone, *classes), by_prediction=classes, by_column={}))
    assert len(page.of("interval-bar")) == 60 + EVIDENCE_BARS
    assert page.html.count('class="groups further"') == 2 * 10
    assert "31 to 130 of 1,000 classes" in page.words
    assert "931 to 1,000 of 1,000 classes" in page.words
    assert "1 class has too few images to judge (fewer than 20 decided)" in page.words
    assert (
        "sightline show /runs/night --all-classes prints it, summary.json holds it." in page.words
    )
    assert "one image of one" not in page.words
    assert "78.0%" in page.words


def test_a_thousand_classes_with_an_image_each_are_one_line() -> None:
    classes = tuple(class_summary(f"species {number}", number % 2, 1) for number in range(1000))
    page = read(summary(by_label=classes, by_prediction=classes, by_column={}))
    assert "1,000 classes have too few images to judge (fewer than 20 decided)" in page.words
    assert page.words.count("Groups of classes have more images than classes: --class-groups") == 1
    assert "species" not in section(page)
    assert not page.of("groups")
    assert len(page.html) < 100_000


def test_pages_follow_the_order_of_the_table() -> None:
    groups = tuple(class_summary(f"g{number}", number % 40, 50) for number in range(250))
    table = flagged_table("", (*groups, class_summary("small", 1, 19)))
    ranks = [(first, len(rows)) for first, rows in table.pages]
    assert ranks == [(31, 100), (131, 100), (231, 20)]
    in_order = [*table.rows, *(row for _, rows in table.pages for row in rows)]
    assert in_order == rank_groups(groups)
    assert table.too_few == 1


def test_groups_of_classes_come_first_with_their_accuracy() -> None:
    boats = class_summary("boats", 91, 148)
    birds = class_summary("shore birds", 2, 148)
    grouped = summary(
        class_groups=GROUPS,
        by_class_group=(birds, boats),
        worst_group=WorstGroup(name="boats", accuracy=figure(0.5), groups=2, of_classes=True),
    )
    page = read(grouped)
    assert (
        "By group of classes 2 groups of classes, level 2 of 3 of the tree; an image belongs to "
        "the group of its label. Group"
    ) in page.words
    assert (
        "Of 2 groups of classes, boats has the lowest accuracy (50.0%), and is flagged most "
        "surely more than the null (61.5%, null 4.7%). All groups."
    ) in page.words
    tiny = figure(0.003).model_copy(update={"low": 0.002, "high": 0.004})
    no_effect = evidence(reliance_effect=tiny, flips_effect=tiny)
    nothing_found = grouped.model_copy(update={"evidence": no_effect})
    lowest = "Of 2 groups of classes, boats has the lowest accuracy (50.0%)."
    assert lowest in read(nothing_found).words  # no group is named by flags that say nothing
    assert headline(nothing_found).endswith(f"that are flagged say nothing. {lowest}")
    assert "boats 61.5% 91 of 148 4.7% +56.8 +48.8 to +64.8 <0.001 50.0%" in page.text
    assert page.words.index("By group of classes") < page.words.index("By label")
    assert "boats, the lowest of 2 groups of classes" in page.words
    assert "Groups of classes have more images" not in page.words


def test_columns_by_groups_of_classes_say_so() -> None:
    cross = cross_table(classes=("boats", "birds")).model_copy(update={"of_groups": True})
    words = read(summary(class_groups=GROUPS, cross_tables={"site": cross})).words
    assert (
        "Where site is reef, it says a class of boats in 76% of the images of other groups, "
        "everywhere else in 9%." in words
    )
    assert "Predicted as a class of this group, of the images with labels of other groups" in words
    none = cross.model_copy(update={"rows": (), "more_rows": 40, "contrast": None})
    words = read(summary(class_groups=GROUPS, cross_tables={"site": none})).words
    assert "No group of classes is surely predicted more or less often" in words


GROUPS = ClassGroups(group_of={"tent": "boats", "teapot": "shore birds"}, level=2, levels=3)
EVIDENCE_BARS = 9  # flips and accuracies in the section above


def test_many_columns_are_cut_with_those_that_stand_out_first() -> None:
    quiet, loud = (class_summary("a", 6, 100),), (class_summary("b", 90, 100),)
    columns = {**{f"column {number}": quiet for number in range(40)}, "the last": loud}
    many = summary(by_column=columns, cross_tables={})
    shown, left_out = column_sections(many)
    assert (shown[0].column, left_out) == ("the last", 41 - COLUMNS)
    words = read(many).words
    assert "By the last" in words
    assert len(re.findall("By column", words)) == COLUMNS - 1
    assert "29 more columns of the table are in summary.json" in words


def test_groups_without_a_decided_image_are_counted_not_drawn() -> None:
    none = class_summary("tent", 1, 40).model_copy(
        update={"name": "bus", "flagged": wilson(0, 0), "null": wilson(0, 0), "excess": None}
    )
    page = read(summary(by_label=(none, class_summary("tent", 1, 40))))
    assert "1 class has no decided image: " in page.words


def test_few_images_judge_no_group() -> None:
    words = read(few_images()).text
    assert "tent 10.0% 1 of 10 0.0% too few" in words


def test_without_a_foreground_classes_are_drawn_by_accuracy() -> None:
    page = read(without_foreground())
    assert "Shown is the accuracy by class" in page.words
    assert "teapot few images" in page.words
    assert "tent few images" not in page.words
    assert len(page.of("few-images")) == 2
    assert not page.of("groups")
    assert "By site" in page.words


def test_names_of_groups_of_classes_are_text() -> None:
    boats = class_summary("boats", 91, 148).model_copy(update={"name": SPITEFUL})
    worst = WorstGroup(name=SPITEFUL, accuracy=figure(0.5), groups=1, of_classes=True)
    grouped = summary(
        class_groups=ClassGroups(group_of={"tent": SPITEFUL}),
        by_class_group=(boats,),
        worst_group=worst,
    )
    html = render_page(grouped, [])
    assert "<script>" not in html
    assert "alert(1)" in html
    assert "\u202e" not in headline(grouped)
