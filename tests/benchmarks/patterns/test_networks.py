"""Planted effects, of networks whose answers are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks.patterns import planted
from benchmarks.patterns.artefacts import Style
from benchmarks.patterns.networks import measure_effects
from benchmarks.patterns.planted import PlantedSpec
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_preprocessing

SPEC = PlantedSpec("first", ("frame", "background"), 101)


class ReadsTheCorner(nn.Module):
    """Says one class where the first pixel has this colour, else another."""

    def __init__(self, colour: tuple[int, int, int], answers: tuple[int, int]) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 4, 8, 8)  # a layer with cells, which every classifier needs
        self.colour_CHW = torch.tensor(colour)[:, None, None] / 127.5 - 1
        self.answers_KK = 9 * torch.eye(4)[list(answers)]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        is_framed_B = (image_BCHW[..., :1, :1] - self.colour_CHW).abs().amax((1, 2, 3)) < 0.01
        nothing_BK = 0 * self.cells(image_BCHW).mean((2, 3))
        logit_BK: Tensor = self.answers_KK[1 - is_framed_B.long()] + nothing_BK
        return logit_BK


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(planted, "HELD_OUT", 24)
    classes = SPEC.settings.classes
    then = classes.index(SPEC.labels["frame"])
    otherwise = next(index for index, it in enumerate(classes) if it not in SPEC.labels.values())
    network = ReadsTheCorner(Style.of(SPEC.seed).frame, (then, otherwise)).eval()
    preprocessing = small_preprocessing()
    built = BuiltNetwork(network, "known", classes=classes, preprocessing=preprocessing)
    return check_classifier(built, ModelSettings(address="known"))


def test_the_effect_is_how_much_more_often_the_class_is_predicted(classifier: Classifier) -> None:
    effects = measure_effects(SPEC, classifier)
    assert effects.points == {"frame": 1.0, "background": 0.0}
    assert effects.accuracy == 0.25  # one of four classes is always predicted
    assert effects.accuracy_with == {"frame": 0.0, "background": pytest.approx(1 / 3)}
    assert effects.scenes == {}
