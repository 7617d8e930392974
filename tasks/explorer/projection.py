"""Coordinates of a run's images on a plane, so that images with alike features are near each other.

Of at most LANDMARKS images, chosen by the hash of their pictures, t-SNE makes a map; every other
image is put among those landmarks whose features are nearest to its own. Each space is a plot of
its own, in the unit square. What is near on it is alike; how far apart groups are says nothing.

PCA was tried first, since it is stable and takes no time: it keeps less of who is near whom, and
groups lie on one another (benchmarks/explorer/results.md has the figures).

Shapes: N rows of the catalog, n of them with features, L landmarks, F numbers of a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch

from models.errors import DamagedFile, describe_error
from tasks import schema
from tasks.explorer.features import FeatureArray, read_features
from tasks.query.filters import SPACES
from tasks.runs.reader import Run
from tasks.runs.rows import RunRows
from tasks.runs.stages import PREDICTIONS
from tasks.storage.parquet import read_table, write_table

log = logging.getLogger("sightline")

VERSION = b"1"  # of the method: raised when the same features get other coordinates
VERSION_KEY = b"sightline.coordinates"
LANDMARKS = 5000
PERPLEXITY = 30.0
NEAREST = 5  # landmarks that an image is put among
SEED = 0
AT_ONCE = 1 << 12  # images that are placed at a time

Report = Callable[[float], None]  # told what share is done


def coordinates(run: Run, report: Report = lambda done: None) -> pa.Table:
    """Rows of schema.COORDINATES in the catalog's order; computed once and kept with the run.

    Where the run's folder cannot be written, or the run is not finished, they are only returned.
    """
    kept = _read_kept(run)
    if kept is not None:
        return kept
    table = compute_coordinates(RunRows(run), report)
    if run.folder.read_state().state != "finished":
        return table
    try:
        write_table(run.folder.coordinates, table)
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): the coordinates of the plot are kept in memory alone, and "
            "computed again next time",
            run.folder.coordinates,
            error.strerror or describe_error(error),
        )
    return table


def compute_coordinates(rows: RunRows, report: Report = lambda done: None) -> pa.Table:
    """The same, whatever is kept."""
    columns: dict[str, pa.Array] = {"row_id": rows.row_ids}
    order_N = order_by_content(rows)
    for index, space in enumerate(SPACES):
        features = read_features(rows, space)
        place_N2 = lay_out(features, order_N, _report_of_space(report, index))
        for axis, name in enumerate(("x", "y")):
            values = place_N2[:, axis]
            columns[f"{space}_{name}"] = pa.array(values, pa.float32(), mask=np.isnan(values))
    report(1.0)
    table = pa.table(columns, schema=schema.COORDINATES)
    return table.replace_schema_metadata({VERSION_KEY: VERSION})


def _report_of_space(report: Report, index: int) -> Report:
    def report_space(done: float) -> None:
        report((index + done) / len(SPACES))

    return report_space


def lay_out(
    features: FeatureArray, order_N: np.ndarray, report: Report = lambda done: None
) -> np.ndarray:
    """(N, 2) float32 from 0 to 1; NaN without features. The first in order are the landmarks."""
    place_N2 = np.full((len(features.known_N), 2), np.nan, np.float32)
    landmark_L = order_N[features.known_N[order_N]][:LANDMARKS]
    if not len(landmark_L):
        return place_N2
    direction_LF = directions(features.vector_NF[landmark_L])
    spot_L2 = map_landmarks(direction_LF)
    report(0.5)
    number_n = np.flatnonzero(features.known_N)
    for start in range(0, len(number_n), AT_ONCE):
        some_n = number_n[start : start + AT_ONCE]
        direction_nF = directions(features.vector_NF[some_n])
        place_N2[some_n] = _among_nearest(direction_nF, direction_LF, spot_L2)
        report(0.5 + 0.5 * min(1, (start + AT_ONCE) / len(number_n)))
    place_N2[landmark_L] = spot_L2
    return _to_unit_square(place_N2)


def directions(vector_NF: np.ndarray) -> np.ndarray:
    """float32 vectors of length 1."""
    long_NF = vector_NF.astype(np.float32)
    direction_NF: np.ndarray = long_NF / np.linalg.norm(long_NF, axis=1, keepdims=True)
    return direction_NF


def map_landmarks(direction_LF: np.ndarray) -> np.ndarray:
    """(L, 2): t-SNE from the two main axes; those alone for a few images."""
    from sklearn.manifold import TSNE  # takes a second to import
    from threadpoolctl import threadpool_limits

    start_L2 = main_axes(direction_LF)
    spread = start_L2[:, 0].std()
    perplexity = min(PERPLEXITY, (len(direction_LF) - 1) / 3)
    if perplexity < 2 or spread == 0:
        return start_L2
    tsne = TSNE(perplexity=perplexity, init=1e-4 * start_L2 / spread, random_state=SEED)
    with threadpool_limits(1):  # threads that wait for each other take ten times as long
        spot_L2: np.ndarray = tsne.fit_transform(direction_LF)
    return spot_L2


def main_axes(direction_LF: np.ndarray) -> np.ndarray:
    """(L, 2) float32: principal components; zeros beyond the number of those that vary."""
    centred_LF = direction_LF.astype(np.float64) - direction_LF.mean(0, dtype=np.float64)
    _, vector_FF = np.linalg.eigh(centred_LF.T @ centred_LF)
    axis_2F = vector_FF.T[::-1][:2]
    largest = np.abs(axis_2F).argmax(1)
    axis_2F = axis_2F * np.sign(axis_2F[np.arange(len(axis_2F)), largest])[:, None]
    axes_L2 = np.zeros((len(direction_LF), 2), np.float32)
    axes_L2[:, : len(axis_2F)] = centred_LF @ axis_2F.T
    return axes_L2


def _among_nearest(
    direction_nF: np.ndarray, direction_LF: np.ndarray, spot_L2: np.ndarray
) -> np.ndarray:
    """(n, 2): the mean of the nearest landmarks' spots, the nearer the heavier."""
    cosine_nL = torch.from_numpy(direction_nF) @ torch.from_numpy(direction_LF).T
    cosine_nk, nearest_nk = cosine_nL.topk(min(NEAREST, len(spot_L2)), dim=1)
    farther_nk = cosine_nk[:, :1] - cosine_nk
    reach_n1 = farther_nk.mean(1, keepdim=True).clamp(min=1e-9)
    weight_nk = torch.softmax(-farther_nk / reach_n1, 1)
    spot_nk2 = torch.from_numpy(spot_L2)[nearest_nk]
    place_n2: np.ndarray = (weight_nk[..., None] * spot_nk2).sum(1).numpy()
    return place_n2


def _to_unit_square(place_N2: np.ndarray) -> np.ndarray:
    """Moved and scaled alike along both axes, so that all lie in the square's middle."""
    low_2, high_2 = np.nanmin(place_N2, 0), np.nanmax(place_N2, 0)
    side = float((high_2 - low_2).max()) or 1.0
    place: np.ndarray = ((place_N2 - (low_2 + high_2) / 2) / side + 0.5).clip(0, 1)
    return place.astype(np.float32)


def order_by_content(rows: RunRows) -> np.ndarray:
    """The catalog's numbers in the order of the pictures' hashes: the same images come first in
    every run on them, and none is chosen by its place."""
    hash_N = np.full(len(rows.row_ids), np.iinfo(np.uint64).max)
    for shard in rows.run.shards:
        part = rows.run.part(PREDICTIONS, shard, ["row_id", "content_id"])
        if part is not None:
            content_n = [int(text[:16], 16) for text in part["content_id"].to_pylist()]
            hash_N[rows.numbers(shard, part["row_id"])] = np.array(content_n, np.uint64)
    return np.argsort(hash_N, kind="stable")


def _read_kept(run: Run) -> pa.Table | None:
    """None where there are none, or those of another version."""
    try:
        table = read_table(run.folder.coordinates, expected=schema.COORDINATES)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        log.warning("%s; the coordinates of the plot are computed again", error)
        return None
    return table if (table.schema.metadata or {}).get(VERSION_KEY) == VERSION else None
