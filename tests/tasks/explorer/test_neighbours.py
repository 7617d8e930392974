"""Neighbours are the nearest by cosine, as a loop over all images finds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tasks import schema
from tasks.explorer import neighbours
from tasks.explorer.features import FeatureArray, read_features
from tasks.explorer.neighbours import Directions, Neighbours, smallest
from tasks.query.filters import SPACES, Space
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows
from tasks.runs.stages import FEATURES


def cosine_distance(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = sum(a * a for a in one) ** 0.5 * sum(b * b for b in other) ** 0.5
    return float(1 - dot / lengths)


@pytest.mark.parametrize("space", SPACES)
def test_the_nearest_of_a_run_are_those_of_a_loop(finished_run: RunFolder, space: Space) -> None:
    rows = RunRows(open_run(finished_run.path))
    near = Neighbours(rows)
    vectors = {
        row["row_id"]: [float(value) for value in row[space]]
        for row in pq.read_table(finished_run.stage(FEATURES)).to_pylist()
    }
    for row_id in rows.row_ids.to_pylist()[::7]:
        found = near.nearest(row_id, space)
        distances = {
            other: cosine_distance(vectors[row_id], vector)
            for other, vector in vectors.items()
            if other != row_id
        }
        expected = sorted(distances.values())[:8]
        assert [it.distance for it in found] == pytest.approx(expected, abs=1e-5)
        for it in found:
            assert it.distance == pytest.approx(distances[it.row_id], abs=1e-5)


def test_images_without_features_have_no_neighbours_and_are_none(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    table = pq.read_table(run.part(FEATURES, 1)).to_pylist()
    table[0]["object"] = None
    table[1]["object"] = [0.0] * len(table[1]["whole"])
    table[2]["object"] = [float("nan")] * len(table[2]["whole"])
    pq.write_table(pa.Table.from_pylist(table, schema=schema.FEATURES), run.part(FEATURES, 1))
    run.part(FEATURES, 0).unlink()
    rows = RunRows(open_run(run.path))
    near, without = Neighbours(rows), [row["row_id"] for row in table[:3]]
    for row_id in (*without, rows.row_ids[0].as_py()):
        assert near.nearest(row_id, "object") == ()
    found = near.nearest(table[3]["row_id"], "object")
    assert len(found) == 8
    assert {it.row_id for it in found} <= {row["row_id"] for row in table[4:]}
    assert len(near.nearest(table[0]["row_id"], "whole")) == 8


vectors = arrays.arrays(
    np.float16, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(-9, 9)
)


@given(vectors, st.integers(1, 5))
def test_blocks_do_not_matter(vector_NF: np.ndarray, block: int) -> None:
    features = FeatureArray(vector_NF, np.any(vector_NF != 0, axis=1))
    with pytest.MonkeyPatch.context() as patch:
        whole_N = Directions(features).distances(0)
        patch.setattr(neighbours, "BLOCK", block)
        np.testing.assert_allclose(Directions(features).distances(0), whole_N, atol=1e-6)
    assert whole_N[0] == np.inf
    assert np.isinf(whole_N[~features.known_N]).all()


@given(st.lists(st.integers(0, 5).map(float), max_size=30), st.integers(1, 9))
def test_the_smallest_are_first_in_order_with_ties_by_number(
    values: list[float], count: int
) -> None:
    with_missing = [*values, float("inf")]
    found = smallest(np.array(with_missing, np.float32), count).tolist()
    assert found == sorted(range(len(values)), key=lambda number: values[number])[:count]


def test_features_are_in_the_catalogs_order(finished_run: RunFolder) -> None:
    rows = RunRows(open_run(finished_run.path))
    features = read_features(rows, "whole")
    by_row = {
        row["row_id"]: row["whole"]
        for row in pq.read_table(rows.run.folder.stage(FEATURES)).to_pylist()
    }
    expected = np.array([by_row[row_id] for row_id in rows.row_ids.to_pylist()], np.float16)
    np.testing.assert_array_equal(features.vector_NF, expected)
    assert features.known_N.all()
