"""A preprocessing that is clearly worse than another common one is said, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import IMAGENET
from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.execution.check_preprocessing import (
    FEWEST,
    alternatives,
    check_preprocessing,
    is_clearly_better,
)
from tasks.execution.dry_run import estimate
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.summary.summarise import summarise
from tests.support.html_page import read

CLASSES = ("dark", "grey", "light")
LEVELS = (60, 130, 200)
UNSCALED = Preprocessing(resize=32, crop=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))


class Brightness(nn.Module):
    """The class whose level, from 0 to 1, is nearest to the picture's mean."""

    def __init__(self, side: int | None = None) -> None:
        super().__init__()
        self.side = side
        self.level_K = nn.Parameter(torch.tensor(LEVELS) / 255)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        assert self.side in (None, image_BCHW.shape[2])
        return -(image_BCHW.mean((1, 2, 3))[:, None] - self.level_K[None]).square()


def classifier_of(preprocessing: Preprocessing, network: nn.Module | None = None) -> Classifier:
    address = "net.py:build"
    built = BuiltNetwork(network or Brightness(), address, classes=CLASSES)
    settings = ModelSettings(address=address, preprocessing=preprocessing)
    return check_classifier(built, settings)


def save_pictures(folder: Path, count: int = 60) -> Path:
    """Plain pictures with some noise, in a folder for each class."""
    random = np.random.default_rng(0)
    for number in range(count):
        name, level = CLASSES[number % 3], LEVELS[number % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = np.clip(level + random.normal(0, 9, (40, 50, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def catalog_of(folder: Path) -> pa.Table:
    return make_catalog(DataSettings(path=str(folder)), CLASSES)


def test_numbers_that_make_it_wrong_are_said_with_those_that_do_not(tmp_path: Path) -> None:
    catalog = catalog_of(save_pictures(tmp_path))
    given = UNSCALED.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std})
    line = check_preprocessing(catalog, classifier_of(given), "upright")
    assert line is not None
    assert line.startswith("the model is right on 40 of 60 labelled images, and with ")
    assert "--mean 0 --std 1 on 60: check how pictures were prepared" in line
    assert given.describe() in line
    assert "\n" not in line


def test_another_size_is_said(tmp_path: Path) -> None:
    class Reader(Brightness):
        """Right on pictures of 64 pixels alone."""

        def forward(self, image_BCHW: Tensor) -> Tensor:
            logits_BK = super().forward(image_BCHW)
            return logits_BK if image_BCHW.shape[2] == 64 else logits_BK * 0 + logits_BK[:1]

    catalog = catalog_of(save_pictures(tmp_path))
    line = check_preprocessing(catalog, classifier_of(UNSCALED, Reader()), "upright")
    assert line is not None
    assert "and with --size 64 on 60: " in line


def test_the_right_numbers_are_not_warned_of(tmp_path: Path) -> None:
    catalog = catalog_of(save_pictures(tmp_path))
    assert check_preprocessing(catalog, classifier_of(UNSCALED), "upright") is None


def test_a_network_of_one_size_is_tried_at_that_size_alone(tmp_path: Path) -> None:
    catalog = catalog_of(save_pictures(tmp_path))
    given = UNSCALED.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3})
    line = check_preprocessing(catalog, classifier_of(given, Brightness(32)), "upright")
    assert line is not None
    assert "--mean 0 --std 1" in line


def test_few_labelled_images_are_not_enough(tmp_path: Path) -> None:
    catalog = catalog_of(save_pictures(tmp_path, FEWEST - 1))
    given = UNSCALED.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std})
    assert check_preprocessing(catalog, classifier_of(given), "upright") is None


def test_images_without_a_label_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    folder = save_pictures(tmp_path)
    for path in sorted(folder.glob("dark/*.png"))[:5]:
        path.write_bytes(b"broken")
    catalog = catalog_of(folder)
    labels = catalog["label"].to_pylist()
    labels[-5:] = [None] * 5
    index = catalog.schema.get_field_index("label")
    catalog = catalog.set_column(index, catalog.schema.field(index), pa.array(labels))
    given = UNSCALED.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std})
    line = check_preprocessing(catalog, classifier_of(given), "upright")
    assert line is not None
    assert " of 50 labelled images" in line


def test_the_alternatives_are_other_than_the_given_one() -> None:
    for given in (IMAGENET, UNSCALED, Preprocessing(crop=(64, 64))):
        others = alternatives(given)
        assert given not in others.values()
        assert 7 <= len(others) <= 9


def test_chance_is_seldom_called_clear() -> None:
    """Two preprocessings that are right equally often, at the level of one of nine."""
    random = np.random.default_rng(0)
    confidence = 1 - 0.05 / 9
    draws = random.random((2000, 2, 64)) < 0.5
    false = sum(is_clearly_better(given, other, confidence) for given, other in draws)
    assert false / 2000 <= 0.05 / 9


@pytest.fixture
def model(tmp_path: Path) -> ModelSettings:
    (tmp_path / "net.py").write_text(
        "import torch\n"
        f"LEVELS = torch.tensor({LEVELS}) / 255\n"
        "def build():\n"
        "    def logits(image):\n"
        "        return -(image.mean((1, 2, 3))[:, None] - LEVELS).square()\n"
        "    return logits\n"
    )
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    settings = {"size": 32, "mean": 0.5, "std": 0.5, "classes": str(tmp_path / "classes.txt")}
    return ModelSettings.model_validate({"address": f"{tmp_path / 'net.py'}:build", **settings})


def test_the_warning_is_logged_kept_and_on_the_page(
    model: ModelSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_classifier(model).preprocessing.mean == (0.5, 0.5, 0.5)
    data = DataSettings(path=str(save_pictures(tmp_path / "pictures", 36)))
    asked = AuditRequest(data, AttributionSettings(methods=("saliency",)))
    run, cost = attribute_in_process(tmp_path / "run", model, asked)
    (warning,) = run.read_state().warnings or ()
    assert "--mean 0 --std 1" in warning
    assert caplog.messages.count(warning) == 1
    summary = summarise(run, FlagSettings(method="saliency"), cost)
    assert isinstance(summary, schema.Summary)
    assert open_run(run.path).summary().warnings == (warning,)
    assert warning in read(summary).words


def test_a_dry_run_gives_the_warning_too(
    model: ModelSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataSettings(path=str(save_pictures(tmp_path / "pictures", 36)))
    asked = AuditRequest(data, AttributionSettings(methods=("saliency",)))
    estimate(asked, model, ComputeSettings())
    assert [line for line in caplog.messages if "--mean 0 --std 1" in line]
