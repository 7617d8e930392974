"""What others propose from the same run: SpRAy's clusters of maps, Domino's mixture, and k-means
with a test on the images that made the clusters.

None of them intervenes. Each reads predictions, features and maps of a run folder and gives
patterns as `sightline discover` does, so that they are judged alike. SpRAy and Domino have no test:
whatever they report counts as confirmed. Shapes: N images, D numbers each, K classes, C clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse.csgraph import laplacian
from scipy.special import logsumexp
from scipy.stats import fisher_exact
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph

from benchmarks.patterns.judge import CONFIRMED, FoundPattern
from tasks.intervals.many_comparisons import adjust_p_values
from tasks.runs import open_run
from tasks.runs.stages import FEATURES, PREDICTIONS

METHOD = "grad_cam_pp"
NEAREST = 10  # neighbours in SpRAy's graph, as in CoRelAy
MOST_CLUSTERS = 10  # of one class' maps
COMPONENTS, SLICES = 25, 5  # of Domino: in the mixture, and reported
STEPS, TOLERANCE = 100, 1e-3  # of its EM
NOISE = 1e-3  # of its first responsibilities
FLOOR = 1e-6  # of its variances
CLUSTERS = 16  # of plain k-means
SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class RunImages:
    """What a run says of the images that have features and a map."""

    row_ids: np.ndarray
    label_N: np.ndarray  # class numbers
    prediction_N: np.ndarray
    whole_ND: np.ndarray  # features of the picture
    background_ND: np.ndarray
    map_ND: np.ndarray  # cells, of sum 1
    classes: tuple[str, ...]


def read_images(run_folder: Path) -> RunImages:
    """From the run's parquet files alone."""
    run = open_run(run_folder)
    tables = [
        pa.concat_tables([part for shard in run.shards if (part := run.part(stage, shard))])
        for stage in (PREDICTIONS, FEATURES)
    ]
    predictions, features = ({row["row_id"]: row for row in table.to_pylist()} for table in tables)
    maps = run.maps(list(predictions), METHOD)
    row_ids = [row_id for row_id in maps if row_id in features and features[row_id]["background"]]
    number = {name: index for index, name in enumerate(run.state.classes)}
    map_ND = np.stack([np.maximum(maps[row_id], 0).ravel() for row_id in row_ids])
    return RunImages(
        np.array(row_ids),
        np.array([number[predictions[it]["label"]] for it in row_ids]),
        np.array([number[predictions[it]["prediction"]] for it in row_ids]),
        np.array([features[it]["whole"] for it in row_ids], np.float64),
        np.array([features[it]["background"] for it in row_ids], np.float64),
        map_ND / np.maximum(map_ND.sum(1, keepdims=True), 1e-12),
        tuple(run.state.classes),
    )


def cluster_maps(images: RunImages) -> list[FoundPattern]:
    """SpRAy: for each predicted class, spectral clusters of its maps; the largest gap between
    eigenvalues says how many."""
    found = []
    for label in np.unique(images.prediction_N):
        own_n = np.flatnonzero(images.prediction_N == label)
        if len(own_n) > MOST_CLUSTERS:
            value_n, vector_nn = np.linalg.eigh(_graph_laplacian(images.map_ND[own_n]))
            count = 2 + int(np.diff(value_n[1 : MOST_CLUSTERS + 1]).argmax())
            spectral_nC = vector_nn[:, :count]
            length_n1 = np.linalg.norm(spectral_nC, axis=1, keepdims=True)
            distance_nC = _distances(spectral_nC / np.maximum(length_n1, 1e-12), count)
            found += _patterns(images, own_n, distance_nC, [int(label)] * count)
    return found


def _graph_laplacian(map_nD: np.ndarray) -> np.ndarray:
    """Normalised, of the graph of nearest neighbours, made symmetric."""
    graph = kneighbors_graph(map_nD, NEAREST, include_self=False)
    laplacian_nn: np.ndarray = laplacian((graph + graph.T) / 2, normed=True).toarray()
    return laplacian_nn


def find_error_slices(images: RunImages) -> list[FoundPattern]:
    """Domino: a mixture over features, label and prediction; the slices in which a class is
    predicted most beyond its labels."""
    responsibility_NC, labels_CK, predictions_CK = fit_error_mixture(images)
    excess_CK = predictions_CK - labels_CK
    chosen = np.argsort(-excess_CK.max(1))[:SLICES]
    classes = [int(excess_CK[it].argmax()) if it in chosen else -1 for it in range(len(excess_CK))]
    return _patterns(images, np.arange(len(images.row_ids)), -responsibility_NC, classes)


def fit_error_mixture(images: RunImages) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By EM: responsibilities (N, C), and each component's shares of labels and of predictions
    (C, K). Weights of 1, diagonal covariances, started from the cells of the confusion matrix."""
    one_hot_KK = np.eye(len(images.classes))
    label_NK, prediction_NK = one_hot_KK[images.label_N], one_hot_KK[images.prediction_N]
    log_NC, bound = np.log(_first_responsibilities(images)), -np.inf
    for _ in range(STEPS):
        responsibility_NC = np.exp(log_NC)
        count_C = responsibility_NC.sum(0) + 1e-12
        mean_CD, square_CD, label_CK, prediction_CK = (
            responsibility_NC.T @ value_N / count_C[:, None]
            for value_N in (images.whole_ND, images.whole_ND**2, label_NK, prediction_NK)
        )
        variance_CD = np.maximum(square_CD - mean_CD**2, 0) + FLOOR
        joint_NC = np.log(count_C / len(label_NK))
        joint_NC = joint_NC + _log_normal(images.whole_ND, mean_CD, variance_CD)
        for value_NK, share_CK in ((label_NK, label_CK), (prediction_NK, prediction_CK)):
            joint_NC += np.log(value_NK @ share_CK.T + np.finfo(float).eps)
        total_N = logsumexp(joint_NC, axis=1)
        log_NC, change, bound = joint_NC - total_N[:, None], total_N.mean() - bound, total_N.mean()
        if abs(change) < TOLERANCE:
            break
    return np.exp(log_NC), label_CK, prediction_CK


def _first_responsibilities(images: RunImages) -> np.ndarray:
    """Each component has one cell of the confusion matrix, in turn; a little noise parts those of
    one cell."""
    classes = len(images.classes)
    cell_N = images.label_N * classes + images.prediction_N
    own_NC = cell_N[:, None] == np.arange(COMPONENTS)[None] % classes**2
    noise_NC = np.random.default_rng(0).random(own_NC.shape)
    first_NC = own_NC / np.maximum(own_NC.sum(1, keepdims=True), 1) + NOISE * noise_NC
    normalised_NC: np.ndarray = first_NC / first_NC.sum(1, keepdims=True)
    return normalised_NC


def _log_normal(value_ND: np.ndarray, mean_CD: np.ndarray, variance_CD: np.ndarray) -> np.ndarray:
    """(N, C): log density of normal distributions with diagonal covariances."""
    square_NC = (value_ND**2) @ (1 / variance_CD).T - 2 * value_ND @ (mean_CD / variance_CD).T
    constant_C = (mean_CD**2 / variance_CD + np.log(2 * np.pi * variance_CD)).sum(1)
    log_NC: np.ndarray = -(square_NC + constant_C) / 2
    return log_NC


def cluster_and_test(images: RunImages) -> list[FoundPattern]:
    """k-means of background features; for each cluster the class that is predicted most beyond its
    rate elsewhere, and Fisher's test of that on the same images."""
    length_N1 = np.linalg.norm(images.background_ND, axis=1, keepdims=True)
    distance_NC = _distances(images.background_ND / np.maximum(length_N1, 1e-12), CLUSTERS)
    cluster_N = distance_NC.argmin(1)
    tests = [_test_cluster(images.prediction_N, cluster_N == it) for it in range(CLUSTERS)]
    adjusted = adjust_p_values([p for _, p in tests])
    verdicts = [CONFIRMED if q <= SIGNIFICANT else "not confirmed" for q in adjusted]
    every_n = np.arange(len(images.row_ids))
    return _patterns(images, every_n, distance_NC, [label for label, _ in tests], verdicts)


def _test_cluster(prediction_N: np.ndarray, inside_N: np.ndarray) -> tuple[int, float]:
    """The class with the largest odds ratio, and its p value."""
    counts_K2 = np.array(
        [
            [(prediction_N[inside_N] == label).sum(), (prediction_N[~inside_N] == label).sum()]
            for label in range(prediction_N.max() + 1)
        ]
    )
    rest_K2 = np.array([inside_N.sum(), (~inside_N).sum()]) - counts_K2
    odds_K2 = (counts_K2 + 0.5) / (rest_K2 + 0.5)
    label = int((odds_K2[:, 0] / odds_K2[:, 1]).argmax())
    test = fisher_exact([counts_K2[label], rest_K2[label]], alternative="greater")
    return label, float(test.pvalue)


def _distances(value_ND: np.ndarray, clusters: int) -> np.ndarray:
    """(N, C): to the centres of k-means."""
    distance_NC: np.ndarray = KMeans(clusters, n_init=10, random_state=0).fit_transform(value_ND)
    return distance_NC


def _patterns(
    images: RunImages,
    row_n: np.ndarray,
    distance_nC: np.ndarray,
    classes: list[int],
    verdicts: list[str] | None = None,
) -> list[FoundPattern]:
    """Each row belongs to its nearest cluster; clusters of class -1 and empty ones are left out."""
    nearest_n, found = distance_nC.argmin(1), []
    for cluster, label in enumerate(classes):
        own = np.flatnonzero(nearest_n == cluster)
        if label >= 0 and len(own):
            ordered = row_n[own[distance_nC[own, cluster].argsort(kind="stable")]]
            verdict = CONFIRMED if verdicts is None else verdicts[cluster]
            members = tuple(images.row_ids[ordered].tolist())
            found.append(FoundPattern(members, images.classes[label], verdict))
    return found


NEIGHBOURS: dict[str, Callable[[RunImages], list[FoundPattern]]] = {
    "spectral clustering of maps": cluster_maps,
    "error-aware mixture": find_error_slices,
    "k-means, tested on the same images": cluster_and_test,
}
