"""A method's numbers are frozen under its version: a change of them raises it, and this file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.methods.maps import explain
from models.methods.registry import NAMES, find_method
from models.network.capture import capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.statistics import Moments
from tests.support.networks import random_images, tiny_net

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/methods.json").read_text())
LAST = Grid("last", 8, 8)


def figures(name: str) -> dict[str, float]:
    """Version, and mean magnitude, deviation and a weighted sum of two maps."""
    network, image_BCHW = tiny_net(), random_images(2, 16)
    captured = capture(network, LAST, random_images(20, 16))
    statistics = Moments.of(captured.activation_BDhw).statistics()
    request = ExplainRequest(
        network, image_BCHW, torch.tensor([0, 2]), grid=LAST, statistics=statistics
    )
    method = find_method("rise:masks=50" if name == "rise" else name)
    value_BN = explain(method, request).double().flatten(1)
    weight_N = torch.linspace(-1, 1, value_BN.shape[1], dtype=torch.float64)
    return {
        "version": method.version,
        "magnitude": float(value_BN.abs().mean()),
        "deviation": float(value_BN.std()),
        "tilt": float((value_BN * weight_N).mean()),
    }


def test_every_method_has_golden_numbers() -> None:
    assert list(GOLDEN) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_of_the_version(name: str) -> None:
    golden = GOLDEN[name]
    assert figures(name) == pytest.approx(golden, rel=2e-3, abs=2e-4 * golden["magnitude"])
