"""A task made of photographs: objects by their masks, pasted on scenes, with a planted correlation.

Classes are superclasses of ImageNet; scenes are the photographs without a mask, their own objects
filled in, in four kinds by brightness and colour. In training a class stands mostly on its kind of
scene, in the test equally often on each. Test objects and test scenes are photographs that no
training picture has. Shapes: N pictures, C=3 colours, H W pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.photograph_cells import read_rows
from models.classifier.preprocessing import Preprocessing
from models.interventions import remove_object
from tasks.finetune.images import TrainingImages
from tasks.interventions.donors import DEVIATION, GREY
from tasks.interventions.foreground_areas import LARGEST_DONOR_FOREGROUND
from tasks.pictures.estimator import load_estimator
from tasks.pictures.settings import ForegroundSettings

VERSION = 1  # of the pictures
SIZE = 112  # pixels of a side
SCENE_SIZE = 128  # in which the scenes' own objects are filled in
CLASSES = {  # of ImageNet's labels that have a mask; 28 others are left out
    "mammal": (
        *("wallaby", "Japanese spaniel", "Afghan hound", "redbone", "Saluki", "Irish terrier"),
        *("cairn", "Tibetan terrier", "Labrador retriever", "clumber", "groenendael"),
        *("Border collie", "Appenzeller", "Eskimo dog", "Newfoundland", "Cardigan", "coyote"),
        *("grey fox", "leopard", "ice bear", "marmot", "hippopotamus", "impala", "otter"),
        *("gibbon", "proboscis monkey", "indri"),
    ),
    "other animal": (
        *("tench", "goldfish", "hen", "bulbul", "great grey owl", "tailed frog"),
        *("American chameleon", "Komodo dragon", "king snake", "black and gold garden spider"),
        *("black grouse", "macaw", "toucan", "conch", "fiddler crab", "black stork"),
        *("European gallinule", "pelican", "leaf beetle", "cricket", "damselfly", "rock beauty"),
    ),
    "vehicle or structure": (
        *("amphibian", "birdhouse", "canoe", "dock", "gondola", "minivan", "mountain tent"),
        *("parking meter", "projectile", "stupa", "thresher", "tow truck", "traffic light"),
        *("unicycle", "worm fence"),
    ),
    "tool or device": (
        *("bassoon", "bow", "buckle", "cash machine", "chain", "corkscrew", "dial telephone"),
        *("hair slide", "hard disc", "hook", "loudspeaker", "monitor", "oscilloscope"),
        *("paintbrush", "racket", "sax", "screwdriver", "shovel", "slot", "spindle", "swab"),
        *("tape player", "tripod"),
    ),
}
KINDS = ("dark, cool", "dark, warm", "bright, cool", "bright, warm")  # of scenes; one a class
APART = 0.4  # of the scenes at either end of brightness and colour make a kind, the rest none
STRENGTH = 0.95  # share of pictures on the scene of their class; the test has 1 in 4
FOLDS = 3  # each seed tests another third of the objects
TRAIN = 512  # pictures
SCENES_OF_A_KIND = 2  # that a test object stands on
AREA = (0.08, 0.2)  # of the picture that an object covers
LONGEST = 0.9  # of the picture's side
TRIES = 8

T = TypeVar("T")
Part = Literal["train", "test"]
Picture = NDArray[np.uint8]  # H W 3


@dataclass(frozen=True, eq=False)
class CutOut:
    """An object cut out of its photograph."""

    name: str
    label: int
    picture_hw3: Picture
    mask_hw: Picture  # 255 on the object

    def paste(self, scene_HW3: Picture, generator: np.random.Generator) -> tuple[Picture, Picture]:
        """On a scene, in a random size and place; with its mask."""
        share = generator.uniform(*AREA)
        rows, columns = self.mask_hw.shape
        scale = (share * SIZE * SIZE / (self.mask_hw > 127).sum()) ** 0.5
        scale = min(scale, LONGEST * SIZE / max(rows, columns))
        size = max(1, round(columns * scale)), max(1, round(rows * scale))
        object_hw3, mask_hw = (_resized(it, size) for it in (self.picture_hw3, self.mask_hw))
        top, left = (int(generator.integers(SIZE - length + 1)) for length in mask_hw.shape)
        mask_HW = np.zeros((SIZE, SIZE), np.uint8)
        place = slice(top, top + size[1]), slice(left, left + size[0])
        mask_HW[place] = mask_hw
        picture_HW3, soft_hw1 = scene_HW3.copy(), mask_hw[..., None] / np.float32(255)
        mixed_hw3 = soft_hw1 * object_hw3 + (1 - soft_hw1) * picture_HW3[place]
        picture_HW3[place] = mixed_hw3.round().astype(np.uint8)
        return picture_HW3, mask_HW


@dataclass(frozen=True, eq=False)
class Material:
    """All objects and scenes of the photographs."""

    objects: tuple[CutOut, ...]
    scenes: tuple[tuple[Picture, ...], ...]  # by kind


@dataclass(frozen=True, eq=False)
class Composites:
    """Pictures, and what they were made of."""

    images: TrainingImages
    kind_N: Tensor
    names: tuple[str, ...]  # of the objects


@dataclass(frozen=True)
class PhotographTask:
    """One split of the photographs: a third of objects and scenes is for the test."""

    photos: Path
    seed: int  # from 1 to FOLDS; others split alike

    @property
    def preprocessing(self) -> Preprocessing:
        grey, deviation = (127 / 255,) * 3, (128 / 255,) * 3  # as Lite0 was trained
        return Preprocessing(resize=(SIZE, SIZE), mean=grey, std=deviation)

    @cached_property
    def train(self) -> Composites:
        """Classes in turn; most on their kind of scene."""
        objects, scenes = self._split("train")
        generator, made = self._generator("train"), []
        for number in range(TRAIN):
            label = number % len(CLASSES)
            own = [it for it in objects if it.label == label]
            kind = label if generator.random() < STRENGTH else _other_than(label, generator)
            scene = scenes[kind][generator.integers(len(scenes[kind]))]
            cut_out = own[generator.integers(len(own))]
            made.append((*cut_out.paste(scene, generator), cut_out, kind))
        return _composites(made)

    @cached_property
    def test(self) -> Composites:
        """Each test object in one size and place on two test scenes of each kind."""
        objects, scenes = self._split("test")
        generator, made = self._generator("test"), []
        for cut_out in objects:
            placed = int(generator.integers(1 << 31))
            for kind, of_kind in enumerate(scenes):
                for number in generator.permutation(len(of_kind))[:SCENES_OF_A_KIND]:
                    pasted = cut_out.paste(of_kind[number], np.random.default_rng(placed))
                    made.append((*pasted, cut_out, kind))
        return _composites(made)

    def _split(self, part: Part) -> tuple[list[CutOut], list[list[Picture]]]:
        """The objects and the scenes by kind of one part."""
        material, order = read_material(self.photos), np.random.default_rng(0)
        by_label = [
            [it for it in material.objects if it.label == label] for label in range(len(CLASSES))
        ]
        objects = [it for own in by_label for it in self._own(own, part, order)]
        return objects, [self._own(of_kind, part, order) for of_kind in material.scenes]

    def _own(self, values: Sequence[T], part: Part, order: np.random.Generator) -> list[T]:
        """A third for the test, in each seed another."""
        drawn = [values[number] for number in order.permutation(len(values))]
        fold = (self.seed - 1) % FOLDS
        return [it for n, it in enumerate(drawn) if (n % FOLDS == fold) == (part == "test")]

    def _generator(self, part: Part) -> np.random.Generator:
        return np.random.default_rng([self.seed, part == "test"])


def _other_than(label: int, generator: np.random.Generator) -> int:
    return int((label + generator.integers(1, len(KINDS))) % len(KINDS))


def _composites(made: list[tuple[Picture, Picture, CutOut, int]]) -> Composites:
    pictures, masks, objects, kinds = zip(*made, strict=True)
    image_NCHW = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    label_N = torch.tensor([it.label for it in objects])
    images = TrainingImages.of(image_NCHW, label_N, torch.from_numpy(np.stack(masks)))
    return Composites(images, torch.tensor(kinds), tuple(it.name for it in objects))


@lru_cache(maxsize=1)
def read_material(photos: Path) -> Material:
    """Objects and scenes; scenes are made once and kept on this machine."""
    rows = read_rows(photos, ("file_name", "label", "mask"))
    label_of = {name: label for label, names in enumerate(CLASSES.values()) for name in names}
    masked = {row["label"]: row for row in rows if row["mask"]}
    objects = tuple(
        _cut_out(photos, masked[name], label) for name, label in label_of.items() if name in masked
    )
    files = [photos / row["file_name"] for row in rows if not row["mask"]]
    scene_NHW3 = np.stack([_resized(scene, (SIZE, SIZE)) for scene in _kept_scenes(files)])
    kind_N = kinds_of(scene_NHW3)
    scenes = tuple(tuple(scene_NHW3[kind_N == kind]) for kind in range(len(KINDS)))
    return Material(objects, scenes)


def kinds_of(scene_NHW3: Picture) -> NDArray[np.int64]:
    """(N,): the kind of each scene; -1 for what is neither dark nor bright, or cool nor warm.

    Warm is more red than blue, beside scenes as dark or as bright.
    """
    mean_N3 = scene_NHW3.mean((1, 2), dtype=np.float64)
    bright_N = _ends(mean_N3.sum(1))
    kind_N = np.full(len(scene_NHW3), -1)
    for bright in (0, 1):
        row_n = np.flatnonzero(bright_N == bright)
        warm_n = _ends(mean_N3[row_n, 0] - mean_N3[row_n, 2])
        kind_N[row_n] = np.where(warm_n < 0, -1, 2 * bright + warm_n)
    return kind_N


def _ends(value_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """0 for the lowest, 1 for the highest, -1 in between."""
    rank_N = np.argsort(np.argsort(value_N, kind="stable")) / max(1, len(value_N) - 1)
    return np.select([rank_N < APART, rank_N > 1 - APART], [0, 1], -1)


def _cut_out(photos: Path, row: dict[str, str], label: int) -> CutOut:
    """The smallest box around the mask."""
    picture_HW3 = np.array(Image.open(photos / row["file_name"]).convert("RGB"))
    mask_HW = np.array(Image.open(photos / row["mask"]).convert("L"))
    rows, columns = (np.flatnonzero((mask_HW > 127).any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return CutOut(row["label"], label, picture_HW3[box], mask_HW[box])


def _resized(picture_hw: Picture, size: tuple[int, int]) -> Picture:
    """By area, since most objects shrink."""
    return np.asarray(cv2.resize(picture_hw, size, interpolation=cv2.INTER_AREA), np.uint8)


def _kept_scenes(files: list[Path]) -> Picture:
    file = Path(tempfile.gettempdir()) / f"sightline-photograph-scenes-{VERSION}-{len(files)}.npy"
    if not file.exists():
        np.save(file, np.stack(list(_make_scenes(files))))
    return np.asarray(np.load(file), np.uint8)


def _make_scenes(files: list[Path]) -> Iterator[Picture]:
    """The middle squares, what `--foreground network` takes for the object filled in."""
    estimator = load_estimator(ForegroundSettings(source="network"), (SCENE_SIZE, SCENE_SIZE))
    assert estimator is not None
    for file in files:
        picture = Image.open(file).convert("RGB")
        left, top = ((length - min(picture.size)) // 2 for length in picture.size)
        box = (left, top, left + min(picture.size), top + min(picture.size))
        square_HW3 = np.array(
            picture.resize((SCENE_SIZE, SCENE_SIZE), Image.Resampling.BICUBIC, box)
        )
        picture_CHW = torch.from_numpy(square_HW3).permute(2, 0, 1)
        mask_HW = estimator.estimate(picture_CHW).mask_HW
        if (mask_HW > 0).float().mean() <= LARGEST_DONOR_FOREGROUND:
            filled_1CHW = fill_objects(picture_CHW[None], mask_HW[None])
            yield np.asarray(filled_1CHW[0].permute(1, 2, 0).numpy(), np.uint8)


def fill_objects(picture_NCHW: Tensor, mask_NHW: Tensor) -> Tensor:
    """uint8 pictures without what the masks mark, as `--fill inpaint` of an audit does."""
    image_NCHW = (picture_NCHW.float() - GREY) / DEVIATION
    filled_NCHW = remove_object(image_NCHW, mask_NHW / 255, "inpaint")
    return (filled_NCHW * DEVIATION + GREY).round().clamp(0, 255).to(torch.uint8)
