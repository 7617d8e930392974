"""Networks that have learnt the planted patterns, and how strong each pattern is in them.

    nice -n 10 python -m benchmarks.patterns.networks [--first N]

makes those of the study, in its order, and keeps them. The effect of a pattern is measured on
held-out pictures of other classes, drawn twice: with it and without it. It is how many points more
often the pattern's class is predicted; no audit sees it.
Shapes: N pictures, K classes, S kinds of background.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.audit.known_classifiers import ClassifierSpec
from benchmarks.patterns.artefacts import Kind, Pixels, encode_jpeg
from benchmarks.patterns.planted import (
    FOLDER,
    SPECS,
    PlantedPicture,
    PlantedSpec,
    draw_picture,
    held_out,
    place,
    write_planted,
)
from benchmarks.synthetic import chance_of, train_once
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier, load_classifier, save_bundle
from models.classifier.settings import BUNDLE, ModelSettings
from models.classifier.small_resnet import small_preprocessing, small_resnet
from models.interventions import predict
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.images import TrainingImages, read_training_images
from tasks.pictures.samples import MaskReading, Reader
from tasks.synthetic.baseline import ADDRESS, train_small_resnet, training_images_of
from tasks.synthetic.dataset import write_benchmark

BATCH = 128
LEAST = 0.03  # effect of a kind of background that is worth naming: 3 points


@dataclass(frozen=True)
class Effects:
    """What is true of one network."""

    accuracy: float  # on pictures without any pattern
    points: dict[str, float]  # by pattern: how much more often its class is predicted, 0 to 1
    accuracy_with: dict[str, float]  # of other classes' pictures, with the pattern
    scenes: dict[str, float]  # the same points of "background: class", where at least LEAST


def load_effects(spec: PlantedSpec) -> Effects:
    """From the machine's temporary folder, or made now with all that it is made of."""
    kept = FOLDER / f"{spec.name}.json"
    if not kept.exists():
        write_planted(spec)
        make_network(spec)
        effects = measure_effects(spec, load_classifier(ModelSettings(address=str(spec.bundle))))
        kept.with_suffix(".tmp").write_text(json.dumps(asdict(effects), indent=1))
        kept.with_suffix(".tmp").replace(kept)
    return Effects(**json.loads(kept.read_text()))


def make_network(spec: PlantedSpec) -> None:
    """Train and write the bundle, unless there is one."""
    if (spec.bundle / BUNDLE).exists():
        return
    settings = spec.settings
    network = _train(spec) if spec.trained else _random_network(spec)
    preprocessing = small_preprocessing(settings.image_size)
    built = BuiltNetwork(network, ADDRESS, classes=settings.classes, preprocessing=preprocessing)
    save_bundle(spec.bundle, check_classifier(built, ModelSettings(address=ADDRESS)))


def _train(spec: PlantedSpec) -> nn.Module:
    """On the pictures with patterns; a clean network is the one of the known classifiers."""
    settings = spec.settings
    preprocessing, classes = small_preprocessing(settings.image_size), len(settings.classes)
    if spec.kinds:
        return train_small_resnet(_training_images(spec), preprocessing, classes, spec.seed)
    known = ClassifierSpec(spec.look, spec.size, chance_of(spec.look), spec.seed)
    write_benchmark(known.folder, known.settings)
    images = training_images_of(known.folder, "train", preprocessing)
    return train_once(known.folder / "label.pt", images, known.settings, classes, spec.seed)


def _training_images(spec: PlantedSpec) -> TrainingImages:
    """From the files, as any training of the product reads them."""
    classes, size = spec.settings.classes, spec.settings.image_size
    catalog = make_catalog(DataSettings(path=str(write_planted(spec)), split="train"), classes)
    reader = Reader(small_preprocessing(size), MaskReading("foreground", "upright"))
    return read_training_images(catalog, classes, reader)


def _random_network(spec: PlantedSpec) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        return small_resnet(len(spec.settings.classes)).eval()


def measure_effects(spec: PlantedSpec, classifier: Classifier) -> Effects:
    """Of planted patterns, and of all kinds of background, which may matter unplanted."""
    pictures, names = list(held_out(spec)), np.array(spec.settings.classes)
    label_N = np.array([picture.scene.label for picture in pictures])
    clean_N = names[_predict(spec, classifier, pictures)]
    points: dict[str, float] = {}
    accuracy_with: dict[str, float] = {}
    for kind, label in spec.labels.items():
        planted = [_with_pattern(picture, kind, spec) for picture in pictures]
        with_N, other_N = names[_predict(spec, classifier, planted)], label_N != label
        drawn_N = (with_N == label).astype(int) - (clean_N == label)
        points[kind] = float(drawn_N.mean(where=other_N))
        accuracy_with[kind] = float((with_N == label_N).mean(where=other_N))
    accuracy = float((clean_N == label_N).mean())
    scenes = dict(_scene_effects(spec, classifier, pictures))
    return Effects(accuracy, points, accuracy_with, scenes)


def _with_pattern(picture: PlantedPicture, kind: Kind, spec: PlantedSpec) -> PlantedPicture:
    scene = place(picture.scene, planted=True, other=0, spec=spec) if kind == "background" else None
    return replace(picture, scene=scene or picture.scene, kinds=(kind,))


def _scene_effects(
    spec: PlantedSpec, classifier: Classifier, pictures: Sequence[PlantedPicture]
) -> Iterator[tuple[str, float]]:
    """Each kind of background against the mean of the others, for each class."""
    names, backgrounds = np.array(spec.settings.classes), spec.settings.backgrounds
    label_N = np.array([picture.scene.label for picture in pictures])
    predicted_SN = np.stack(
        [
            names[_predict(spec, classifier, [_on(picture, name) for picture in pictures])]
            for name in backgrounds
        ]
    )
    for label in names:
        share_S = (predicted_SN[:, label_N != label] == label).mean(1)
        for name, share in zip(backgrounds, share_S, strict=True):
            effect = float(share - (share_S.sum() - share) / (len(share_S) - 1))
            if effect >= LEAST:
                yield f"{name}: {label}", effect


def _on(picture: PlantedPicture, background: str) -> PlantedPicture:
    return replace(picture, scene=replace(picture.scene, background=background))


def _predict(
    spec: PlantedSpec, classifier: Classifier, pictures: Sequence[PlantedPicture]
) -> np.ndarray:
    """(N,): numbers of classes."""
    found = []
    for start in range(0, len(pictures), BATCH):
        drawn = [_pixels(picture, spec) for picture in pictures[start : start + BATCH]]
        picture_BCHW = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)
        image_BCHW = classifier.preprocessing.normalise(picture_BCHW)
        found.append(predict(classifier.network, image_BCHW).argmax(1))
    predicted_N: np.ndarray = torch.cat(found).numpy()
    return predicted_N


def _pixels(picture: PlantedPicture, spec: PlantedSpec) -> Pixels:
    """As they would be read from the picture's file."""
    image_HW3, _ = draw_picture(picture.scene, picture.kinds, spec)
    if "jpeg" not in spec.kinds:
        return image_HW3
    return np.asarray(Image.open(BytesIO(encode_jpeg(image_HW3, "jpeg" in picture.kinds))))


def main() -> None:
    """The command."""
    parser = ArgumentParser("python -m benchmarks.patterns.networks", description=__doc__)
    parser.add_argument("--first", type=int, default=len(SPECS), help="only this many")
    for spec in SPECS[: parser.parse_args().first]:
        effects = load_effects(spec)
        points = ", ".join(f"{name} {value:.2f}" for name, value in effects.points.items())
        sys.stdout.write(
            f"{spec.name}: accuracy {effects.accuracy:.2f}; planted {points or 'none'}; "
            f"backgrounds {max(effects.scenes.values(), default=0.0):.2f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
