"""All images of a run, divided in every space and by every column of the user's table.

Two passes over the shards: the first collects what is known of each image and a sample of the
vectors, from which the clusters are made; the second assigns every image. Neither holds more than
one shard's vectors and a few numbers per image. Shapes: N images, F numbers of a vector, L small
clusters, h w cells of the map, flattened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.discover.candidates import LEAST_IMAGES, Grouping
from tasks.discover.clusters import NOWHERE, Clusters, Scaling, Union, have_vectors
from tasks.discover.facts import Facts
from tasks.discover.ranks import Ranks
from tasks.discover.spaces import ShardImages, read_shards
from tasks.runs.reader import Run, join
from tasks.storage.parquet import read_table
from tasks.summary.columns import find_grouping_columns

SAMPLE = 100_000  # proposing images that clusters are made from
SCALINGS: Mapping[str, Scaling] = {
    "background": "direction",
    "attended": "direction",
    "place": "share",
    "properties": "deviation",
}


@dataclass(frozen=True)
class Divided:
    """What is known of the images, where they are, and their groupings."""

    facts: Facts
    start_of_shard: Mapping[int, int]  # the number of its first image
    clusters: Mapping[str, Clusters]  # by space
    groupings: tuple[Grouping, ...]
    by_known: tuple[Grouping, ...] = ()  # by clusters of an earlier run


KnownClusters = Sequence[tuple[str, Clusters]]  # each with its space


def divide(run: Run, method: str, known: KnownClusters = ()) -> Divided | None:
    """Also by the clusters that are known from an earlier run. None where no image was
    predicted."""
    parts, start_of_shard, samples, count = [], {}, _Samples(len(run.shards)), 0
    for shard, images in read_shards(run, method):
        start_of_shard[shard] = count
        count += len(images.facts)
        parts.append(images.facts)
        samples.add(shard, images)
    if not parts:
        return None
    clusters = samples.fit()
    by_space, others = _assign(run, method, [*clusters.items(), *known], samples.ranks())
    own, by_known = by_space[: len(clusters)], by_space[len(clusters) :]
    return Divided(Facts.join(parts), start_of_shard, clusters, (*own, *others), by_known)


@dataclass
class _Samples:
    """Vectors of some proposing images of each shard."""

    shards: int
    vectors: dict[str, list[np.ndarray]] = field(default_factory=dict)
    properties: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, shard: int, images: ShardImages) -> None:
        most = -(-SAMPLE // self.shards)
        generator = np.random.default_rng(shard)
        for space, vector_NF in images.vectors.items():
            usable_N = images.facts.proposes_N & have_vectors(vector_NF)
            numbers = generator.permutation(np.flatnonzero(usable_N))[:most]
            if len(numbers):
                self.vectors.setdefault(space, []).append(vector_NF[numbers])
        numbers = generator.permutation(np.flatnonzero(images.facts.proposes_N))[:most]
        for name, value_N in images.properties.items():
            self.properties.setdefault(name, []).append(value_N[numbers])

    def ranks(self) -> dict[str, tuple[str, Ranks]]:
        """By the name of a grouping, the property and its ranks from one end."""
        ranks: dict[str, tuple[str, Ranks]] = {}
        for name, parts in self.properties.items():
            low, high = Ranks.both_ends(np.concatenate(parts))
            ranks |= {f"low {name}": (name, low), f"high {name}": (name, high)}
        return ranks

    def fit(self) -> dict[str, Clusters]:
        """The clusters of each space in which enough images have a vector; the vectors are let go,
        one space after the other."""
        clusters = {}
        for space in list(self.vectors):
            vector_NF = np.concatenate(self.vectors.pop(space))
            if len(vector_NF) >= 2 * LEAST_IMAGES:
                clusters[space] = Clusters.fit(SCALINGS[space], vector_NF)
        return clusters


def _assign(
    run: Run, method: str, clusters: KnownClusters, ranks: Mapping[str, tuple[str, Ranks]]
) -> tuple[tuple[Grouping, ...], tuple[Grouping, ...]]:
    """Every image by all clusters; and by every property and every column."""
    by_space = [_Division(space, it.unions, len(it.centre_LP)) for space, it in clusters]
    by_rank = {name: _Division(name, it.unions, it.steps) for name, (_, it) in ranks.items()}
    by_column = {name: _division_of_column(run, name) for name in find_grouping_columns(run).few}
    usual = _Energy()
    catalog = run.folder.open_catalog()
    for shard, images in read_shards(run, method):
        usual.add(np.zeros(len(images.facts), np.int16), images)
        for division, (space, of_space) in zip(by_space, clusters, strict=True):
            division.add(*of_space.assign(images.vectors[space]), images)
        for name, (of, of_property) in ranks.items():
            by_rank[name].add(*of_property.assign(images.properties[of]), images)
        rows = join(
            pa.table({"row_id": images.row_ids}),
            catalog.read_row_group(shard, columns=["row_id", *by_column]),
        )
        for name, division in by_column.items():
            leaf_N = _codes(rows[name], division.values)
            division.add(leaf_N, np.zeros(len(leaf_N), np.float32), images)
    others = [it for it in (*by_rank.values(), *by_column.values()) if it.unions]
    by_clusters, by_values = (
        tuple(division.finish(usual.mean) for division in divisions)
        for divisions in (by_space, others)
    )
    return by_clusters, by_values


@dataclass
class _Energy:
    """Of the maps outside the foreground, summed over proposing images by small cluster."""

    leaves: int = 1
    sum_Lhw: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    count_L: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, leaf_N: np.ndarray, images: ShardImages) -> None:
        energy_Nhw = images.vectors["place"]
        if not self.sum_Lhw.shape[1]:  # until an image has a map
            self.sum_Lhw = np.zeros((self.leaves, energy_Nhw.shape[1]))
            self.count_L = np.zeros(self.leaves)
        known_N = images.facts.proposes_N & (leaf_N != NOWHERE) & have_vectors(energy_Nhw)
        if known_N.any():  # the vectors of a shard without any map have no length
            np.add.at(self.sum_Lhw, leaf_N[known_N], energy_Nhw[known_N])
            np.add.at(self.count_L, leaf_N[known_N], 1)

    @property
    def mean(self) -> np.ndarray:
        """Over all small clusters."""
        mean_hw: np.ndarray = self.sum_Lhw.sum(0) / max(1.0, self.count_L.sum())
        return mean_hw


@dataclass
class _Division:
    """A grouping that is filled shard by shard."""

    space: str
    unions: tuple[Union, ...]
    leaves: int
    values: tuple[str, ...] = ()
    leaf_parts: list[np.ndarray] = field(default_factory=list)
    distance_parts: list[np.ndarray] = field(default_factory=list)
    energy: _Energy = field(default_factory=_Energy)

    def __post_init__(self) -> None:
        self.energy = _Energy(self.leaves)

    def add(self, leaf_N: np.ndarray, distance_N: np.ndarray, images: ShardImages) -> None:
        self.leaf_parts.append(leaf_N.astype(np.int16))
        self.distance_parts.append(distance_N.astype(np.float32))
        if self.unions:  # of known patterns, the region is known, too
            self.energy.add(leaf_N, images)

    def finish(self, usual_hw: np.ndarray) -> Grouping:
        return Grouping(
            self.space,
            np.concatenate(self.leaf_parts),
            np.concatenate(self.distance_parts),
            self.unions,
            self.energy.sum_Lhw,
            self.energy.count_L,
            usual_hw,
            self.values,
        )


def _division_of_column(run: Run, name: str) -> _Division:
    """One small cluster per value."""
    column = read_table(run.folder.catalog, [name])[name]
    values = tuple(sorted(set(_as_text(column).drop_null().to_pylist())))
    unions = tuple(Union((leaf,), 1.0) for leaf in range(len(values)))
    return _Division(name, unions, len(values), values)


def _codes(column: pa.ChunkedArray, values: tuple[str, ...]) -> np.ndarray:
    index = pc.index_in(_as_text(column), pa.array(values, pa.string()))
    codes_N: np.ndarray = pc.fill_null(index, NOWHERE).to_numpy().astype(np.int16)
    return codes_N


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())
