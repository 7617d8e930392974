"""Coordinates of the plot: one place per image, alike beside alike, the same every time, kept."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import schema
from tasks.explorer import projection
from tasks.explorer.features import FeatureArray
from tasks.explorer.projection import compute_coordinates, coordinates, lay_out
from tasks.runs import open_run
from tasks.runs.contents import erase, is_own_file, list_results, restart
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows
from tasks.runs.stages import FEATURES

CLUSTERS = 5


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))


def clusters(images: int, seed: int = 0) -> tuple[FeatureArray, np.ndarray]:
    """Features around a few directions, and the number of each image's."""
    generator = np.random.default_rng(seed)
    centre_KF = generator.normal(size=(CLUSTERS, 16))
    cluster_N = generator.integers(CLUSTERS, size=images)
    vector_NF = centre_KF[cluster_N] + 0.2 * generator.normal(size=(images, 16))
    return FeatureArray(vector_NF.astype(np.float16), np.ones(images, bool)), cluster_N


def agreement_with_nearest(place_N2: np.ndarray, cluster_N: np.ndarray) -> float:
    """The share of images whose nearest on the plot is of the same cluster."""
    distance_NN = ((place_N2[:, None] - place_N2[None]) ** 2).sum(-1)
    np.fill_diagonal(distance_NN, np.inf)
    return float((cluster_N[distance_NN.argmin(1)] == cluster_N).mean())


def test_every_image_has_its_place_in_the_unit_square(run: RunFolder) -> None:
    table = coordinates(open_run(run.path))
    assert table.schema.equals(schema.COORDINATES)
    assert table["row_id"].to_pylist() == pq.read_table(run.catalog)["row_id"].to_pylist()
    for name in table.column_names[1:]:
        values = table[name].to_numpy()
        assert (values.min(), values.max()) >= (0, 0)
        assert values.max() <= 1
    for space in ("whole", "object", "background"):
        ranges = [np.ptp(table[f"{space}_{axis}"].to_numpy()) for axis in "xy"]
        assert max(ranges) == pytest.approx(1, abs=1e-5)


def test_they_are_computed_once_and_the_same_each_time(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = coordinates(open_run(run.path))
    assert compute_coordinates(RunRows(open_run(run.path))).equals(first)
    assert pq.read_table(run.coordinates).equals(first)
    monkeypatch.setattr(projection, "compute_coordinates", None)  # would raise
    assert coordinates(open_run(run.path)).equals(first)


def test_alike_images_are_beside_each_other() -> None:
    features, cluster_N = clusters(300)
    assert agreement_with_nearest(lay_out(features, np.arange(300)), cluster_N) > 0.95


def test_images_that_are_no_landmarks_are_put_among_alike_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "LANDMARKS", 100)
    monkeypatch.setattr(projection, "AT_ONCE", 64)
    features, cluster_N = clusters(500)
    done: list[float] = []
    place_N2 = lay_out(features, np.arange(500)[::-1], done.append)
    assert agreement_with_nearest(place_N2, cluster_N) > 0.95
    assert len(np.unique(place_N2, axis=0)) > 450
    assert done == sorted(done)
    assert done[-1] == 1


def test_images_without_features_have_no_place(run: RunFolder) -> None:
    rows = pq.read_table(run.part(FEATURES, 1)).to_pylist()
    rows[0]["object"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.FEATURES), run.part(FEATURES, 1))
    run.part(FEATURES, 0).unlink()
    table = coordinates(open_run(run.path))
    without = 40  # of the first part
    assert table["whole_x"].null_count == table["whole_y"].null_count == without
    assert table["object_x"].null_count == without + 1
    assert table["object_x"][without].as_py() is None


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), max_size=12),
    st.integers(1, 12),
)
def test_few_or_equal_images_have_a_place_all_the_same(
    vectors: list[list[int]], landmarks: int
) -> None:
    vector_NF = np.array(vectors, np.float16).reshape(-1, 2)
    features = FeatureArray(vector_NF, np.any(vector_NF != 0, axis=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "LANDMARKS", landmarks)
        place_N2 = lay_out(features, np.arange(len(vector_NF)))
    assert (np.isfinite(place_N2).all(1) == features.known_N).all()
    known = place_N2[features.known_N]
    assert ((known >= 0) & (known <= 1)).all()


def test_a_network_with_one_number_of_features_has_a_plot() -> None:
    vector_NF = np.linspace(-1, 1, 20)[:, None].astype(np.float16)
    place_N2 = lay_out(FeatureArray(vector_NF, np.ones(20, bool)), np.arange(20))
    assert np.isfinite(place_N2).all()


def test_a_folder_that_cannot_be_written_still_has_a_plot(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(run.coordinates))

    monkeypatch.setattr(projection, "write_table", refuse)  # root may write everywhere
    table = coordinates(open_run(run.path))
    assert len(table) == 64
    assert "cannot be written (Permission denied): the coordinates" in caplog.text
    assert not run.coordinates.exists()


def test_a_damaged_file_and_one_of_another_version_are_computed_again(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = coordinates(open_run(run.path))
    run.coordinates.write_bytes(run.coordinates.read_bytes()[:-40])
    assert coordinates(open_run(run.path)).equals(first)
    assert "is damaged" in caplog.text
    pq.write_table(first.replace_schema_metadata({}), run.coordinates)
    assert coordinates(open_run(run.path)).schema.metadata
    assert pq.read_schema(run.coordinates).metadata


def test_a_run_that_goes_on_keeps_no_coordinates(run: RunFolder) -> None:
    run.update_state(state="running")
    assert len(coordinates(open_run(run.path))) == 64
    assert not run.coordinates.exists()


def test_the_file_is_the_runs_own_but_no_result(run: RunFolder) -> None:
    coordinates(open_run(run.path))
    assert is_own_file(run.coordinates.name)
    assert run.coordinates not in list_results(run)  # or looking at a run would change its stamp
    restart(run)
    assert not run.coordinates.exists()
    coordinates(open_run(run.path))
    assert erase(run).others == ()
    assert not run.coordinates.exists()
