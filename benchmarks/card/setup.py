"""What is measured on a device: a network, photographs, and how much of everything."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.audit_in_process import random_model
from benchmarks.speed.jpeg_files import SIZE, photographs
from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.catalog.settings import DataSettings
from tasks.execution.cluster import move_to_device

FORMAT = "channels_last"
CPU = "cpu"


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    address: str  # of the network
    preprocessing: Preprocessing
    files: int  # different photographs
    rows: int  # of the table that is audited: the files again and again
    compared: int  # images whose figures stand beside the CPU's
    timed: int  # images that each method explains at once
    largest: int  # batch that is tried
    masks: int  # of RISE
    steps: int  # of a training
    rounds: int  # of what is timed


@dataclass(frozen=True)
class Setup:
    """The device under test; "cpu" only where the program itself is tested."""

    device: str
    folder: Path
    scale: Scale

    @cached_property
    def files(self) -> list[Path]:
        return sorted(photographs(self.scale.files).iterdir())

    @cached_property
    def model(self) -> ModelSettings:
        return random_model(self.scale.address, self.folder, self.scale.preprocessing)

    @cached_property
    def on_device(self) -> Classifier:
        return self._load(self.device)

    @cached_property
    def on_cpu(self) -> Classifier:
        return self._load(CPU)

    def table(self, rows: int) -> DataSettings:
        """So many rows of photographs, all with the same mask."""
        mask_HW = np.zeros(SIZE[::-1], np.uint8)
        mask_HW[100:300, 100:350] = 255
        Image.fromarray(mask_HW).save(self.folder / "mask.png")
        path = self.folder / f"{rows}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("key", "file_name", "mask"))
            for row in range(rows):
                lines.writerow((row, self.files[row % len(self.files)], self.folder / "mask.png"))
        return DataSettings(path=str(path), key_column="key")

    def images(self, count: int, device: str) -> Tensor:
        """Random normalised pictures, the same on every device."""
        generator = torch.Generator().manual_seed(0)
        image_BCHW = torch.randn(count, 3, *self.scale.preprocessing.size, generator=generator)
        return image_BCHW.to(device).contiguous(memory_format=torch.channels_last)

    def seconds(self, work: Callable[[], object]) -> float:
        """The median of some rounds, after one that warms up; waits for the device."""
        spent = []
        for _ in range(1 + self.scale.rounds):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            spent.append(time.perf_counter() - start)
        return median(spent[1:])

    def wait(self) -> None:
        if self.device != CPU:
            torch.cuda.synchronize(self.device)

    def _load(self, device: str) -> Classifier:
        classifier = load_classifier(self.model)
        move_to_device(classifier, device, FORMAT)
        return classifier


def peak_megabytes(setup: Setup, work: Callable[[], object]) -> float | None:
    """The most that torch held on the device while something ran; None on the CPU."""
    if setup.device == CPU:
        work()
        return None
    torch.cuda.reset_peak_memory_stats(setup.device)
    work()
    return float(torch.cuda.max_memory_allocated(setup.device)) / 1e6
