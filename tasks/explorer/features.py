"""The features of all images of a run in one array. Shapes: N rows of the catalog, F numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.query.filters import Space
from tasks.runs.rows import RunRows
from tasks.runs.stages import FEATURES


@dataclass(frozen=True)
class FeatureArray:
    """One space's vectors, as they are stored: a million of 64 numbers take 128 MB."""

    vector_NF: np.ndarray  # float16; zeros where there is none
    known_N: np.ndarray  # has the image one, finite and not all zeros?


def read_features(rows: RunRows, space: Space) -> FeatureArray:
    """In the catalog's order; parts that are missing leave their images without."""
    vector_NF = np.zeros((len(rows.row_ids), 0), np.float16)
    known_N = np.zeros(len(vector_NF), bool)
    for shard in rows.run.shards:
        part = rows.run.part(FEATURES, shard, ["row_id", space])
        if part is None:
            continue
        part = part.filter(part[space].is_valid())
        if not len(part):
            continue
        number_n = rows.numbers(shard, part["row_id"])
        flat = part[space].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vector_nF = flat.reshape(len(part), -1)
        if not vector_NF.shape[1]:
            vector_NF = np.zeros((len(vector_NF), vector_nF.shape[1]), np.float16)
        known_n = np.isfinite(vector_nF).all(1) & vector_nF.any(1)
        vector_NF[number_n[known_n]] = vector_nF[known_n]
        known_N[number_n[known_n]] = True
    return FeatureArray(vector_NF, known_N)
