"""The file for Embedding Atlas. It is opened by its server in test_real_tools.py."""

from __future__ import annotations

import io
import shlex

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tasks.export.neighbours import NEAREST, nearest
from tasks.export.registry import format_of
from tasks.query.database import image_table
from tasks.query.filters import Filter, IsRow
from tasks.runs.reader import Run
from tests.tasks.export.conftest import Export


def test_neighbours_are_those_of_all_pairs() -> None:
    feature_ND = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    feature_ND[[3, 17]] = np.nan
    feature_ND[21] = 0  # which has no direction
    number_NK, distance_NK = nearest(feature_ND)
    alone = [3, 17, 21]
    for n, feature_D in enumerate(feature_ND):
        if n in alone:
            assert set(number_NK[n]) == {n}
            continue
        cosine_N = feature_ND @ feature_D
        length_N = np.linalg.norm(feature_ND, axis=1)
        length_N[21] = 1
        cosine_N /= length_N * length_N[n]
        cosine_N[[n, *alone]] = -np.inf
        expected_K = np.argsort(-cosine_N)[:NEAREST]
        assert list(number_NK[n]) == [n, *expected_K]
        np.testing.assert_allclose(distance_NK[n, 1:], 1 - cosine_N[expected_K], atol=1e-5)


def test_one_image_has_no_neighbours() -> None:
    number_NK, distance_NK = nearest(np.ones((1, 3), np.float32))
    assert number_NK.tolist() == [[0]]
    assert distance_NK.tolist() == [[0]]


def test_each_row_has_coordinates_neighbours_and_its_picture(
    export: Export, hostile_run: Run
) -> None:
    table = pq.read_table(export("embedding-atlas") / "images.parquet")
    expected = image_table(hostile_run)
    assert table["row_id"].to_pylist() == expected["row_id"].to_pylist()
    assert table["catalog.picture"].to_pylist() == expected["picture"].to_pylist()
    assert 0 <= min(table["whole_x"].to_pylist()) < max(table["whole_x"].to_pylist()) <= 1
    for number, row in enumerate(table.select(["picture", "neighbors", "image"]).to_pylist()):
        shown_HW = np.asarray(Image.open(io.BytesIO(row["picture"])).convert("L"), float)
        original_HW = np.asarray(Image.open(row["image"]).convert("L"), float)
        assert abs(shown_HW - original_HW).mean() < 5  # what a JPEG loses
        assert row["neighbors"]["ids"][0] == number
        assert len(row["neighbors"]["ids"]) == len(row["neighbors"]["distances"]) == NEAREST + 1


def test_neighbours_are_numbers_of_rows_in_the_file(export: Export, hostile_run: Run) -> None:
    row_ids = image_table(hostile_run)["row_id"].to_pylist()[10:60:7]
    chosen = Filter(conditions=(IsRow(row_ids=tuple(row_ids)),))
    table = pq.read_table(export("embedding-atlas", chosen) / "images.parquet")
    assert table["row_id"].to_pylist() == row_ids
    for neighbours in table["neighbors"].to_pylist():
        assert sorted(neighbours["ids"]) == list(range(len(row_ids)))


def test_the_command_that_opens_it_names_its_columns(export: Export) -> None:
    folder = export("embedding-atlas")
    words = shlex.split(format_of("embedding-atlas").how_to_open(folder))
    assert words[:2] == ["embedding-atlas", str(folder / "images.parquet")]
    assert set(words[3::2]) <= set(pq.read_schema(words[1]).names)
