"""What retraining is studied on: a benchmark's pictures, and a network that has learnt them.

Made once and kept on this machine. Shapes: N pictures, S=4 scenes of each, C=3, H, W.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from benchmarks.synthetic import DatasetVariant, redraw, rows_of_split, train_once
from models.classifier.preprocessing import Preprocessing
from models.classifier.small_resnet import small_preprocessing
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.images import TrainingImages, read_training_images
from tasks.pictures.estimator import load_estimator
from tasks.pictures.samples import MaskReading, Reader
from tasks.pictures.settings import ForegroundSettings
from tasks.synthetic.baseline import training_images_of
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings

VERSION = 1  # of the pictures and networks; another version is another folder


@dataclass(frozen=True)
class StudyPictures(DatasetVariant):
    """One variant's pictures on this machine, and the network that has learnt them."""

    @cached_property
    def settings(self) -> BenchmarkSettings:
        return self.make_settings()

    @cached_property
    def folder(self) -> Path:
        """With the pictures in it."""
        folder = Path(tempfile.gettempdir()) / f"sightline-study-{VERSION}" / self.name
        write_benchmark(folder, self.settings, 1)
        return folder

    @property
    def preprocessing(self) -> Preprocessing:
        return small_preprocessing(self.settings.image_size)

    @cached_property
    def train(self) -> TrainingImages:
        """To train on, with all masks and groups."""
        return training_images_of(self.folder, "train", self.preprocessing)

    @cached_property
    def validation(self) -> TrainingImages:
        """Biased as the training pictures are."""
        return training_images_of(self.folder, "validation", self.preprocessing)

    @cached_property
    def test(self) -> TrainingImages:
        """As many pictures of each class on each background; nothing is chosen by them."""
        return training_images_of(self.folder, "test", self.preprocessing)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The test pictures' lines in the table."""
        return rows_of_split(self.folder, "test")

    def train_with_estimates(self) -> TrainingImages:
        """The training pictures with estimated foregrounds in place of the masks."""
        mask_NHW = self._keep("estimated", lambda: self._estimate().mask_NHW)
        return replace(self.train, mask_NHW=mask_NHW)

    def redrawn(self) -> Tensor:
        """(S, N, C, H, W): each test picture drawn again, first on another background of its own
        kind, then on one of each other kind."""
        return self._keep("redrawn", self._redraw_all)

    def network(self) -> nn.Module:
        """It has learnt the shortcut, where there is one."""
        settings = self.settings
        classes = len(settings.classes)
        return train_once(self.folder / "network.pt", self.train, settings, classes, self.seed)

    def _keep(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        file = self.folder / f"{name}.npy"
        if not file.exists():
            np.save(file, make().numpy())
        return torch.from_numpy(np.load(file))

    def _estimate(self) -> TrainingImages:
        settings = self.settings
        data = DataSettings(path=str(self.folder), split="train")
        catalog = make_catalog(data, settings.classes)
        index = catalog.column_names.index("masks")
        nothing = pa.nulls(len(catalog), catalog.schema.field("masks").type)
        catalog = catalog.set_column(index, "masks", nothing)
        estimator = load_estimator(ForegroundSettings(source="estimate"), self.preprocessing.size)
        reader = Reader(self.preprocessing, MaskReading("foreground", "upright"), estimator)
        return read_training_images(catalog, settings.classes, reader)

    def _redraw_all(self) -> Tensor:
        scenes = []
        for shift in range(len(self.settings.backgrounds)):
            pictures = [
                redraw(row, shift, number, self.settings) for number, row in enumerate(self.rows)
            ]
            scenes.append(np.stack(pictures).transpose(0, 3, 1, 2))
        return torch.from_numpy(np.stack(scenes))
