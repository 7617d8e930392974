"""Groups of images that look alike in one space: many small clusters, and all unions of near ones.

Which of them matter is not decided here: every union is a candidate, since the images that judge it
are others. Shapes: N images, F numbers of a vector, P principal components, L small clusters, U
unions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

COMPONENTS = 32
MANY_TIMES = 10  # as many images as a vector has numbers
IMAGES_PER_CLUSTER = 400
FEWEST, MOST = 32, 256  # small clusters
SMALLEST = 4  # images a cluster is made from, on average: fewer images make fewer clusters
FARTHEST = 0.99  # quantile of the distances within a small cluster: farther images are in none
CLIPPED = 4.0  # deviations: one odd number says no more than this
NOWHERE = -1  # of an image that is in no cluster
SEEDS = 0, 1  # of the clusters, and of those that they are compared with

Scaling = Literal["direction", "share", "deviation"]


@dataclass(frozen=True)
class Projection:
    """From the vectors of one space to a few numbers whose distances mean something."""

    scaling: Scaling
    mean_F: np.ndarray
    deviation_F: np.ndarray
    basis_FP: np.ndarray

    @classmethod
    def fit(cls, scaling: Scaling, vector_NF: np.ndarray) -> Projection:
        scaled_NF = _scale(scaling, vector_NF)
        mean_F, deviation_F = scaled_NF.mean(0), np.ones(vector_NF.shape[1], np.float32)
        if scaling == "deviation":
            deviation_F = np.maximum(scaled_NF.std(0), 1e-6)
        scaled_NF = scaled_NF - mean_F
        scaled_NF /= deviation_F  # in place: a sample of a large run has hundreds of megabytes
        basis_PF = _principal_components(scaled_NF)
        return cls(scaling, mean_F, deviation_F, basis_PF.T.astype(np.float32))

    def apply(self, vector_NF: np.ndarray) -> np.ndarray:
        """(N, P)"""
        centred_NF = _scale(self.scaling, vector_NF) - self.mean_F
        centred_NF /= self.deviation_F
        if self.scaling == "deviation":
            np.clip(centred_NF, -CLIPPED, CLIPPED, out=centred_NF)
        projected_NP: np.ndarray = centred_NF @ self.basis_FP
        return projected_NP


def _principal_components(centred_NF: np.ndarray) -> np.ndarray:
    """(P, F): the directions in which the images differ most.

    Of many images by the moments of their numbers, which takes no copy of the vectors.
    """
    images, numbers = centred_NF.shape
    if images < MANY_TIMES * numbers:
        direction_FF = np.linalg.svd(centred_NF, full_matrices=False)[2]
    else:
        direction_FF = np.linalg.eigh(centred_NF.T @ centred_NF)[1].T[::-1]
    components_PF: np.ndarray = direction_FF[:COMPONENTS]
    return components_PF


def _scale(scaling: Scaling, vector_NF: np.ndarray) -> np.ndarray:
    if scaling == "direction":  # features of the same thing differ in size by contrast
        length_N1 = np.linalg.norm(vector_NF, axis=1, keepdims=True)
        vector_NF = vector_NF / np.maximum(length_N1, 1e-12)
    if scaling == "share":  # distances of roots are Hellinger's, of distributions
        vector_NF = np.sqrt(np.maximum(vector_NF, 0))
    return vector_NF


@dataclass(frozen=True)
class Union:
    """Small clusters that are near one another, and how well a second seed finds them again."""

    leaves: tuple[int, ...]
    stability: float  # Jaccard index with the nearest union of another seed


@dataclass(frozen=True)
class Clusters:
    """The clusters of one space."""

    projection: Projection
    centre_LP: np.ndarray
    reach_L: np.ndarray  # farther from the centre than this is in no cluster
    unions: tuple[Union, ...]

    @classmethod
    def fit(cls, scaling: Scaling, vector_NF: np.ndarray) -> Clusters:
        """From a sample of images that all have a vector."""
        projection = Projection.fit(scaling, vector_NF)
        value_NP = projection.apply(vector_NF)
        centre_LP, other_LP = (_centres(value_NP, seed) for seed in SEEDS)
        leaf_N, distance_N = nearest(value_NP, centre_LP)
        other_N, _ = nearest(value_NP, other_LP)
        return cls(
            projection,
            centre_LP,
            _reaches(leaf_N, distance_N, len(centre_LP)),
            _unions_of(centre_LP, other_LP, leaf_N, other_N),
        )

    def assign(self, vector_NF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The small cluster of each image, or NOWHERE; and how far it is from its centre, in
        reaches."""
        leaf_N = np.full(len(vector_NF), NOWHERE, np.int16)
        distance_N = np.full(len(vector_NF), np.nan, np.float32)
        known_N = have_vectors(vector_NF)
        if known_N.any():
            leaf_n, distance_n = nearest(self.projection.apply(vector_NF[known_N]), self.centre_LP)
            distance_n = distance_n / self.reach_L[leaf_n]
            leaf_N[known_N] = np.where(distance_n <= 1, leaf_n, NOWHERE)
            distance_N[known_N] = distance_n
        return leaf_N, distance_N


def have_vectors(vector_NF: np.ndarray) -> np.ndarray:
    """(N,) of booleans: which images have one at all."""
    if not vector_NF.shape[1]:
        return np.zeros(len(vector_NF), bool)
    known_N: np.ndarray = np.isfinite(vector_NF).all(1)
    return known_N


def nearest(value_NP: np.ndarray, centre_LP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each image, and its distance."""
    square_NL = (centre_LP**2).sum(1) - 2 * value_NP @ centre_LP.T
    leaf_N = square_NL.argmin(1)
    square_N = square_NL[np.arange(len(leaf_N)), leaf_N] + (value_NP**2).sum(1)
    return leaf_N, np.sqrt(np.maximum(square_N, 0))


def _centres(value_NP: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    wanted = int(np.clip(len(value_NP) // IMAGES_PER_CLUSTER, FEWEST, MOST))
    count = max(2, min(wanted, len(value_NP) // SMALLEST))
    model = MiniBatchKMeans(count, batch_size=4096, n_init=3, random_state=seed).fit(value_NP)
    used_LP: np.ndarray = model.cluster_centers_[np.unique(model.labels_)].astype(np.float32)
    return used_LP


def _reaches(leaf_N: np.ndarray, distance_N: np.ndarray, leaves: int) -> np.ndarray:
    """At least the typical distance, since small clusters know little of their own."""
    least = float(np.quantile(distance_N, FARTHEST))
    of_each = [distance_N[leaf_N == leaf] for leaf in range(leaves)]
    reach_L = [np.quantile(it, FARTHEST) if len(it) else 0.0 for it in of_each]
    return np.maximum(np.array(reach_L, np.float32), max(least, 1e-6))


def _unions_of(
    centre_LP: np.ndarray, other_LP: np.ndarray, leaf_N: np.ndarray, other_N: np.ndarray
) -> tuple[Union, ...]:
    union_UL, other_UL = _tree(centre_LP), _tree(other_LP)
    shared_LL = np.zeros((len(centre_LP), len(other_LP)))
    np.add.at(shared_LL, (leaf_N, other_N), 1)
    both_UU = union_UL @ shared_LL @ other_UL.T
    size_U, other_size_U = union_UL @ shared_LL.sum(1), other_UL @ shared_LL.sum(0)
    jaccard_UU = both_UU / np.maximum(size_U[:, None] + other_size_U[None] - both_UU, 1)
    return tuple(
        Union(tuple(np.flatnonzero(chosen_L).tolist()), float(stability))
        for chosen_L, stability in zip(union_UL, jaccard_UU.max(1), strict=True)
    )


def _tree(centre_LP: np.ndarray) -> np.ndarray:
    """(U, L) of 0 and 1: every small cluster, and every union of average linkage but the whole."""
    from scipy.cluster.hierarchy import linkage

    rows = list(np.eye(len(centre_LP)))
    if len(rows) == 1:  # all images are alike
        return np.stack(rows)
    for one, other, *_ in linkage(centre_LP, "average"):
        rows.append(rows[int(one)] + rows[int(other)])
    return np.stack(rows[:-1])
