"""A training's result as a version in MLflow on SQLite: audited by our bundle, served by MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from torch import Tensor, nn

from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier, load_classifier
from models.classifier.mlflow_models import fetch
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.errors import MlflowUnavailable, UserError
from tasks.model_registry.registration import Origin, RegisteredModel, register_model
from tasks.tracking.settings import RegistrySettings, Tracking
from tasks.tracking.training_log import TrainingLog, TrainingStart
from tests.support.model_versions import aliases

REGISTRY = RegistrySettings(name="birds", alias="candidate")
EVIDENCE = {"sightline.before.excess": "0.31", "sightline.after.excess": "0.04"}
ORIGIN = Origin("t1", evidence=EVIDENCE)


class Tiny(nn.Module):
    """Exported in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.head(self.convolution(image_BCHW).relu().mean((2, 3)))
        return logits_BK


class DataDependent(Tiny):
    """Its computation depends on the image's values: no exporter takes it."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK = super().forward(image_BCHW)
        return logits_BK / 2 if logits_BK.max() > 100 else logits_BK


class BatchDependent(Tiny):
    """The number of images is built in, as the exporter sees it."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return super().forward(image_BCHW) * (1.0 if len(image_BCHW) < 2 else 0.5)


def classifier_of(network: nn.Module, address: str) -> Classifier:
    prepared = Preprocessing(crop=(32, 32))
    built = BuiltNetwork(network, address, classes=("bird", "boat", "car"), preprocessing=prepared)
    return check_classifier(built, ModelSettings(address=address))


def trained(seed: int = 0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return classifier_of(Tiny(), "tests:tiny")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return trained()


def resnet() -> Classifier:
    """One that a bundle can be read back to."""
    return classifier_of(small_resnet(3), "sightline:small_resnet")


def versions(tracking: Tracking) -> list[ModelVersion]:
    found = MlflowClient(tracking_uri=tracking.uri).search_model_versions("name = 'birds'")
    return sorted(found, key=lambda version: int(version.version))


@pytest.fixture
def served(tracking: Tracking) -> Iterator[Callable[[str], nn.Module]]:
    """Loads an address with MLflow itself."""

    def load(address: str) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = mlflow.pytorch.load_model(address)
            return model

    mlflow.set_tracking_uri(tracking.uri)
    yield load
    mlflow.set_tracking_uri(None)  # the environment's as well


def answers_alike(model: nn.Module, network: nn.Module, *batches: int) -> None:
    for batch in batches:
        image_BCHW = torch.randn(batch, 3, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(model(image_BCHW), network(image_BCHW))


def test_a_version_is_audited_and_served(
    tracking: Tracking, served: Callable[[str], nn.Module]
) -> None:
    classifier = resnet()
    done = register_model(classifier, REGISTRY, tracking, ORIGIN)
    assert done == RegisteredModel("birds", "1")
    assert done.address == "mlflow:models:/birds/1"
    settings = ModelSettings(address="mlflow:models:/birds@candidate")
    with fetch(settings, tracking.uri) as model:
        again = load_classifier(model.settings)
    assert again.digest == classifier.digest
    assert again.classes == classifier.classes
    answers_alike(served("models:/birds/1"), classifier.network, 1, 3)


def test_mlflow_knows_what_goes_in_and_out(tracking: Tracking, classifier: Classifier) -> None:
    register_model(classifier, REGISTRY, tracking, ORIGIN)
    (version,) = versions(tracking)
    folder = version.source.removeprefix("file://")
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.inputs[0].shape == (-1, 3, 32, 32)
    assert model.signature.inputs.inputs[0].type == np.dtype(np.float32)
    assert model.signature.outputs.inputs[0].shape == (-1, 3)
    assert model.saved_input_example_info["type"] == "ndarray"
    requirements = (Path(folder) / "requirements.txt").read_text().split()
    assert f"torch=={torch.__version__.partition('+')[0]}" in requirements


def test_registering_leaves_the_network_as_it_was(tracking: Tracking) -> None:
    classifier = resnet()
    network = classifier.network.to(memory_format=torch.channels_last).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    register_model(classifier, REGISTRY, tracking, ORIGIN)
    assert network.training
    weight = network.get_parameter("stage1.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_version_says_where_it_comes_from(tracking: Tracking, classifier: Classifier) -> None:
    training = TrainingLog(tracking, TrainingStart("retrain birds", "t1", {}, []))
    register_model(classifier, REGISTRY, tracking, Origin("t1", training.run_id, EVIDENCE))
    client = MlflowClient(tracking_uri=tracking.uri)
    (version,) = versions(tracking)
    assert version.run_id == training.run_id
    assert client.get_run(version.run_id).info.status == "RUNNING"  # the training says when
    training.finish()
    assert version.tags == EVIDENCE | {
        "sightline.training_id": "t1",
        "sightline.model": classifier.digest,
        "sightline.architecture": "tests:tiny",
        "sightline.layer": classifier.layer,
    }


def test_a_training_without_an_mlflow_run_gets_one(
    tracking: Tracking, classifier: Classifier
) -> None:
    register_model(classifier, REGISTRY, tracking, ORIGIN)
    (version,) = versions(tracking)
    run = MlflowClient(tracking_uri=tracking.uri).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["sightline.training_id"] == "t1"


def test_registering_twice_is_one_version(tracking: Tracking, classifier: Classifier) -> None:
    first = register_model(classifier, REGISTRY, tracking, ORIGIN)
    (before,) = versions(tracking)
    assert register_model(classifier, REGISTRY, tracking, ORIGIN) == first
    (after,) = versions(tracking)
    assert dict(after) == dict(before)


def test_the_next_try_completes_what_a_killed_one_left_out(
    tracking: Tracking, classifier: Classifier
) -> None:
    client = MlflowClient(tracking_uri=tracking.uri)
    register_model(trained(1), REGISTRY, tracking, Origin("t0"))
    register_model(classifier, RegistrySettings(name="birds"), tracking, Origin("t1"))
    assert aliases(tracking.uri) == {"candidate": "1"}
    done = register_model(classifier, REGISTRY, tracking, ORIGIN)
    assert done.version == "2"
    assert aliases(tracking.uri) == {"candidate": "2"}
    tags = client.get_model_version("birds", "2").tags
    assert {key: tags[key] for key in EVIDENCE} == EVIDENCE


def test_a_newer_version_keeps_the_alias(tracking: Tracking, classifier: Classifier) -> None:
    register_model(classifier, REGISTRY, tracking, ORIGIN)
    register_model(trained(1), REGISTRY, tracking, Origin("t2"))
    assert register_model(classifier, REGISTRY, tracking, ORIGIN).version == "1"
    assert aliases(tracking.uri) == {"candidate": "2"}


def test_other_names_and_trainings_are_other_versions(
    tracking: Tracking, classifier: Classifier
) -> None:
    other = RegistrySettings(name="it's-a-bird's")
    done = [
        register_model(classifier, registry, tracking, Origin(training_id))
        for registry in (REGISTRY, other)
        for training_id in ("t1", "t2")
    ]
    assert [(one.name, one.version) for one in done] == [
        *(("birds", "1"), ("birds", "2")),
        *((other.name, "1"), (other.name, "2")),
    ]


def test_a_model_without_a_training_is_a_new_version_each_time(
    tracking: Tracking, classifier: Classifier
) -> None:
    assert register_model(classifier, REGISTRY, tracking).version == "1"
    assert register_model(classifier, REGISTRY, tracking).version == "2"
    assert aliases(tracking.uri) == {"candidate": "2"}
    assert "sightline.training_id" not in versions(tracking)[0].tags


def test_of_two_that_meet_the_first_stays(
    tracking: Tracking, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process registers between this one's search and its creation of the version."""
    others: list[RegisteredModel] = []
    create = MlflowClient.create_model_version

    def create_late(*given: object, **more: object) -> object:
        monkeypatch.undo()
        others.append(register_model(classifier, REGISTRY, tracking, ORIGIN))
        return create(*given, **more)

    monkeypatch.setattr(MlflowClient, "create_model_version", create_late)
    done = register_model(classifier, REGISTRY, tracking, ORIGIN)
    assert [done] == others
    assert [str(version.version) for version in versions(tracking)] == ["1"]
    assert aliases(tracking.uri) == {"candidate": "1"}
    assert len({version.run_id for version in versions(tracking)}) == 1


def test_a_version_that_was_created_twice_is_one_afterwards(
    tracking: Tracking, classifier: Classifier
) -> None:
    """A request whose answer was lost is sent again by the client, and creates a second one."""
    done = register_model(classifier, REGISTRY, tracking, ORIGIN)
    (version,) = versions(tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    client.create_model_version("birds", version.source, version.run_id, tags=version.tags)
    assert register_model(classifier, REGISTRY, tracking, ORIGIN) == done
    assert len(versions(tracking)) == 1


def test_another_result_of_the_same_training_is_refused(
    tracking: Tracking, classifier: Classifier
) -> None:
    register_model(classifier, REGISTRY, tracking, ORIGIN)
    with pytest.raises(UserError) as caught:
        register_model(trained(1), REGISTRY, tracking, ORIGIN)
    assert str(caught.value) == (
        "version 1 of 'birds' comes from this training, with other weights: start the training "
        "again in a new run folder"
    )


def test_a_network_that_cannot_be_exported_is_registered_for_audits(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    register_model(
        classifier_of(DataDependent(), "nets.py:data_dependent"), REGISTRY, tracking, ORIGIN
    )
    (version,) = versions(tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    files = {file.path for file in client.list_artifacts(version.run_id, "model")}
    assert files == {"model/model.json", "model/model.safetensors"}
    lines = [record.message for record in caplog.records if record.name == "sightline"]
    (line,) = [line for line in lines if "exported" in line]
    assert line.startswith(
        "the version serves audits only, MLflow cannot load it: nets.py:data_dependent cannot be "
        "exported ("
    )
    assert "\n" not in line


def test_a_network_for_one_batch_size_is_served_image_by_image(
    tracking: Tracking, served: Callable[[str], nn.Module]
) -> None:
    network = BatchDependent()
    register_model(classifier_of(network, "nets.py:batch_dependent"), REGISTRY, tracking, ORIGIN)
    (version,) = versions(tracking)
    answers_alike(served("models:/birds/1"), network, 1)
    model = mlflow.models.Model.load(version.source.removeprefix("file://"))
    assert model.signature.inputs.inputs[0].shape == (1, 3, 32, 32)


def test_an_mlflow_that_is_away_is_one_line(classifier: Classifier) -> None:
    with pytest.raises(MlflowUnavailable) as caught:
        register_model(classifier, REGISTRY, Tracking("http://127.0.0.1:9", "tests"), ORIGIN)
    assert str(caught.value).startswith("MLflow at http://127.0.0.1:9 does not answer (")
    assert str(caught.value).endswith("; no version was registered, or its alias is not set")
