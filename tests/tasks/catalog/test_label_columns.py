"""Labels under an unusual name: the only column whose values are the model's classes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pyarrow as pa
import pytest

from models.addresses import as_path
from models.errors import UserError
from tasks.catalog.label_columns import label_listing
from tasks.catalog.listing import Listing, unlabelled_listing
from tasks.catalog.settings import DataSettings

CLASSES = ("cat", "dog", "owl")
WHOLE = ["owl", "cat", "dog", "cat"]


def listing(labels: Sequence[object] | None = None, **columns: Sequence[object]) -> Listing:
    images = pa.array([f"{number}.jpg" for number in range(4)])
    bare = unlabelled_listing(as_path("/data"), images)
    label = bare.label if labels is None else pa.array(labels)
    return Listing(
        bare.root, bare.key, bare.image, label, bare.masks, bare.instances, pa.table(dict(columns))
    )


def settings(**more: object) -> DataSettings:
    return DataSettings.model_validate({"path": "/data", **more})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "sightline")
    return caplog


@pytest.mark.parametrize("values", [WHOLE, ["owl", "cat", "owl", "cat"], ["owl", None, "", "dog"]])
def test_the_column_of_the_classes_is_taken(
    values: list[object], log: pytest.LogCaptureFixture
) -> None:
    found = label_listing(listing(species=values, place=["sea", "wood"] * 2), CLASSES, settings())
    assert found.labels.to_pylist() == [value or None for value in values]
    assert found.listing.label.to_pylist() == found.labels.to_pylist()
    assert found.listing.extra.column_names == ["place"]
    assert log.messages == ["column 'species' holds the model's classes: taken as the labels"]


@pytest.mark.parametrize(
    "columns",
    [
        {"place": ["sea", "wood"] * 2},
        {"species": [*WHOLE[:3], "unicorn"]},
        {"species": ["owl"] * 4},
        {"species": [0, 1, 2, 0]},
        {"species": [["owl"]] * 4},
    ],
)
def test_other_columns_are_no_labels(
    columns: dict[str, Sequence[object]], log: pytest.LogCaptureFixture
) -> None:
    found = label_listing(listing(**columns), CLASSES, settings())
    assert found.labels.null_count == 4
    assert found.listing.extra.column_names == list(columns)
    assert log.messages == []


def test_classes_called_by_numbers_are_in_no_column_for_sure() -> None:
    found = label_listing(listing(place=["0", "1", "0", "1"]), ("0", "1"), settings())
    assert found.labels.null_count == 4


@pytest.mark.parametrize("columns", [("species", "guest"), ("predicted",), ("model_output",)])
def test_several_columns_and_predictions_are_named(
    columns: tuple[str, ...], log: pytest.LogCaptureFixture
) -> None:
    found = label_listing(listing(**dict.fromkeys(columns, WHOLE)), CLASSES, settings())
    assert found.labels.null_count == 4
    (line,) = log.messages
    assert ", ".join(f"'{name}'" for name in columns) in line
    assert line.endswith("name it with --label-column")


def test_all_classes_decide_over_some(log: pytest.LogCaptureFixture) -> None:
    columns = {"second": ["cat", "owl"] * 2, "species": WHOLE}
    assert label_listing(listing(**columns), CLASSES, settings()).labels.to_pylist() == WHOLE


def test_predictions_beside_labels_are_not_taken() -> None:
    columns = {"species": WHOLE, "prediction": WHOLE[::-1]}
    assert label_listing(listing(**columns), CLASSES, settings()).labels.to_pylist() == WHOLE


def test_the_column_of_the_groups_stays() -> None:
    found = label_listing(listing(species=WHOLE), CLASSES, settings(group_column="species"))
    assert found.labels.to_pylist() == WHOLE
    assert found.listing.extra["species"].to_pylist() == WHOLE


@pytest.mark.parametrize("more", [{"label_column": "label"}, {"labels": "index"}])
def test_nothing_is_sought_where_labels_are_named(more: dict[str, str]) -> None:
    found = label_listing(listing(species=WHOLE), CLASSES, settings(**more))
    assert found.labels.null_count == 4


def test_labels_that_do_not_match_name_the_column_that_does() -> None:
    with pytest.raises(UserError) as caught:
        label_listing(listing(["n1", "n2", "n3", "n2"], species=WHOLE), CLASSES, settings())
    line = str(caught.value)
    assert line.startswith("the data's labels are not the model's classes: 'n1', 'n2', 'n3'")
    assert line.endswith("; the model's classes are in 'species': name it with --label-column")
    with pytest.raises(UserError, match=r"--labels index$"):
        label_listing(listing(["n1", "n2", "n3", "n2"]), CLASSES, settings())
