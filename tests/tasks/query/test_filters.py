"""Random filters and orders of the table of images, against pandas on the parts that the reader
reads; and what the browser could send that is no filter."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DamagedFile, UserError
from tasks.query import kept_table
from tasks.query.column_codes import BINS
from tasks.query.copied_sql import copied_sql
from tasks.query.database import ImageDatabase, image_table, open_images
from tasks.query.filters import (
    MOST_CORNERS,
    ContainsText,
    Filter,
    HasValue,
    InLasso,
    InRange,
    IsRow,
)
from tasks.query.views import Sorting, Views
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run, join
from tasks.runs.stages import INTERVENTIONS
from tasks.schema.tables import DUPLICATES
from tasks.storage.parquet import read_table, write_table

WORDS = [
    '" OR 1=1 --',
    "'; DROP TABLE images; --",
    "=cmd|'/c calc'!A1",
    "<script>x</script>",
    "",
    "é",
]
HOSTILE: dict[str, Callable[[int], Any]] = {  # columns of a user's table
    'say "x" -- ;': lambda i: WORDS[i % 6],
    "Label": lambda i: None if i % 3 else "twin of label",
    "question?": lambda i: f"{i % 5}",
    "weight": lambda i: [0.5, math.nan, math.inf, -3.25, None][i % 5],
    "count": lambda i: 2**60 + i,
    "rating": lambda i: None if i % 9 == 0 else i % 3,
    "day": lambda i: None if i % 7 == 0 else i % 4 == 0,
}
NUMBERS = ("score", "confidence", "kept", "lift", "weight")
VALUES = (
    "flag",
    "label",
    "prediction",
    "correct",
    'say "x" -- ;',
    "Label",
    "question?",
    "day",
    "rating",
)
TEXTS = ("row_id", "reason", "label", 'say "x" -- ;', "Label")


@pytest.fixture(scope="module")
def run(finished_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run, with hostile columns in its catalog and an odd name."""
    folder = tmp_path_factory.mktemp("runs") / "it's [1]* a run?"
    shutil.copytree(finished_run.path, folder)
    run_folder = RunFolder.at(folder)
    catalog = read_table(run_folder.catalog)
    for name, value in HOSTILE.items():
        catalog = catalog.append_column(name, pa.array([value(i) for i in range(len(catalog))]))
    shard_size = run_folder.read_state().identity.shard_size
    write_table(run_folder.catalog, catalog, rows_per_group=shard_size)
    return Run.at(folder)


@pytest.fixture(scope="module")
def database(run: Run) -> ImageDatabase:
    return open_images(run)


@pytest.fixture(scope="module")
def views(database: ImageDatabase) -> Views:
    return Views(database)


@pytest.fixture(scope="module")
def frame(run: Run) -> pd.DataFrame:
    """As the reader reads it: Python's values, None where one is missing."""
    columns = ["row_id", "object_removed_prediction", "background_removed_prediction"]
    changed = pa.concat_tables(
        read_table(path, columns) for path in run.folder.parts(INTERVENTIONS)
    )
    flags = ["row_id", "kept", "lift", "foreground", "other_object"]
    table = join(join(run.table(), read_table(run.folder.flags, flags)), changed)
    masks = [None if masks is None else "|".join(masks) for masks in table["masks"].to_pylist()]
    table = table.drop_columns(["masks", "mask_values"]).append_column("mask", pa.array(masks))
    values = {name: table[name].to_pylist() for name in table.column_names}
    return pd.DataFrame({name: pd.Series(it, dtype=object) for name, it in values.items()})


def _corner(part: float) -> tuple[float, float]:
    """Of a circle."""
    return 0.5 + 0.4 * math.cos(math.tau * part), 0.5 + 0.4 * math.sin(math.tau * part)


values = st.sampled_from(
    [*WORDS, "rests_on_background", "undecided", "fish", "true", "false", "1", "nobody's", None]
)
numbers = st.one_of(st.none(), st.floats(-4, 4), st.sampled_from([0.5, -3.25, 1e300]))
conditions = st.one_of(
    st.builds(HasValue, column=st.sampled_from(VALUES), values=st.lists(values, max_size=4)),
    st.builds(InRange, column=st.sampled_from([*NUMBERS, "rating"]), low=numbers, high=numbers),
    st.builds(
        ContainsText,
        column=st.sampled_from([*TEXTS, None]),
        text=st.sampled_from(["", "fish", "FISH", "score", "'", '"', "%", "_", "000", "É", "\\"]),
    ),
    st.builds(
        IsRow, row_ids=st.lists(st.sampled_from(["images/test/00003.png", "x'"]), max_size=2)
    ),
)
filters = st.builds(Filter, conditions=st.lists(conditions, max_size=3))
sortings = st.builds(
    Sorting,
    column=st.sampled_from([None, *NUMBERS, *VALUES, *TEXTS, "count"]),
    order=st.sampled_from(["asc", "desc"]),
)


def meets(row: dict[str, Any], condition: Any, texts: list[str]) -> bool:
    if isinstance(condition, IsRow):
        return row["row_id"] in condition.row_ids
    if isinstance(condition, InRange):
        value = row[condition.column]
        low = -math.inf if condition.low is None else condition.low
        high = math.inf if condition.high is None else condition.high
        return value is not None and math.isfinite(value) and low <= value <= high
    if isinstance(condition, HasValue):
        return as_text(row[condition.column]) in condition.values
    names = texts if condition.column is None else [condition.column]
    found = (as_text(row[name]) for name in names)
    return any(condition.text.lower() in it.lower() for it in found if it is not None)


def as_text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def expected_rows(frame: pd.DataFrame, database: ImageDatabase, chosen: Filter) -> pd.DataFrame:
    kinds, addresses = ("category", "text"), ("image", "mask")
    columns = [it for it in database.columns.values() if it.name not in addresses]
    texts = [it.name for it in columns if it.kind in kinds]
    met = frame.apply(
        lambda row: all(meets(row, condition, texts) for condition in chosen.conditions), axis=1
    )
    return frame[met.astype(bool)]


def sorted_by(frame: pd.DataFrame, sorting: Sorting) -> list[str]:
    if sorting.column is None:
        rows = frame if sorting.order == "asc" else frame[::-1]
        return list(rows["row_id"])
    values = frame[sorting.column].map(
        lambda it: None if isinstance(it, float) and not math.isfinite(it) else it
    )
    present, missing = frame[values.notna()], frame[values.isna()]
    keys = values[values.notna()]
    keys = keys.map(lambda it: it.encode() if isinstance(it, str) else it)
    order = sorted(keys.index, key=lambda it: keys[it], reverse=sorting.order == "desc")
    return [*present.loc[order, "row_id"], *missing["row_id"]]


@given(filters, sortings)
def test_rows_and_their_order_are_those_of_pandas(
    views: Views, frame: pd.DataFrame, chosen: Filter, sorting: Sorting
) -> None:
    rows = expected_rows(frame, views.database, chosen)
    total, page = views.page(chosen, sorting, 0, 500)
    assert total == len(rows) == views.count(chosen)
    assert [row["row_id"] for row in page] == sorted_by(rows, sorting)


@given(filters, st.sampled_from(VALUES))
def test_facets_count_as_pandas_without_their_own_conditions(
    views: Views, frame: pd.DataFrame, chosen: Filter, name: str
) -> None:
    rows = expected_rows(frame, views.database, chosen.without(name))
    counts = rows[name].map(as_text).value_counts(dropna=False)
    facet = views.facets(chosen, [name])[name]
    found = {it.value: it.count for it in facet.values if it.count}
    assert found == {None if pd.isna(key) else key: count for key, count in counts.items()}


@given(filters, st.sampled_from(NUMBERS))
def test_histograms_count_every_image_once(
    views: Views, frame: pd.DataFrame, chosen: Filter, name: str
) -> None:
    rows = expected_rows(frame, views.database, chosen.without(name))[name].astype(float)
    known = rows[np.isfinite(rows)]
    histogram = views.histograms(chosen, [name])[name]
    assert histogram.missing == len(rows) - len(known)
    assert len(histogram.chosen) == len(histogram.all) == BINS
    assert sum(histogram.chosen) == len(known)
    if histogram.low is not None and histogram.high is not None and len(known):
        width = (histogram.high - histogram.low) / BINS or 1
        bins = np.minimum((known - histogram.low) // width, BINS - 1)
        assert abs(np.bincount(bins.astype(int), minlength=BINS) - histogram.chosen).sum() <= 2


@given(filters, sortings)
def test_copied_sql_gives_the_same_rows_on_the_files(
    run: Run, views: Views, chosen: Filter, sorting: Sorting
) -> None:
    text = copied_sql((run,), views.database, chosen, sorting)
    found = [row[0] for row in duckdb.sql(text).fetchall()]
    assert found == [row["row_id"] for row in views.page(chosen, sorting, 0, 500)[1]]


@pytest.mark.parametrize("large", [False, True])
def test_nothing_that_the_browser_sends_is_run_or_opened(
    run: Run, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_table, "LARGE", 1 if large else 1 << 30)
    views = Views(open_images(run))
    file = tmp_path / "secret.csv"
    file.write_text("secret\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{file}')",
        f"COPY images TO '{tmp_path / 'out.csv'}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        f"ATTACH '{tmp_path / 'other.db'}'",
    ):
        with pytest.raises(duckdb.Error, match=r"ermission|disabled|locked|configuration"):
            views.database.query(sql)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"sql": "SELECT 1"}', "sql"),
        ('{"conditions": [{"kind": "sql", "sql": "1"}]}', "conditions.0"),
        ('{"conditions": [{"kind": "range", "column": "score", "low": "x"}]}', "low"),
        ('{"conditions": [{"kind": "range", "column": "score", "low": NaN}]}', "cannot be read"),
        ('{"conditions": [{"kind": "lasso", "space": "object", "polygon": [[0, 0]]}]}', "polygon"),
        (
            '{"conditions": [{"kind": "lasso", "space": "object", "polygon": [[0, 0], [1e308, 1], '
            "[-1e308, 2]]}]}",
            "at most 1000000",
        ),
    ],
)
def test_what_is_no_filter_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        Filter.parse(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (HasValue(column="flagg", values=("x",)), "did you mean 'flag'"),
        (InRange(column="flag", low=0.0), "cannot be asked so"),
        (InLasso(space="whole", polygon=((0, 0), (1, 0), (1, 1))), "no plot"),
    ],
)
def test_conditions_that_the_run_cannot_answer_say_what_can(
    views: Views, condition: Any, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        views.count(Filter(conditions=(condition,)))


def test_a_lasso_takes_the_points_inside(run: Run) -> None:
    database = open_images(run)
    row_ids = image_table(run, columns=["row_id"])["row_id"].to_pylist()
    points = np.random.default_rng(0).random((len(row_ids), 2)).astype(np.float32)
    table = pa.table({"row_id": row_ids, "object_x": points[:, 0], "object_y": points[:, 1]})
    database.add_coordinates(table, ("object",))
    star = ((0.1, 0.1), (0.9, 0.2), (0.5, 0.5), (0.8, 0.9), (0.2, 0.8))
    chosen = Filter(conditions=(InLasso(space="object", polygon=star),))
    inside = cv2_inside(points, star)
    found = {row["row_id"] for row in Views(database).page(chosen, Sorting(), 0, 500)[1]}
    assert found == {row for row, is_inside in zip(row_ids, inside, strict=True) if is_inside}
    assert 0 < len(found) < len(row_ids)


@pytest.mark.parametrize(
    "polygon",
    [
        tuple(_corner(number / MOST_CORNERS) for number in range(MOST_CORNERS)),
        ((0.0, 0.0), (1.0, 5e-324), (1.0, 1.0), (0.0, 1.0)),  # an edge of infinite slope
    ],
    ids=["of as many corners as are allowed", "almost level"],
)
def test_any_lasso_that_is_allowed_is_answered(
    run: Run, polygon: tuple[tuple[float, float], ...]
) -> None:
    database = open_images(run)
    row_ids = image_table(run, columns=["row_id"])["row_id"].to_pylist()
    points = np.random.default_rng(0).random((len(row_ids), 2)).astype(np.float32)
    table = pa.table({"row_id": row_ids, "object_x": points[:, 0], "object_y": points[:, 1]})
    database.add_coordinates(table, ("object",))
    chosen = Filter(conditions=(InLasso(space="object", polygon=polygon),))
    inside = cv2_inside(points, polygon)
    assert Views(database).chosen(chosen).tolist() == inside
    assert any(inside)


def cv2_inside(points: np.ndarray, polygon: tuple[tuple[float, float], ...]) -> list[bool]:
    import cv2

    corners = np.array(polygon, np.float32).reshape(-1, 1, 2)
    return [cv2.pointPolygonTest(corners, tuple(map(float, it)), False) > 0 for it in points]


def test_two_runs_stand_side_by_side(finished_run: RunFolder, other_run: RunFolder) -> None:
    run, before = Run.at(other_run.path), Run.at(finished_run.path)
    table = image_table(run, before).to_pandas()
    then = before.table().to_pandas().set_index("row_id")
    for row in table.to_dict("records"):
        earlier = then.loc[row["row_id"]]
        assert row["before.prediction"] == earlier["prediction"]
        changes = [] if row["change"] is None else list(row["change"])
        assert ("broken" in changes) == (earlier["correct"] and not row["correct"])
        assert ("fixed" in changes) == (row["correct"] and not earlier["correct"])
        flagged, unflagged = "rests_on_background", ("rests_on_object", "mixed")
        newly = row["flag"] == flagged and earlier["flag"] in unflagged
        assert ("newly flagged" in changes) == newly
    assert table["change"].notna().any()


def test_every_column_has_a_name_of_its_own(
    finished_run: RunFolder, other_run: RunFolder, tmp_path: Path
) -> None:
    """As the table of an export has, which has columns of ours, audited and exported again."""
    shutil.copytree(finished_run.path, tmp_path / "run")
    run = Run.at(tmp_path / "run")
    catalog = read_table(run.folder.catalog)
    names = ["flag", "catalog.flag", "before.label", "change"]
    for name in names:
        texts = pa.array([f"{name} {number}" for number in range(len(catalog))])
        catalog = catalog.append_column(name, texts)
    write_table(run.folder.catalog, catalog, run.folder.read_state().identity.shard_size)
    called = ["catalog.flag", "catalog.catalog.flag", "catalog.before.label", "catalog.change"]
    database = open_images(run, Run.at(other_run.path))
    assert list(database.columns)[-len(called) :] == called
    for name, column in zip(names, called, strict=True):
        chosen = Filter(conditions=(HasValue(column=column, values=(f"{name} 3",)),))
        assert Views(database).row_numbers(chosen).tolist() == [3]
    table = image_table(run, columns=called)
    assert [table[column][3].as_py() for column in called] == [f"{name} 3" for name in names]


def test_a_folder_named_like_a_value_of_a_column_changes_no_value(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "label=cat" / "score=9" / "run"
    shutil.copytree(finished_run.path, folder)
    run, original = Run.at(folder), Run.at(finished_run.path)
    assert image_table(run).equals(image_table(original))
    views = Views(open_images(run))
    chosen = Filter(conditions=(InRange(column="score", high=1.0),))
    assert views.count(chosen) > 0
    text = copied_sql((run,), views.database, chosen, Sorting())
    assert len(duckdb.sql(text).fetchall()) == views.count(chosen)


def count_rows(run: RunFolder) -> int:
    return len(read_table(run.catalog))


def with_columns(finished_run: RunFolder, tmp_path: Path, columns: dict[str, pa.Array]) -> Run:
    """A copy of the run, whose table had these columns too."""
    shutil.copytree(finished_run.path, tmp_path / "run")
    run = Run.at(tmp_path / "run")
    catalog = read_table(run.folder.catalog)
    for name, column in columns.items():
        catalog = catalog.append_column(name, column)
    write_table(run.folder.catalog, catalog, run.folder.read_state().identity.shard_size)
    return run


def test_a_users_column_is_called_the_same_in_every_run(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    """Also where the run lacks ours of that name, as it does before it is finished."""
    theirs = pa.array(["theirs"] * count_rows(finished_run))
    run = with_columns(
        finished_run, tmp_path, dict.fromkeys(("flag", "copies", "label_group"), theirs)
    )
    finished = list(open_images(run).columns)
    run.folder.flags.unlink()
    unfinished = list(open_images(run).columns)
    for names in (finished, unfinished):
        assert names[-3:] == ["catalog.flag", "catalog.copies", "catalog.label_group"]


def test_a_column_without_a_name_has_one(finished_run: RunFolder, tmp_path: Path) -> None:
    """As pandas writes the numbers of rows into a CSV."""
    count = count_rows(finished_run)
    run = with_columns(
        finished_run, tmp_path, {"": pa.array(range(count)), "unnamed": pa.array(["x"] * count)}
    )
    catalog = read_table(run.folder.catalog)
    table = image_table(run, columns=["unnamed", "catalog.unnamed"])
    assert table["unnamed"].to_pylist() == list(range(len(catalog)))
    assert set(table["catalog.unnamed"].to_pylist()) == {"x"}
    database = open_images(run)
    chosen = Filter(conditions=(InRange(column="unnamed", low=3, high=4),))
    assert Views(database).row_numbers(chosen).tolist() == [3, 4]
    text = copied_sql((run,), database, chosen, Sorting("unnamed", "desc"))
    row_ids = catalog["row_id"].to_pylist()
    assert [row[0] for row in duckdb.sql(text).fetchall()] == [row_ids[4], row_ids[3]]


def test_times_are_the_same_texts_in_every_time_zone(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    unknown = [None] * (count_rows(finished_run) - 1)
    taken = pa.array([0, *unknown], pa.timestamp("ms", "Asia/Tokyo"))
    run = with_columns(finished_run, tmp_path, {"taken": taken})
    database = open_images(run)
    chosen = Filter(conditions=(HasValue(column="taken", values=("1970-01-01 00:00:00+00",)),))
    sql = copied_sql((run,), database, chosen, Sorting())
    elsewhere = duckdb.connect()
    elsewhere.execute("SET TimeZone = 'America/New_York'")
    assert Views(database).row_numbers(chosen).tolist() == [0]
    assert len(elsewhere.execute(sql).fetchall()) == 1


def test_a_damaged_file_is_named(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    part = RunFolder.at(tmp_path / "run").parts("predictions")[0]
    part.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DamagedFile, match="run the command that wrote it again"):
        open_images(Run.at(tmp_path / "run"))


def test_a_remote_run_is_read_alike(run: Run) -> None:
    memory = fsspec.filesystem("memory")
    copy_to(memory, run.folder.path)
    remote = Run.at("memory:///remote run")
    assert image_table(remote).equals(image_table(run))
    database = open_images(remote)
    with pytest.raises(duckdb.Error):
        database.query("SELECT * FROM read_parquet('memory:///remote run/catalog.parquet')")


def copy_to(memory: Any, folder: object) -> None:
    for path in sorted(Path(str(folder)).rglob("*.*")):
        memory.pipe(f"/remote run/{path.relative_to(str(folder))}", path.read_bytes())


def test_chosen_columns_are_read_alone(run: Run) -> None:
    table = image_table(run, columns=["score", "row_id"])
    assert table.column_names == ["score", "row_id"]
    assert table.equals(image_table(run).select(["score", "row_id"]))
    with pytest.raises(UserError, match="no column 'scor'"):
        image_table(run, columns=["scor"])


def test_copies_are_counted(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    copied = Run.at(tmp_path / "run")
    row_ids = image_table(run, columns=["row_id"])["row_id"].to_pylist()
    rows = [{"content_id": "a", "row_id": it, "label": None, "labels": 1} for it in row_ids[:3]]
    write_table(copied.folder.duplicates, pa.Table.from_pylist(rows, DUPLICATES))
    copies = image_table(copied, columns=["copies"])["copies"].to_pylist()
    assert copies == [3, 3, 3] + [None] * (len(row_ids) - 3)
