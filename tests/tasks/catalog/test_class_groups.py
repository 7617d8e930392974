"""Groups of classes: every form of file says the same; what does not fit is one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UserError
from tasks.catalog.class_groups import MOST_GROUPS, check_class_groups, read_class_groups

CLASSES = ("carp", "egret", "eel", "great white shark, white shark", "stork")
GROUPS = {
    "carp": "fish",
    "egret": "bird",
    "eel": "fish",
    "great white shark, white shark": "fish",
    "stork": "bird",
}
LISTS = {"fish": [CLASSES[0], CLASSES[2], CLASSES[3]], "bird": ["egret", "stork"]}


def written(folder: Path, name: str, content: Any) -> str:
    """A file of this name with the content, in the form that the name says."""
    path = folder / name
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(content)
    elif path.suffix == ".json":
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    else:
        path.write_text(yaml.safe_dump(content))
    return str(path)


def node(name: str, *children: Any) -> dict[str, Any]:
    return {"name": name, "id": 7, "children": [*children]} if children else {"name": name}


FORMS: list[tuple[str, Any]] = [
    ("mapping.json", GROUPS),
    ("mapping.yaml", GROUPS),
    ("mapping.csv", list(GROUPS.items())),
    ("header.csv", [("class", "superclass"), *GROUPS.items()]),
    ("lists.json", LISTS),
    ("lists.yml", LISTS),
    ("keys.json", {group: dict.fromkeys(names) for group, names in LISTS.items()}),
    ("empty.json", {group: {name: {} for name in names} for group, names in LISTS.items()}),
    (
        "nodes.json",
        node("animal", *(node(group, *map(node, names)) for group, names in LISTS.items())),
    ),
    ("forest.json", [node(group, *names) for group, names in LISTS.items()]),
    ("root.json", {"animal": LISTS}),
]


@pytest.mark.parametrize(("name", "content"), FORMS, ids=[name for name, _ in FORMS])
def test_every_form_says_the_same(tmp_path: Path, name: str, content: Any) -> None:
    groups = read_class_groups(written(tmp_path, name, content), CLASSES)
    assert groups.group_of == GROUPS
    assert tuple(groups.group_of) == CLASSES
    assert groups.names == ("bird", "fish")
    check_class_groups(written(tmp_path, name, content), None)


def test_numbers_are_names(tmp_path: Path) -> None:
    address = written(tmp_path, "numbers.yaml", {3: 1, 5: 2})
    assert read_class_groups(address, ("3", "5")).group_of == {"3": "1", "5": "2"}


REFUSED: list[tuple[str, Any, str]] = [
    ("unknown.json", GROUPS | {"egrett": "bird"}, "names 'egrett', which the model does not have "),
    ("near.json", GROUPS | {"egrett": "bird"}, "did you mean 'egret'?"),
    ("missing.json", {"egret": "bird"}, "has no group for 4 of the model's 5 classes: 'carp', "),
    ("twice.csv", [*GROUPS.items(), ("egret", "fish")], "it names 'egret' twice"),
    ("twice.json", '{"egret": "bird", "egret": "fish"}', "it names 'egret' twice in one place"),
    ("two.json", LISTS | {"sea": ["eel"]}, "'eel' stands in 'fish' and in 'sea': leave one"),
    ("flat.json", [*CLASSES], "'carp' stands in no group"),
    ("mixed.json", {"egret": "bird", "fish": ["eel"]}, "the group 'egret' holds 'bird', where a"),
    ("number.json", {"fish": {"eel": 3.5}}, "the group 'eel' holds 3.5, where a list or an object"),
    ("three.csv", [("egret", "bird", "x")], "the line of 'egret' has 3 cells"),
    ("nothing.json", {}, "it names no class"),
    ("text.json", '"bird"', "it holds 'bird', where a list or an object is needed"),
    ("broken.json", '{"egret":\n "bird",}', "it is not JSON at line 2"),
    ("broken.yaml", None, "it holds None, where a list"),
    ("names.csv", [("egret",), ("eel",)], "one name per line, which --classes takes"),
]


@pytest.mark.parametrize(("name", "content", "words"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_does_not_fit_is_one_line(tmp_path: Path, name: str, content: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_class_groups(written(tmp_path, name, content), CLASSES)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.csv not found: give lines class,group"):
        check_class_groups(str(tmp_path / "gone.csv"), None)
    (tmp_path / "picture.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="is not UTF-8 text: save it as UTF-8"):
        check_class_groups(str(tmp_path / "picture.json"), CLASSES)


def test_deep_nesting_is_one_line(tmp_path: Path) -> None:
    for levels in (150, 100_000):
        address = written(tmp_path, "deep.json", '{"a":' * levels + "{}" + "}" * levels)
        with pytest.raises(UserError, match=r"nested deeper than 100 levels|not JSON"):
            check_class_groups(address, None)


def tree_of(classes: list[str], *sizes: int) -> Any:
    """Nested groups: at each level this many classes share a group."""
    if not sizes:
        return classes
    parts = [classes[start : start + sizes[0]] for start in range(0, len(classes), sizes[0])]
    return {f"{sizes[0]} from {part[0]}": tree_of(part, *sizes[1:]) for part in parts}


def test_a_deep_tree_is_cut_where_there_are_most_groups_that_can_be_read(tmp_path: Path) -> None:
    """1,000 classes in 1, 2, 10, 30 and 200 groups: 30 are read at once, 200 are not."""
    classes = [f"species {number:03}" for number in range(1000)]
    content = tree_of(classes, 1000, 500, 100, 40, 5)
    groups = read_class_groups(written(tmp_path, "tree.json", content), classes)
    assert (len(groups.names), groups.level, groups.levels) == (30, 4, 5)
    assert groups.group_of["species 041"] == "40 from species 040"
    assert groups.describe() == "30 groups of classes, level 4 of 5 of the tree"


def test_where_every_level_has_many_groups_the_fewest_are_taken(tmp_path: Path) -> None:
    classes = [f"species {number:03}" for number in range(1000)]
    groups = read_class_groups(
        written(tmp_path, "tree.json", tree_of(classes, 1000, 20, 2)), classes
    )
    assert (len(groups.names), groups.level) == (50, 2)


def test_classes_of_a_short_branch_keep_their_group(tmp_path: Path) -> None:
    content = {"bird": {"wader": ["egret", "stork"]}, "fish": [CLASSES[0], *CLASSES[2:4]]}
    groups = read_class_groups(written(tmp_path, "tree.json", content), CLASSES)
    assert set(groups.names) == {"bird", "fish"}


def test_groups_that_share_a_name_are_told_by_their_paths(tmp_path: Path) -> None:
    content = {
        "bird": {"other": ["stork"], "wader": ["egret"]},
        "fish": {"other": ["eel"], "rest": ["carp", CLASSES[3]]},
    }
    groups = read_class_groups(written(tmp_path, "tree.json", content), CLASSES)
    assert groups.names == ("bird > other", "fish > other", "rest", "wader")


@given(
    names=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=60, unique=True),
    sizes=st.lists(st.integers(1, 20), max_size=4),
)
def test_every_class_of_a_tree_has_one_group(
    names: list[str], sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = {"all": tree_of(names, *sorted(sizes, reverse=True))}
    address = written(tmp_path_factory.mktemp("trees"), "tree.json", content)
    groups = read_class_groups(address, names)
    assert [*groups.group_of] == names
    assert len(groups.names) <= max(MOST_GROUPS, len(names))
