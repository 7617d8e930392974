"""A second model for the benchmark, and its audit of the same images."""

from __future__ import annotations

from pathlib import Path

import torch

from models.classifier.classifier import load_classifier, save_bundle
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tests.conftest import run_here

SHARD = 40  # as conftest's finished run


def retrained(bundle: Path, folder: Path, seed: int = 1) -> Path:
    """The bundle's network with noise on its head, as if it had been trained on; seeded."""
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    head = classifier.network.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    noise = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        head.weight += 0.8 * head.weight.std() * noise
    save_bundle(folder, classifier)
    return folder


def audited(
    folder: Path,
    benchmark: Path,
    model: Path,
    interventions: InterventionSettings = InterventionSettings(),
) -> RunFolder:
    """The test split, audited as conftest's finished run is."""
    data = DataSettings(path=str(benchmark), split="test")
    asked = AuditRequest(data, AttributionSettings(shard_size=SHARD), interventions)
    run = run_here(folder, data, ModelSettings(address=str(model)), asked=asked)
    run.finish(run.report, "<html></html>")
    return run
