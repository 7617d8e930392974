"""Which columns make groups: those that say the same once, the group column always."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import Summary
from tasks.summary.summarise import summarise
from tests.support.audits import SHARD

IMAGES = 64
PLACES = ["reef", "sand", "lawn", "road"]

Summarised = Callable[..., tuple[Summary, pd.DataFrame]]


@pytest.fixture
def summarised(finished_run: RunFolder, tmp_path: Path) -> Summarised:
    """The finished run, summarised again with other columns in its catalog."""

    def summarise_with(
        group_column: str | None = None, **columns: list[object]
    ) -> tuple[Summary, pd.DataFrame]:
        copy = tmp_path / f"run {group_column}"
        folder = RunFolder.at(shutil.copytree(finished_run.path, copy))
        catalog = pq.read_table(folder.catalog)
        kept = catalog.drop_columns(["group", "background", "object_seed", "background_seed"])
        for name, values in columns.items():
            kept = kept.append_column(name, pa.array(values))
        pq.write_table(kept, folder.catalog, row_group_size=SHARD)
        state = json.loads(folder.state.read_text())
        state["settings"]["data"]["group_column"] = group_column
        folder.state.write_text(json.dumps(state))
        summary = summarise(folder, FlagSettings(), open_run(folder.path).summary().cost)
        return summary, open_run(folder.path).table().to_pandas()

    return summarise_with


def places(number: int = 4) -> list[object]:
    return [PLACES[row // 5 % number] for row in range(IMAGES)]


def test_columns_that_say_the_same_are_shown_once_with_the_words(summarised: Summarised) -> None:
    names = places()
    numbers: list[object] = [PLACES.index(str(name)) for name in names]
    coarse: list[object] = [int(str(name) == "reef") for name in names]
    gaps: list[object] = [None if name == "reef" else name for name in names]
    summary, _ = summarised(place=numbers, place_name=names, wet=coarse, inland=gaps)
    assert {*summary.by_column} == {"place_name", "wet", "inland"}
    assert {*summary.cross_tables} == {"place_name", "wet", "inland"}
    assert summary.same_columns == {"place_name": ("place",)}


def test_a_column_that_says_the_label_is_the_table_of_labels(
    summarised: Summarised, finished_run: RunFolder
) -> None:
    labels = open_run(finished_run.path).catalog["label"].to_pylist()
    summary, _ = summarised(species=[label.upper() for label in labels])
    assert summary.same_columns == {"label": ("species",)}
    assert summary.by_column == {}
    group, _ = summarised("species", species=[label.upper() for label in labels])
    assert group.worst_group is None or group.worst_group.column == "species"
    assert [*group.by_column] == ["species"]


def test_the_worst_group_is_of_the_group_column(summarised: Summarised) -> None:
    summary, rows = summarised("place", site=places(3), place=places(2))
    assert [*summary.by_column] == ["place", "site"]
    assert summary.worst_group is not None
    assert (summary.worst_group.column, summary.worst_group.groups) == ("place", 2)
    lowest = rows.groupby("place")["correct"].agg(lambda it: it.astype(bool).mean())
    assert summary.worst_group.name == lowest.idxmin()
    assert summary.worst_group.accuracy.value == pytest.approx(lowest.min())
    assert summary.by_name()["worst_group"] == summary.worst_group.accuracy


def test_a_group_column_of_numbers_is_shown_with_the_words_of_another(
    summarised: Summarised,
) -> None:
    numbers: list[object] = [str(PLACES.index(str(name))) for name in places(2)]
    summary, _ = summarised("place", site=places(3), place=numbers, place_name=places(2))
    assert summary.worst_group is not None
    assert summary.worst_group.column == "place_name"
    assert summary.worst_group.name in PLACES
    assert [*summary.by_column] == ["place_name", "site"]
    assert summary.same_columns == {"place_name": ("place",)}


def test_a_group_column_may_have_very_many_values(summarised: Summarised) -> None:
    patients: list[object] = ["many" if row < 30 else f"patient {row}" for row in range(IMAGES)]
    assert len({*patients}) < 50
    summary, _ = summarised("patient", patient=patients, place=places(2))
    assert summary.worst_group is not None
    assert (summary.worst_group.name, summary.worst_group.groups) == ("many", 1)


def test_of_many_groups_those_with_the_lowest_accuracy_are_listed(summarised: Summarised) -> None:
    patients: list[object] = [f"patient {row}" for row in range(IMAGES)]
    summary, rows = summarised("patient", patient=patients)
    assert len(summary.by_column["patient"]) == 50
    assert summary.cross_tables == {}
    wrong = rows[~rows["correct"].astype(bool)]["patient"]
    assert {*wrong.head(50)} & {group.name for group in summary.by_column["patient"]}
    assert summary.worst_group is None  # none has 20 images


def test_cells_of_a_run_are_those_of_its_tables(summarised: Summarised) -> None:
    summary, rows = summarised(place=places(3))
    table = summary.cross_tables["place"]
    for row in table.rows:
        for value, cell in zip(table.values, row.cells, strict=True):
            here = rows[rows["place"] == value]
            own, other = here[here["label"] == row.name], here[here["label"] != row.name]
            assert (cell.right.of, cell.said.of) == (len(own), len(other))
            assert cell.right.count == (own["prediction"] == row.name).sum()
            assert cell.said.count == (other["prediction"] == row.name).sum()
