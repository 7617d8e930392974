"""What a mask marks: all but zero, a list of values, or a list for each label."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from models.errors import UserError
from tasks.catalog.mask_values import VOC_NAMES, foreground_values

MASKS = pa.array([["a.png"], ["b.png"], None, ["d.png"]])
LABELS = pa.array(["cat", "dog", "cat", None])


def values(rule: str, own: pa.Array = LABELS, labels: pa.Array = LABELS) -> list[list[int] | None]:
    listed: list[list[int] | None] = foreground_values(rule, own, labels, MASKS).to_pylist()
    return listed


def test_everything_but_zero_needs_no_values() -> None:
    assert values("nonzero") == [None] * 4


@pytest.mark.parametrize(
    ("rule", "expected"), [("1", [1]), ("1,3", [1, 3]), ("#ff0000, #00FF00", [0xFF0000, 0xFF00])]
)
def test_values_for_all_are_for_all_with_masks(rule: str, expected: list[int]) -> None:
    assert values(rule) == [expected, expected, None, expected]


def test_voc_names_have_their_values() -> None:
    assert values("voc") == [[8], [12], None, list(range(1, 21))]
    assert VOC_NAMES[0] == "aeroplane"
    assert VOC_NAMES[19] == "tvmonitor"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("values.json", '{"cat": 1, "dog": [2, "#ff0000"]}'),
        ("values.csv", "cat,1\ndog,2,#ff0000\n"),
        ("values.csv", "\ufeffcat,1\r\ndog,2,#ff0000\r\n"),
    ],
)
def test_a_file_lists_values_by_label(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    everything = [1, 2, 0xFF0000]
    assert values(str(tmp_path / name)) == [[1], [2, 0xFF0000], None, everything]


def test_the_datas_own_label_comes_before_the_models(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("katze,5\ncat,1\ndog,2\n")
    own = pa.array(["katze", "hund", "katze", None])
    assert values(str(tmp_path / "v.csv"), own)[:2] == [[5], [2]]
    integers = pa.array([3, 4, 3, None])
    assert values(str(tmp_path / "v.csv"), integers)[:2] == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,1\n", r"foreground for 'dog'; they have 'cat': add a line for each"),
        ("cat,1\ndogs,1\n", r"did you mean 'dogs'\?"),
        ("cat,1\ndog,red\n", "dog has red, not values from 0 to 16777215 or #rrggbb"),
        ("cat,1\ndog\n", "dog has nothing, not values"),
    ],
)
def test_a_file_without_a_value_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        values(str(tmp_path / "v.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", ["nonzeros", "1,red", "99999999", "-1"])
def test_an_unknown_rule_is_refused_with_the_known_ones(rule: str) -> None:
    with pytest.raises(UserError, match="neither values nor a file: give nonzero, voc, a list"):
        values(rule)


def test_a_class_that_voc_does_not_have_is_named() -> None:
    with pytest.raises(UserError, match=r"mask values voc do not say .* 'catt'.*'cat'"):
        values("voc", pa.array(["catt", "dog", "cat", None]), pa.array(["catt", "dog", "x", None]))
