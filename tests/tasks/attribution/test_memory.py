"""How many pictures fit in a pass follows from what one of them keeps and what is free."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import psutil
import pytest
import torch
from torch import Tensor, nn

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.attribution import memory
from tasks.attribution.memory import (
    BATCH,
    BATCH_ON_GPU,
    MAX_PICTURES,
    batch_size_of,
    kept_bytes,
    room_of,
)
from tests.support.networks import tiny_net

CPU = torch.device("cpu")


class Squares(nn.Module):
    """Keeps its input for the gradient, this many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, image_BCHW: Tensor) -> Tensor:
        for _ in range(self.times):
            image_BCHW = image_BCHW * image_BCHW.clone().sigmoid()
        return image_BCHW.mean((2, 3))


def test_what_a_pass_keeps_grows_with_the_network_and_the_picture() -> None:
    once, thrice = Squares(1), Squares(3)
    assert 2 * kept_bytes(once, (32, 32)) < kept_bytes(thrice, (32, 32))
    assert kept_bytes(once, (64, 64)) == pytest.approx(4 * kept_bytes(once, (32, 32)), rel=0.1)
    assert kept_bytes(once, (32, 32)) >= 3 * 3 * 32 * 32 * 4  # input, sigmoid and product


def test_weights_are_not_counted() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 1000))
    assert kept_bytes(network, (8, 8)) < 10_000


def test_room_is_what_half_of_the_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Squares(2)
    monkeypatch.setattr(memory, "_free_bytes", lambda _: 21 * kept_bytes(network, (16, 16)))
    assert room_of(network, (16, 16), CPU) == 10
    monkeypatch.setattr(memory, "_free_bytes", lambda _: 0)
    assert room_of(network, (16, 16), CPU) == 1


def test_a_small_network_has_all_the_room_that_is_of_use() -> None:
    assert room_of(tiny_net(), (16, 16), CPU) == MAX_PICTURES


def test_what_is_free_is_less_than_the_machine_has() -> None:
    assert 0 < memory._free_bytes(CPU) < psutil.virtual_memory().total


class OnCard:
    """A classifier that says that it is on a GPU: what is free there is what the test says."""

    device = torch.device("cuda")
    network = Squares(2)
    preprocessing = Preprocessing(crop=(16, 16))


@pytest.mark.parametrize(("room", "found"), [(1_000, BATCH_ON_GPU), (10, 10), (0, 1)])
def test_a_batch_on_a_card_is_what_fits(
    room: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = (2 * room + 1) * kept_bytes(OnCard.network, (16, 16))
    monkeypatch.setattr(memory, "_free_bytes", lambda _: free)
    classifier = cast(Classifier, OnCard())
    assert batch_size_of(None, classifier) == found
    assert batch_size_of(200, classifier) == 200


def test_a_batch_on_a_cpu_is_small(bundle: Path) -> None:
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    assert batch_size_of(None, classifier) == BATCH
