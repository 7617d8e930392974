"""Third-party methods leave no trace in the network, and draw the same numbers each time."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from models.network.isolation import fixed_seed, restoring
from tests.support.networks import tiny_net


def test_hooks_attributes_modes_and_exchanged_weights_are_undone_also_after_an_exception() -> None:
    network = tiny_net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ZeroDivisionError), restoring(network):
        network.relu.register_forward_hook(lambda *_: None)
        network.kept = torch.zeros(3)
        network.train()
        network.fc.weight.data = torch.zeros_like(network.fc.weight)
        network.relu = nn.GELU()  # type: ignore[assignment]
        _ = 1 / 0
    assert not network.relu._forward_hooks
    assert not hasattr(network, "kept")
    assert not network.training
    assert isinstance(network.relu, nn.ReLU)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_random_numbers_are_the_same_inside_and_go_on_as_before_outside() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = [draw(), draw()]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    outside, inside = [draw()], []
    for _ in range(2):
        with fixed_seed(torch.device("cpu")):
            inside.append(draw())
    outside.append(draw())
    assert outside == expected
    assert inside[0] == inside[1]
