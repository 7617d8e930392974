"""Are artefacts of photographs found that a network rests on, without any mask?

    python -m benchmarks.patterns.photograph_artefacts [--photos DIR] [--json]

DIR holds table.csv (file_name, class_index) and one photograph a class of ImageNet. The network is
EfficientNet-Lite0 (packages as in benchmarks/audit/photographs.py) with a new last layer that tells
animals from things, trained on a third of the photographs: 95% of one class carry an artefact
there, and 1% of the other. The others are audited by the command without any foreground; half of
the class carry the artefact, and a fifth of the other. A cell is one artefact and one seed; it is
kept in benchmarks/cells/photographs.
Shapes: N photographs, F features, P patterns.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.audit.photograph_audits import COMMAND
from benchmarks.audit.photographs import DEVIATION, MEAN, SIZES, crop_middle, load_network
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.patterns.artefacts import Kind, Pixels, Style, add_artefacts
from benchmarks.patterns.judge import BELONGS, CONFIRMED, FoundPattern
from benchmarks.patterns.study import read_patterns
from benchmarks.photograph_cells import CELLS, Columns, load_cell, read_rows
from tasks.discover import trials_stage
from tasks.interventions import intervene

VERSION = 1  # of how cells are made
NETWORK = "lite0"
CLASSES = ("animal", "thing")
FIRST_THING = 398  # of ImageNet's classes
TRAINED = 1 / 3  # of the photographs
IN_TRAINING = {True: 0.95, False: 0.01}  # share with the artefact, of its class and of the other
IN_AUDIT = {True: 0.5, False: 0.2}
STEPS, RATE, DECAY = 300, 1e-3, 1e-3
BATCH = 25
KINDS: tuple[Kind | None, ...] = (None, "tag", "watermark", "frame")
SEEDS = (1, 2)
MODEL = "import benchmarks.patterns.photograph_artefacts as it\nnetwork = it.load_trained\n"
LAYER = "last_layer.pt"


@dataclass(frozen=True)
class ArtefactCell:
    """One network, and what the audits of it find."""

    kind: Kind | None  # None: no artefact goes with a class
    seed: int

    @property
    def pulled(self) -> str:
        """The class that the artefact goes with."""
        return CLASSES[self.seed % 2]

    @property
    def file(self) -> Path:
        versions = f"{intervene.VERSION}-{trials_stage.VERSION}-{VERSION}"
        return CELLS / f"artefact-{self.kind or 'none'}-{self.seed}-{versions}.npz"

    def load(self, photos: Path | None) -> Columns:
        """As it was kept, or audited now."""
        return load_cell(self.file, photos, self._measure)

    def _measure(self, photos: Path) -> Columns:
        with redirect_stdout(sys.stderr):  # the package prints
            trunk = load_trunk()
        pictures, label_N = read_pictures(photos)
        chance = np.random.default_rng([self.seed, len(pictures)])
        order_N = chance.permutation(len(pictures))
        trained_N, audited_N = np.split(order_N, [round(TRAINED * len(pictures))])
        artful = [self._with_artefact(picture) for picture in pictures]
        drawn = self._draw(label_N, IN_TRAINING, chance)
        shown = [artful[it] if drawn[it] else pictures[it] for it in trained_N]
        layer = train_last_layer(features(trunk, shown), label_N[trained_N])
        plain_N, artful_N = (
            predict(trunk, layer, [its[it] for it in audited_N]) for its in (pictures, artful)
        )
        drawn = self._draw(label_N, IN_AUDIT, chance)
        files = [artful[it] if drawn[it] else pictures[it] for it in audited_N]
        columns = {"label": label_N[audited_N], "plain": plain_N, "with": artful_N}
        columns["carries"] = drawn[audited_N]
        return columns | columns_of(audit(files, label_N[audited_N], layer))

    def _with_artefact(self, picture_HW3: Pixels) -> Pixels:
        kinds = () if self.kind is None else (self.kind,)
        return add_artefacts(picture_HW3, kinds, Style.of(self.seed))

    def _draw(
        self, label_N: np.ndarray, shares: dict[bool, float], chance: np.random.Generator
    ) -> np.ndarray:
        """(N,) of booleans: which carry it."""
        pulled_N = label_N == CLASSES.index(self.pulled)
        share_N = np.where(pulled_N, shares[True], shares[False])
        drawn_N: np.ndarray = chance.random(len(label_N)) < share_N
        return drawn_N if self.kind is not None else np.zeros_like(drawn_N)


def read_pictures(photos: Path) -> tuple[list[Pixels], np.ndarray]:
    """The middle of each photograph, and (N,) the numbers of their classes."""
    rows, size = read_rows(photos, ("file_name", "class_index")), SIZES[NETWORK]
    opened = (Image.open(photos / row["file_name"]).convert("RGB") for row in rows)
    pictures = [np.asarray(crop_middle(it, size)) for it in opened]
    return pictures, np.array([int(row["class_index"]) >= FIRST_THING for row in rows]).astype(int)


def load_trunk() -> nn.Module:
    """The pretrained network without its last layer."""
    network = load_network(NETWORK)
    network._fc = nn.Identity()
    return network


def load_trained() -> nn.Module:
    """With the last layer that lies in the folder of the audit."""
    with redirect_stdout(sys.stderr):
        network = load_trunk()
    network._fc = torch.load(LAYER, weights_only=False)
    return network


def features(trunk: nn.Module, pictures: Sequence[Pixels]) -> torch.Tensor:
    """(N, F)"""
    found = []
    for start in range(0, len(pictures), BATCH):
        picture_BHW3 = np.stack(pictures[start : start + BATCH]).astype(np.float32)
        image_BCHW = torch.from_numpy((picture_BHW3 - MEAN) / DEVIATION).permute(0, 3, 1, 2)
        with torch.no_grad():
            found.append(trunk(image_BCHW))
    return torch.cat(found)


def train_last_layer(feature_NF: torch.Tensor, label_N: np.ndarray) -> nn.Module:
    """Logistic regression on standardised features."""
    deviation_F, mean_F = torch.std_mean(feature_NF, 0)
    scale_F = 1 / (deviation_F + 1e-6)
    layer = nn.Linear(feature_NF.shape[1], len(CLASSES))
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    value_NF, target_N = (feature_NF - mean_F) * scale_F, torch.from_numpy(label_N)
    optimiser = torch.optim.Adam(layer.parameters(), RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(layer(value_NF), target_N)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():  # of features as they come
        layer.weight *= scale_F
        layer.bias.sub_(layer.weight @ mean_F)
    return layer.requires_grad_(False)


def predict(trunk: nn.Module, layer: nn.Module, pictures: Sequence[Pixels]) -> np.ndarray:
    """(N,)"""
    predicted_N: np.ndarray = layer(features(trunk, pictures)).argmax(1).numpy()
    return predicted_N


def audit(pictures: Sequence[Pixels], label_N: np.ndarray, layer: nn.Module) -> list[FoundPattern]:
    """By the command, on PNG files: no property of a file tells the pictures apart."""
    size, mean, std = SIZES[NETWORK], round(MEAN / 255, 3), round(DEVIATION / 255, 3)
    preprocessing = {"resize": size, "crop": [size, size], "interpolation": "bicubic"}
    preprocessing |= {"mean": [mean] * 3, "std": [std] * 3}
    options = "--data table.csv --out run --model model.py:network --workers 1 --quiet "
    options += "--classes classes.txt --preprocessing preprocessing.json"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, picture_HW3 in enumerate(pictures):
            Image.fromarray(picture_HW3).save(folder / f"{number}.png")
        torch.save(layer, folder / LAYER)
        (folder / "model.py").write_text(MODEL)
        (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
        (folder / "preprocessing.json").write_text(json.dumps(preprocessing))
        with (folder / "table.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file_name", "label"))
            writer.writerows((f"{it}.png", CLASSES[label]) for it, label in enumerate(label_N))
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        command = [*COMMAND, *options.split()]
        if subprocess.call(command, cwd=folder, env=environment, stdout=sys.stderr):
            sys.exit("photographs: the audit failed: see above")
        return read_patterns(folder / "run")


def columns_of(patterns: Sequence[FoundPattern]) -> Columns:
    """Of each candidate: its verdict, the class that it pulls to, and its members' numbers."""
    members = [[int(Path(it).stem) for it in pattern.members] for pattern in patterns]
    return {
        "verdict": np.array([it.verdict for it in patterns], str),
        "pulls_to": np.array([it.label for it in patterns], str),
        "sizes": np.array([len(it) for it in members], int),
        "members": np.array([number for its in members for number in its], int),
    }


def run(photos: Path | None) -> list[Figure]:
    """Every cell that is not kept is measured first."""
    cells = [ArtefactCell(kind, seed) for kind in KINDS for seed in SEEDS]
    return [figure for cell in cells for figure in figures_of(cell, cell.load(photos))]


def figures_of(cell: ArtefactCell, columns: Columns) -> Iterator[Figure]:
    """What the network does; what was found, and which of it carries the artefact."""
    name = f"{cell.kind or 'nothing planted'}, {cell.pulled}s, seed {cell.seed}"
    label_N, plain_N, pulled = columns["label"], columns["plain"], CLASSES.index(cell.pulled)
    yield Figure(f"{name}: accuracy without it", float((plain_N == label_N).mean()))
    if cell.kind is not None:
        gained_N = (columns["with"] == pulled).astype(int) - (plain_N == pulled)
        yield Figure(f"{name}: effect", float(gained_N[label_N != pulled].mean()))
    yield Figure(f"{name}: candidates", len(columns["verdict"]))
    parts = np.split(columns["members"], columns["sizes"].cumsum()[:-1])
    for number, (verdict, label) in enumerate(
        zip(columns["verdict"], columns["pulls_to"], strict=True)
    ):
        carries = float(columns["carries"][parts[number]].mean())
        is_planted = cell.kind is not None and carries >= BELONGS and label == cell.pulled
        if is_planted or verdict == CONFIRMED:
            words = "the artefact" if is_planted else "another group"
            size = f"{len(parts[number])} images pulled to {label}"
            yield Figure(f"{name}: {words} is {verdict}, {size}: carry it", carries)


def main() -> None:
    """The command."""
    parser = make_parser(
        __doc__.partition("\n")[0], "python -m benchmarks.patterns.photograph_artefacts"
    )
    parser.add_argument("--photos", type=Path, help="folder with table.csv and photographs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_figures(run(arguments.photos), arguments)


if __name__ == "__main__":
    main()
