"""The numbers by which images are grouped, against a singular value decomposition of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.discover.clusters import COMPONENTS, MANY_TIMES, Projection, Scaling

NUMBERS = 40  # of a vector


@pytest.mark.parametrize("images", [NUMBERS // 2, NUMBERS * MANY_TIMES - 1, NUMBERS * MANY_TIMES])
@pytest.mark.parametrize("scaling", ["direction", "share", "deviation"])
def test_distances_are_those_of_the_first_components(images: int, scaling: Scaling) -> None:
    generator = np.random.default_rng(images)
    causes = generator.random((images, 8)) @ generator.random((8, NUMBERS))
    vector_NF = (causes + generator.random((images, NUMBERS))).astype(np.float32)
    value_NP = Projection.fit(scaling, vector_NF).apply(vector_NF)
    expected_NP = _first_components(scaling, vector_NF.astype(np.float64))
    assert np.allclose(_distances(value_NP), _distances(expected_NP), rtol=1e-3, atol=1e-4)


def _first_components(scaling: Scaling, vector_NF: np.ndarray) -> np.ndarray:
    if scaling == "direction":
        vector_NF = vector_NF / np.linalg.norm(vector_NF, axis=1, keepdims=True)
    if scaling == "share":
        vector_NF = np.sqrt(vector_NF)
    vector_NF = vector_NF - vector_NF.mean(0)
    if scaling == "deviation":
        vector_NF = vector_NF / vector_NF.std(0)
    basis_PF = np.linalg.svd(vector_NF)[2][:COMPONENTS]
    if scaling == "deviation":
        vector_NF = np.clip(vector_NF, -4, 4)
    projected_NP: np.ndarray = vector_NF @ basis_PF.T
    return projected_NP


def _distances(value_NP: np.ndarray) -> np.ndarray:
    distance_NN: np.ndarray = np.linalg.norm(value_NP[:, None] - value_NP[None], axis=-1)
    return distance_NN
