"""What is audited to measure costs: the default audit, of a small network and of a larger one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.audit_in_process import random_model
from benchmarks.speed.jpeg_files import SIZE, photographs
from models.classifier.classifier import Classifier, load_classifier
from models.classifier.mlflow_models import FetchedModel
from models.classifier.preprocessing_sources import IMAGENET
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_preprocessing
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.execution.cluster import move_to_device
from tasks.execution.prepare import prepare_run
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings


@dataclass(frozen=True)
class Subject:
    """A model and the images that it is asked about."""

    name: str
    model: ModelSettings
    data: DataSettings

    @cached_property
    def classifier(self) -> Classifier:
        """As a worker on the CPU has it."""
        classifier = load_classifier(self.model)
        move_to_device(classifier, "cpu", "channels_last")
        return classifier

    def prepare(self, address: str, size: int, images: int) -> RunFolder:
        """The run of its default audit, up to the first shard; shards of so many images."""
        data = self.data.model_copy(update={"limit": images})
        attribution = AttributionSettings(shard_size=size)
        request = AuditRequest(data, attribution, patterns=PatternSettings())
        settings = {"model": self.model.model_dump(mode="json")}
        return prepare_run(request, FetchedModel(self.model), OutputSettings(run=address), settings)


def small_network(folder: Path, images: int) -> Subject:
    """Pictures of 64 px from the generated benchmark, with masks."""
    settings = BenchmarkSettings(train=0, validation=0, test=images)
    write_benchmark(folder / "pictures", settings)
    (folder / "classes.txt").write_text("\n".join(settings.classes))
    model = random_model("sightline:small_resnet", folder, small_preprocessing(settings.image_size))
    model = model.model_copy(update={"classes": str(folder / "classes.txt")})
    data = DataSettings(path=str(folder / "pictures"), split="test")
    return Subject("small network, 64 px", model, data)


def resnet18(folder: Path, images: int) -> Subject:
    """JPEG files of 500x375 and 100 kB, at 224 px, with one mask for all."""
    mask_HW = np.zeros(SIZE[::-1], np.uint8)
    mask_HW[100:300, 100:350] = 255
    Image.fromarray(mask_HW).save(folder / "mask.png")
    table = folder / "images.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file_name", "mask"))
        for picture in sorted(photographs(images).iterdir()):
            rows.writerow((picture, folder / "mask.png"))
    model = random_model("torchvision:resnet18", folder, IMAGENET)
    return Subject("resnet18, 224 px", model, DataSettings(path=str(table)))
