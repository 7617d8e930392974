"""What is said about a model before the first picture is computed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import check_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest, ComparisonSettings
from tasks.catalog.catalog import list_data
from tasks.catalog.settings import DataSettings
from tasks.execution.prepare import NO_FOREGROUND, make_checked_catalog
from tasks.pictures.settings import ForegroundSettings
from tests.support.audits import BENCHMARK
from tests.support.networks import TinyNet, tiny_net, torchvision_net


class Restless(TinyNet):
    """Random also in evaluation mode."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK = super().forward(image_BCHW)
        return logits_BK + torch.rand_like(logits_BK)


CASES: dict[str, tuple[nn.Module, tuple[str, ...], str | None]] = {
    "coarse": (
        torchvision_net("resnet18", 4),
        ("saliency", "grad_cam"),
        "--layer layer3 gives 4x4",
    ),
    "not used": (torchvision_net("resnet18", 4), ("saliency",), None),
    "restless": (Restless(4), ("grad_cam",), "net.py:build answers differently each time (by "),
    "quiet": (tiny_net(4), ("grad_cam",), None),
}


@pytest.mark.parametrize("comparison", [None, ComparisonSettings()], ids=["audit", "comparison"])
@pytest.mark.parametrize("case", CASES)
def test_a_coarse_layer_and_a_restless_network_are_said(
    case: str,
    comparison: ComparisonSettings | None,
    benchmark_folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network, methods, said = CASES[case]
    address = "torchvision:resnet18" if hasattr(network, "layer4") else "net.py:build"
    prepared = Preprocessing(crop=(64, 64))
    built = BuiltNetwork(network, address, "", BENCHMARK.classes, prepared)
    classifier = check_classifier(built, ModelSettings(address=address))
    request = AuditRequest(
        DataSettings(path=str(benchmark_folder), split="test", limit=4),
        AttributionSettings(methods=methods),
        comparison=comparison,
    )
    with caplog.at_level(logging.WARNING, "sightline"):
        make_checked_catalog(request, classifier)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (said is not None)
    assert all(said in line for line in lines if said)


@pytest.mark.parametrize("source", ["annotated", "estimate"])
@pytest.mark.parametrize("annotated", [True, False], ids=["masks", "no masks"])
def test_no_foreground_is_never_silent(
    source: str, annotated: bool, benchmark_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = Preprocessing(crop=(64, 64))
    built = BuiltNetwork(tiny_net(4), "net.py:build", "", BENCHMARK.classes, prepared)
    classifier = check_classifier(built, ModelSettings(address="net.py:build"))
    data = DataSettings(path=str(benchmark_folder), split="test", limit=4)
    if not annotated:
        listing = replace(list_data(data), masks=pa.nulls(64, pa.list_(pa.string())))
    request = AuditRequest(
        data,
        AttributionSettings(methods=("grad_cam",)),
        foreground=ForegroundSettings(source=source),
    )
    with caplog.at_level(logging.INFO, "sightline"):
        make_checked_catalog(request, classifier, None if annotated else listing)
    warned = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert warned == ([NO_FOREGROUND] if source == "annotated" and not annotated else [])
    assert any(f"{4 * annotated} with a foreground" in line for line in caplog.messages)
