"""Generated benchmarks, models for them, and audits of these in this process."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.linear_model import Ridge

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import (
    Classifier,
    check_classifier,
    load_classifier,
    save_bundle,
)
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.flags.settings import FlagSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.summary.summarise import summarise
from tasks.synthetic.baseline import training_images_of
from tasks.synthetic.dataset import read_settings
from tasks.synthetic.settings import BenchmarkSettings

BENCHMARK = BenchmarkSettings(train=32, validation=0, test=64)
MANY_CLASSES = BenchmarkSettings(look="third", train=100, validation=0, test=200)
SURE = 10.0  # logits of a fit to 0 and 1
SHARD = 40  # the 64 pictures of the test split make two shards


def save_untrained_model(folder: Path, benchmark: Path) -> Path:
    """A small network for the benchmark, as our bundle; seeded, so always the same."""
    classifier = _untrained_classifier(benchmark)
    _spread_predictions(classifier.network, benchmark, classifier.preprocessing)
    save_bundle(folder, classifier)
    return folder


def save_shortcut_model(folder: Path, benchmark: Path) -> Path:
    """A network that takes backgrounds for classes, without any training: on random features, the
    head that fits the labels of the biased pictures best."""
    classifier = _untrained_classifier(benchmark)
    images = training_images_of(benchmark, "train", classifier.preprocessing)
    *body, head = classifier.network.children()
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        image_NCHW = classifier.preprocessing.normalise(images.image_NCHW)
        feature_ND = torch.nn.Sequential(*body).eval()(image_NCHW).flatten(1)
        wanted_NK = torch.nn.functional.one_hot(images.label_N, head.out_features)
        fit = Ridge(alpha=1e-4).fit(feature_ND, wanted_NK)
        head.weight.copy_(SURE * torch.as_tensor(fit.coef_))
        head.bias.copy_(SURE * torch.as_tensor(fit.intercept_))
    save_bundle(folder, classifier)
    return folder


def _untrained_classifier(benchmark: Path) -> Classifier:
    settings = read_settings(benchmark)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = small_resnet(len(settings.classes))
    address = "sightline:small_resnet"
    prepared = Preprocessing(crop=(settings.image_size, settings.image_size))
    built = BuiltNetwork(network, address, classes=settings.classes, preprocessing=prepared)
    return check_classifier(built, ModelSettings(address=address))


def _spread_predictions(
    network: torch.nn.Module, benchmark: Path, preprocessing: Preprocessing
) -> None:
    """Scale the head, so that the network predicts every class: fresh ones predict one."""
    images = training_images_of(benchmark, "train", preprocessing)
    head = network.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        logits_NK = network.eval()(preprocessing.normalise(images.image_NCHW))
        scale_K = 2 / logits_NK.std(0)
        head.weight *= scale_K[:, None]
        head.bias.copy_((head.bias - logits_NK.mean(0)) * scale_K)


def perturb_head(bundle: Path, folder: Path, seed: int = 1) -> Path:
    """The bundle's network with noise on its head, as if it had been trained on; seeded."""
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    head = classifier.network.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    noise = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        head.weight += 0.8 * head.weight.std() * noise
    save_bundle(folder, classifier)
    return folder


def run_audit(
    folder: Path,
    data: DataSettings,
    model: ModelSettings,
    attribution: AttributionSettings = AttributionSettings(),
    asked: AuditRequest | None = None,
    *,
    reuse: Path | None = None,
) -> RunFolder:
    """The stages of an audit up to summary.json in this process: no Prefect, no Dask."""
    asked = asked or AuditRequest(data, attribution)
    run, cost = attribute_in_process(folder, model, asked, reuse)
    summarise(run, FlagSettings(), cost)
    return run


def audit_test_split(
    folder: Path,
    benchmark: Path,
    model: Path,
    interventions: InterventionSettings = InterventionSettings(),
) -> RunFolder:
    """The benchmark's test split, audited to the end, with an empty report."""
    data = DataSettings(path=str(benchmark), split="test")
    asked = AuditRequest(data, AttributionSettings(shard_size=SHARD), interventions)
    run = run_audit(folder, data, ModelSettings(address=str(model)), asked=asked)
    run.finish(run.report, "<html></html>")
    return run
