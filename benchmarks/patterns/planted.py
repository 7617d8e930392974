"""Generated pictures with planted patterns, as a table that the audit reads, and their truth apart.

A pattern goes with one class: in training it is on nearly all of that class' pictures and on few
others; in the audited split its pictures have mixed labels. Backgrounds are otherwise balanced.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.patterns.artefacts import (
    KINDS,
    Kind,
    Pixels,
    Style,
    add_artefacts,
    covered,
    encode_jpeg,
)
from benchmarks.patterns.judge import PlantedPattern
from benchmarks.synthetic import DatasetVariant, chance_of
from tasks.synthetic.dataset import Row, plan, scene_of
from tasks.synthetic.scene import Scene, render
from tasks.synthetic.settings import BenchmarkSettings, ObjectSize, Split

VERSION = 1  # of the pictures, the networks and their effects; another version is another folder
FOLDER = Path(tempfile.gettempdir()) / f"sightline-patterns-{VERSION}"
TABLE = "metadata.csv"
COLUMNS = ("row_id", "image", "label", "mask", "split")
SIZES: dict[str, ObjectSize] = {"first": "small", "second": "small", "third": "default"}
TRAIN = 1600  # few, so that patterns are learnt well and objects less so
TEST = 1280  # audited
HELD_OUT = 320  # pictures that are never in a file: the planted effect is measured on them
PRESENCE: dict[Split, tuple[float, float]] = {  # share with the pattern: of its class, of others
    "train": (0.95, 0.01),
    "validation": (0.0, 0.0),
    "test": (0.5, 0.2),
}
WRITTEN: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class PlantedSpec:
    """Which patterns are planted in which pictures; none: a clean data set."""

    look: str
    kinds: tuple[Kind, ...]
    seed: int
    trained: bool = True  # else the network has random weights

    @property
    def data_name(self) -> str:
        return f"{self.look}-{'+'.join(self.kinds) or 'clean'}-{self.seed}"

    @property
    def name(self) -> str:
        return self.data_name if self.trained else f"{self.data_name}-random"

    @property
    def size(self) -> ObjectSize:
        return SIZES[self.look]

    @property
    def settings(self) -> BenchmarkSettings:
        variant = DatasetVariant(self.look, self.size, chance_of(self.look), self.seed)
        train = TRAIN if self.kinds else 0  # clean networks have learnt pictures of their own
        return variant.make_settings(train=train, validation=HELD_OUT, test=TEST)

    @property
    def labels(self) -> dict[Kind, str]:
        """The class that each pattern goes with, each another one."""
        key = [self.seed, *(KINDS.index(kind) for kind in self.kinds)]
        classes = self.settings.classes
        chosen = np.random.default_rng(key).permutation(len(classes))[: len(self.kinds)]
        return {kind: classes[index] for kind, index in zip(self.kinds, chosen, strict=True)}

    @property
    def folder(self) -> Path:
        """Of the pictures and their table: all that an audit sees."""
        return FOLDER / self.data_name / "pictures"

    @property
    def truth(self) -> Path:
        return FOLDER / self.data_name / "truth.json"

    @property
    def bundle(self) -> Path:
        return FOLDER / self.data_name / ("network" if self.trained else "random")


@dataclass(frozen=True)
class PlantedPicture:
    """One picture to draw, and the patterns that are planted in it."""

    row_id: str
    split: Split
    scene: Scene
    kinds: tuple[Kind, ...]


def plan_pictures(spec: PlantedSpec) -> list[PlantedPicture]:
    """Of all splits; a picture does not depend on how many others there are."""
    return [_plan_picture(spec, row) for row in plan(spec.settings)]


def _plan_picture(spec: PlantedSpec, row: Row) -> PlantedPicture:
    split: Split = row.split  # type: ignore[assignment]  # one of the three
    row_id = Path(row.file_name).relative_to("images").with_suffix("").as_posix().replace("/", "-")
    draw = np.random.default_rng([spec.seed, row.object_seed, row.background_seed])
    kinds = tuple(
        kind
        for kind, label in spec.labels.items()
        if draw.random() < PRESENCE[split][label != row.label]
    )
    other = int(draw.integers(1, len(spec.settings.backgrounds)))
    scene = place(scene_of(vars(row)), "background" in kinds, other, spec)
    return PlantedPicture(row_id, split, scene, kinds)


def place(scene: Scene, planted: bool, other: int, spec: PlantedSpec) -> Scene:
    """The scene on the background that is planted, or on the `other`th kind after it; where none
    is planted, as it was."""
    label = spec.labels.get("background")
    if label is None:
        return scene
    names = spec.settings.backgrounds
    own = names.index(spec.settings.drawing.own_background(label))
    return replace(scene, background=names[own if planted else (own + other) % len(names)])


def write_planted(spec: PlantedSpec) -> Path:
    """Draw pictures, table and truth, unless they are there; returns the path of the table."""
    table = spec.folder / TABLE
    if table.exists():
        return table
    pictures = [picture for picture in plan_pictures(spec) if picture.split in WRITTEN]
    for split in WRITTEN:
        for kind in ("images", "masks"):
            (spec.folder / kind / split).mkdir(parents=True, exist_ok=True)
    rows = [_write_picture(picture, spec) for picture in pictures]
    spec.truth.write_text(json.dumps(truth_of(spec, pictures), indent=1))
    table.write_text(_as_csv(rows), newline="")
    return table


def truth_of(spec: PlantedSpec, pictures: Sequence[PlantedPicture]) -> dict[str, object]:
    """Of the audited split: each pattern's class and members, and the background of each row."""
    audited = [picture for picture in pictures if picture.split == "test"]
    members = {kind: [it.row_id for it in audited if kind in it.kinds] for kind in spec.kinds}
    return {
        "patterns": [
            {"name": kind, "label": label, "members": members[kind]}
            for kind, label in spec.labels.items()
        ],
        "backgrounds": {it.row_id: it.scene.background for it in audited},
    }


def read_planted(spec: PlantedSpec) -> list[PlantedPattern]:
    """The patterns that were planted."""
    return [
        PlantedPattern(it["name"], frozenset(it["members"]), it["label"])
        for it in json.loads(spec.truth.read_text())["patterns"]
    ]


def read_backgrounds(spec: PlantedSpec, scenes: Sequence[str]) -> list[PlantedPattern]:
    """Kinds of background that pull to a class, each named "background: class"."""
    background_of = json.loads(spec.truth.read_text())["backgrounds"]
    found = []
    for scene in scenes:
        background, _, label = scene.partition(": ")
        rows = [row_id for row_id, kind in background_of.items() if kind == background]
        found.append(PlantedPattern(scene, frozenset(rows), label))
    return found


def _write_picture(picture: PlantedPicture, spec: PlantedSpec) -> Mapping[str, str]:
    image_HW3, mask_HW = draw_picture(picture.scene, picture.kinds, spec)
    name = f"{picture.split}/{picture.row_id}"
    image, mask = f"images/{name}.{'jpg' if 'jpeg' in spec.kinds else 'png'}", f"masks/{name}.png"
    if "jpeg" in spec.kinds:
        (spec.folder / image).write_bytes(encode_jpeg(image_HW3, "jpeg" in picture.kinds))
    else:
        Image.fromarray(image_HW3).save(spec.folder / image, compress_level=1)
    Image.fromarray(mask_HW.astype(np.uint8) * 255).save(spec.folder / mask, compress_level=1)
    cells = (picture.row_id, image, picture.scene.label, mask, picture.split)
    return dict(zip(COLUMNS, cells, strict=True))


def draw_picture(
    scene: Scene, kinds: Sequence[Kind], spec: PlantedSpec
) -> tuple[Pixels, np.ndarray]:
    """Pixels before they are encoded, and the mask of the object as far as it is seen."""
    style, drawn = Style.of(spec.seed), render(scene, spec.settings)
    mask_HW = drawn.mask_HW & ~covered(kinds, style, drawn.mask_HW.shape)
    return add_artefacts(drawn.image_HW3, kinds, style), mask_HW


def _as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def held_out(spec: PlantedSpec) -> Iterator[PlantedPicture]:
    """Pictures without any pattern that neither training nor audit has seen."""
    return (picture for picture in plan_pictures(spec) if picture.split == "validation")


SINGLE: tuple[tuple[Kind, ...], ...] = tuple((kind,) for kind in KINDS)
TOGETHER: tuple[tuple[Kind, ...], ...] = (
    *(("background", "tag"), ("watermark", "jpeg"), ("frame", "blur")),
    *(("background", "watermark", "blur"), ("tag", "frame", "jpeg")),
)


def _list_specs() -> Iterator[PlantedSpec]:
    """Of the study, the most telling first."""
    clean = [PlantedSpec(look, (), seed) for seed in range(1, 10) for look in ("first", "second")]
    clean[2:2] = [PlantedSpec("third", (), 1)]
    clean += [PlantedSpec("third", (), 2)]
    random = [replace(spec, trained=False) for spec in clean[:10]]
    yield from (PlantedSpec("first", kinds, 1) for kinds in SINGLE)
    yield from (*clean[:3], *random[:2])
    yield from (PlantedSpec("first", kinds, 1) for kinds in TOGETHER)
    yield from (PlantedSpec("second", kinds, 1) for kinds in (*SINGLE, *TOGETHER))
    for seed in (2, 3):
        for look in ("first", "second"):
            yield from (PlantedSpec(look, kinds, seed) for kinds in (*SINGLE, *TOGETHER))
    yield from (*clean[3:], *random[2:])


SPECS = tuple(_list_specs())
