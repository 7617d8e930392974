"""How much of who is near whom the plot keeps, beside PCA; and what a million images take.

    python -m benchmarks.explorer.plot RUN...

Of each image's ten nearest by features, the share that is among its ten nearest on the plot, on
average over the images of a finished run. Shapes: N images, n of them in a sample, F numbers.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator

import numpy as np
from sklearn.neighbors import NearestNeighbors

from benchmarks.measure import Figure, as_markdown
from benchmarks.speed.peak_memory import track_peak_memory
from tasks.explorer.features import FeatureArray, read_features
from tasks.explorer.neighbours import NEAREST, Directions, smallest
from tasks.explorer.projection import directions, lay_out, main_axes, order_by_content
from tasks.query.filters import SPACES
from tasks.runs import open_run
from tasks.runs.rows import RunRows

COMPARED = 10  # neighbours of each image
MILLION = 1_000_000
GROUPS, NUMBERS = 50, 64  # of the generated features


def kept_neighbours(direction_NF: np.ndarray, place_N2: np.ndarray) -> float:
    """0 to 1, on average over the images."""
    before_NK, after_NK = (_nearest(vectors) for vectors in (direction_NF, place_N2))
    shared_N = [
        len(set(before) & set(after)) for before, after in zip(before_NK, after_NK, strict=True)
    ]
    return float(np.mean(shared_N)) / COMPARED


def figures_of_run(path: str) -> Iterator[Figure]:
    rows = RunRows(open_run(path))
    order_N = order_by_content(rows)
    for space in SPACES:
        features = read_features(rows, space)
        direction_NF = directions(features.vector_NF[features.known_N])
        start = time.process_time()
        place_N2 = lay_out(features, order_N)[features.known_N]
        seconds = time.process_time() - start
        name = f"{space}, {len(direction_NF):,} images"
        yield Figure(f"{name}: kept by the plot", kept_neighbours(direction_NF, place_N2))
        kept = kept_neighbours(direction_NF, main_axes(direction_NF))
        yield Figure(f"{name}: kept by PCA", kept)
        yield Figure(f"{name}: CPU seconds of the plot", seconds)


def figures_of_a_million() -> Iterator[Figure]:
    """One space of generated features."""
    features = _generated(MILLION)
    near = Directions(features)
    near.distances(0)
    for images in (MILLION // 10, MILLION):
        some = FeatureArray(features.vector_NF[:images], features.known_N[:images])
        near = Directions(some)
        near.distances(0)
        start = time.process_time()
        for number in range(10):
            smallest(near.distances(number), NEAREST)
        milliseconds = 100 * (time.process_time() - start)
        yield Figure(
            f"{images:,} images: CPU ms of the nearest {NEAREST}",
            milliseconds,
            goal="under 100" if images < MILLION else "",
            holds=milliseconds < 100 if images < MILLION else None,
        )
    order_N = np.random.default_rng(1).permutation(MILLION)
    start = time.process_time()
    with track_peak_memory() as memory:
        lay_out(features, order_N)
    yield Figure(f"{MILLION:,} images: CPU seconds of one space", time.process_time() - start)
    growth = (memory.most - memory.before) / 1e6
    yield Figure(f"{MILLION:,} images: MB beside the features", growth)


def _nearest(vectors: np.ndarray) -> np.ndarray:
    found = NearestNeighbors(n_neighbors=COMPARED + 1).fit(vectors)
    nearest_NK: np.ndarray = found.kneighbors(vectors, return_distance=False)[:, 1:]
    return nearest_NK


def _generated(images: int) -> FeatureArray:
    generator = np.random.default_rng(0)
    centre_KF = np.abs(generator.normal(size=(GROUPS, NUMBERS)))
    vector_NF = np.empty((images, NUMBERS), np.float16)
    for start in range(0, images, images // 20):
        some = vector_NF[start : start + images // 20]
        group_n = generator.integers(GROUPS, size=len(some))
        some[:] = centre_KF[group_n] + 0.3 * generator.normal(size=some.shape)
    return FeatureArray(vector_NF, np.ones(images, bool))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="finished runs; none: the million")
    runs = parser.parse_args().runs
    for path in runs:
        sys.stdout.write(f"{path}\n\n{as_markdown(list(figures_of_run(path)))}\n\n")
    if not runs:
        sys.stdout.write(f"{as_markdown(list(figures_of_a_million()))}\n")


if __name__ == "__main__":
    main()
