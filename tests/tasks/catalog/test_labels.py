"""Labels are matched to the model's classes by name, file or index, never by order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from models.errors import UserError
from tasks.catalog.labels import match_categories, match_labels

CLASSES = ("cat", "dog", "owl")


def test_names_that_match_are_kept() -> None:
    labels = pa.array(["owl", None, "cat"])
    assert match_labels(labels, CLASSES, "name").to_pylist() == ["owl", None, "cat"]


def test_folders_in_another_order_are_not_renumbered() -> None:
    assert match_labels(pa.array(["owl"]), CLASSES, "name").to_pylist() == ["owl"]


def test_names_that_do_not_match_show_both_sides() -> None:
    with pytest.raises(UserError) as caught:
        match_labels(pa.array(["kitten", "owl"]), CLASSES, "name")
    message = str(caught.value)
    assert "'kitten' unknown" in message
    assert "the data has 'kitten', 'owl'" in message
    assert "the model has 'cat', 'dog', 'owl'" in message
    assert "--labels FILE" in message
    assert "\n" not in message


def test_integers_of_a_table_are_indices() -> None:
    assert match_labels(pa.array([2, 0]), CLASSES, "name").to_pylist() == ["owl", "cat"]


def test_digits_of_folders_are_indices_only_when_declared() -> None:
    with pytest.raises(UserError, match="--labels index"):
        match_labels(pa.array(["0", "1"]), CLASSES, "name")
    assert match_labels(pa.array(["0", "1"]), CLASSES, "index").to_pylist() == ["cat", "dog"]


@pytest.mark.parametrize("value", [3, -1])
def test_an_index_outside_the_classes_is_refused(value: int) -> None:
    with pytest.raises(UserError, match=r"not an index of the model's 3 classes \(0 to 2\)"):
        match_labels(pa.array([value]), CLASSES, "name")


@pytest.mark.parametrize(
    ("name", "text"),
    [("map.csv", "kitten,cat\nbird,2\n"), ("map.json", '{"kitten": "cat", "bird": 2}')],
)
def test_a_file_maps_names_to_names_or_indices(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    labels = pa.array(["bird", "kitten", None])
    matched = match_labels(labels, CLASSES, str(tmp_path / name))
    assert matched.to_pylist() == ["owl", "cat", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kitten,cat\n", "does not map 'bird'"),
        ("kitten,cat\nbird,eagle\n", "maps to 'eagle', which the model does not have"),
        ("kitten\nbird\n", "is not a mapping"),
    ],
)
def test_a_file_that_does_not_map_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        match_labels(pa.array(["kitten", "bird"]), CLASSES, str(tmp_path / "map.csv"))


def test_a_missing_file_says_what_is_allowed() -> None:
    with pytest.raises(UserError, match="give 'name', 'index', or a JSON object or CSV"):
        match_labels(pa.array(["kitten"]), CLASSES, "nowhere.csv")


def test_integers_are_names_where_the_model_has_such_names() -> None:
    """ImageFolder sorts folders as text: the class at index 2 is called '10'."""
    digits = ("0", "1", "10", "2")
    assert match_labels(pa.array([10, 2]), digits, "name").to_pylist() == ["10", "2"]
    assert match_labels(pa.array([3, 2]), digits, "index").to_pylist() == ["2", "10"]
    with pytest.raises(UserError, match="'3' unknown"):
        match_labels(pa.array([3, 2]), digits, "name")


def test_categories_may_be_more_than_the_model_knows() -> None:
    categories = pa.array(["owl", "tree", None, "cat"])
    assert match_categories(categories, CLASSES, "name").to_pylist() == ["owl", None, None, "cat"]
    assert match_categories(categories, CLASSES, "index").to_pylist() == ["owl", None, None, "cat"]
    assert match_categories(pa.array([2, 7]), CLASSES, "name").to_pylist() == ["owl", None]


def test_categories_of_no_class_show_both_sides() -> None:
    with pytest.raises(UserError, match=r"categories 'Cat', 'x' .* \(did you mean 'cat'\?\)"):
        match_categories(pa.array(["Cat", "x"]), CLASSES, "name")


def test_thousands_of_classes_are_matched_in_one_pass(tmp_path: Path) -> None:
    """A search for each name among all, as of lists, compares each with thousands."""
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    count = 21_841
    classes = tuple(Name(f"class {number}") for number in range(count))
    names = pa.array([f"class {number}" for number in range(count)])
    keys = pa.array([f"key {number}" for number in range(count)])
    file = tmp_path / "labels.csv"
    file.write_text("".join(f"key {number},class {number}\n" for number in range(count)))
    assert match_labels(names, classes, "name") == names
    assert match_labels(keys, classes, str(file)) == names
    assert match_categories(keys, classes, str(file)) == names
    assert match_categories(names, classes, "name") == names
    with pytest.raises(UserError, match="21833 more is one of"):
        match_categories(keys, classes, "name")
    assert compared < 20 * count


def test_a_model_without_names_of_classes_asks_for_them() -> None:
    with pytest.raises(UserError, match=r"2 classes have no names: give --classes FILE"):
        match_labels(pa.array(["cat", "owl"]), ("0", "1"), "name")
