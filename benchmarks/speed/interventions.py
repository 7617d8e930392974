"""What interventions cost: a batch from JPEG files to its rows, beside bare forward passes.

resnet18 at 224 px, one torch thread, process CPU time, rounds alternating. Our side decodes each
picture and its mask once and makes the default set (object removed, background removed, its own
moved in two ways, three backgrounds exchanged); the clean prediction is there already, from the
pass that makes the maps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.measure import Figure, at_most, cpu_seconds_in_turns, main, ratios
from benchmarks.speed.cams import Subject, goal_of, make_subject, predict
from benchmarks.speed.jpeg_files import SIZE, photographs
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.interventions.donors import DonorPool
from tasks.interventions.intervene import Interventions, Subjects
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import Row
from tasks.pictures.samples import MaskReading, Reader, Sample

POOL = 64


def run(quick: bool) -> list[Figure]:
    """Cost of the default set over one bare forward pass of the same images."""
    torch.set_num_threads(1)
    size, rounds, batch = (64, 3, 8) if quick else (224, 15, 16)
    subject = make_subject("resnet18", batch, size, "channels_last")
    preprocessing = Preprocessing(resize=(size, size))
    reader = Reader(preprocessing, MaskReading("foreground", "upright"))
    rows = _rows(batch)
    classifier = _classifier(subject, preprocessing)
    interventions = Interventions(InterventionSettings(), _pool(size))
    with torch.no_grad():
        logits_BK = subject.network(subject.image_BCHW)
    ways = {
        "predict": lambda: predict(subject),
        "intervene": lambda: _intervene(reader, rows, classifier, interventions, logits_BK),
    }
    seconds = cpu_seconds_in_turns(ways, rounds)
    name = (
        f"{subject.name}: decode once and the default set of 7 changes, times a bare forward pass"
    )
    return [at_most(goal_of(7.5, subject), name, ratios(seconds["intervene"], seconds["predict"]))]


def _intervene(
    reader: Reader,
    rows: list[Row],
    classifier: Classifier,
    interventions: Interventions,
    logits_BK: Tensor,
) -> object:
    """As the audit makes it of one batch."""
    samples = [sample for sample in map(reader, rows) if isinstance(sample, Sample)]
    picture_BCHW = torch.stack([sample.picture_CHW for sample in samples])
    image_BCHW = classifier.preprocessing.normalise(picture_BCHW)
    image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
    masks = [sample.mask_HW for sample in samples if sample.mask_HW is not None]
    mask_BHW = torch.stack(masks) / 255
    return interventions.apply(classifier, Subjects(samples, image_BCHW, mask_BHW, logits_BK))


def _rows(count: int) -> list[Row]:
    """Photographs, each with a mask file of its size."""
    folder = photographs(count)
    mask = folder.with_suffix(".png")
    if not mask.exists():
        marked_HW = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        marked_HW[100:250, 150:350] = 255
        Image.fromarray(marked_HW).save(mask)
    pictures = sorted(Path(folder).glob("*.jpg"))[:count]
    return [Row(path.name, str(path), "c0", (str(mask),)) for path in pictures]


def _classifier(subject: Subject, preprocessing: Preprocessing) -> Classifier:
    classes = tuple(f"c{number}" for number in range(1000))
    built = BuiltNetwork(subject.network, "bench", classes=classes, preprocessing=preprocessing)
    return check_classifier(built, ModelSettings(address="bench"))


def _pool(size: int) -> DonorPool:
    generator = torch.Generator().manual_seed(0)
    picture_NCHW = torch.randint(0, 256, (POOL, 3, size, size), generator=generator).byte()
    ids = tuple(f"donor{number}" for number in range(POOL))
    labels = tuple(f"c{number % 4}" for number in range(POOL))
    mask_NHW = torch.zeros(POOL, size, size, dtype=torch.uint8)
    return DonorPool(ids, labels, ids, picture_NCHW, picture_NCHW, mask_NHW)


if __name__ == "__main__":
    main(run)
