"""Models in MLflow on SQLite: our bundles, and models that other training scripts logged."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from safetensors.torch import save_file

from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier, load_classifier, save_bundle
from models.classifier.mlflow_models import FetchedModel, fetch
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.errors import MlflowUnavailable, UserError
from tests.support.networks import torchvision_net

THEIRS = "squeezenet1_1"


@dataclass(frozen=True)
class Store:
    """An MLflow database with one experiment, filled through MLflow's own client."""

    uri: str
    experiment: str

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def add(self, name: str, folder: Path) -> ModelVersion:
        """A version of a registered model whose files are the folder's, under a run of its own."""
        run = self.client.create_run(self.experiment)
        self.client.log_artifacts(run.info.run_id, str(folder), "model")
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        source = f"{run.info.artifact_uri}/model"
        return self.client.create_model_version(name, source, run.info.run_id)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    return Store(uri, client.create_experiment("models", (folder / "artifacts").as_uri()))


def classifier_of(seed: int) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = small_resnet(3)
    address = "sightline:small_resnet"
    prepared = Preprocessing(crop=(32, 32))
    built = BuiltNetwork(network, address, classes=("bird", "boat", "car"), preprocessing=prepared)
    return check_classifier(built, ModelSettings(address=address))


@pytest.fixture(scope="module")
def versions(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three versions of `birds`; the digests of their networks."""
    digests = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp("bundle")
        classifier = classifier_of(seed)
        save_bundle(folder, classifier)
        store.add("birds", folder)
        digests.append(classifier.digest)
    store.client.set_registered_model_alias("birds", "champion", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow deprecates stages
        store.client.transition_model_version_stage("birds", "1", "Production")
    return digests


def load(store: Store, address: str, **more: str) -> tuple[Classifier, FetchedModel]:
    with fetch(ModelSettings(address=f"mlflow:{address}", **more), store.uri) as model:
        return load_classifier(model.settings), model


def refusal(store: Store, address: str, **more: str) -> str:
    with pytest.raises((UserError, MlflowUnavailable)) as caught:
        load(store, address, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "version"),
    [
        ("models:/birds@champion", 2),
        ("models:/birds/1", 1),
        ("models:/birds/latest", 3),
        ("models:/birds/Production", 1),
    ],
)
def test_an_address_is_resolved_to_one_version(
    address: str, version: int, store: Store, versions: list[str]
) -> None:
    classifier, model = load(store, address)
    assert classifier.digest == versions[version - 1]
    assert classifier.classes == ("bird", "boat", "car")
    run = store.client.get_model_version("birds", str(version)).run_id
    assert model.origin["address"] == f"models:/birds/{version}"
    assert model.origin["run"] == run
    assert not Path(model.settings.address).exists()  # what was fetched does not stay behind


def test_a_bundle_among_a_runs_artifacts_needs_no_registry(
    store: Store, versions: list[str]
) -> None:
    run = store.client.get_model_version("birds", "3").run_id
    classifier, model = load(store, f"runs:/{run}/model")
    assert classifier.digest == versions[2]
    assert model.origin["address"] == f"runs:/{run}/model"


def test_other_models_are_left_as_they_are() -> None:
    settings = ModelSettings(address="torchvision:resnet18", weights="w.pt")
    with fetch(settings, "http://127.0.0.1:9") as model:
        assert model == FetchedModel(settings, {})


def test_what_only_mlflow_needs_is_refused_elsewhere() -> None:
    settings = ModelSettings(address="w.json", architecture="torchvision:resnet18")
    with pytest.raises(UserError) as caught, fetch(settings, "unused"):
        pass
    assert str(caught.value) == (
        "--architecture and --weights-artifact describe a model in MLflow; w.json is not one: "
        "give --model ARCHITECTURE with --weights FILE"
    )


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize(
    ("address", "line"),
    [
        (
            "models:/brds@champion",
            "MLflow has no registered model 'brds' (did you mean 'birds'?); it has ",
        ),
        (
            "models:/birds@champoin",
            "model 'birds' has no alias 'champoin' (did you mean 'champion'?); it has 'champion'",
        ),
        ("models:/birds/77", "model 'birds' has no version 77; the newest is 3"),
        (
            "models:/birds/newest",
            "model 'birds' has no version 'newest': give a number, latest, or @ALIAS ('champion')",
        ),
        ("models:/birds", "mlflow:models:/birds is not a model in MLflow: give mlflow:models:/NA"),
        ("birds@champion", "mlflow:birds@champion is not a model in MLflow: give mlflow:models:/N"),
        (f"runs:/{'0' * 32}/model", "MLflow at sqlite:"),
    ],
)
def test_a_missing_model_is_refused_with_what_there_is(
    address: str, line: str, store: Store
) -> None:
    assert refusal(store, address).startswith(line)


def test_an_empty_registry_says_how_to_fill_it(tmp_path: Path) -> None:
    empty = Store(f"sqlite:///{tmp_path / 'mlflow.db'}", "0")
    assert refusal(empty, "models:/birds@champion") == (
        "MLflow has no registered model 'birds'; it has none: sightline log makes one, "
        "and --mlflow names another server"
    )


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nonsense://x"])
def test_an_mlflow_that_does_not_answer_is_one_line(uri: str) -> None:
    line = refusal(Store(uri, "0"), "models:/birds@champion")
    assert line.startswith(f"MLflow at {uri} does not give mlflow:models:/birds@champion (")
    assert line.endswith(": check that it runs and answers, or give another --mlflow")


@pytest.mark.parametrize("outside", ["../../model.safetensors", "/etc/passwd"])
def test_a_bundle_that_names_weights_outside_is_refused(
    outside: str, store: Store, tmp_path: Path
) -> None:
    path = save_bundle(tmp_path, classifier_of(0))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": outside}))
    version = store.add("outside", tmp_path)
    line = refusal(store, f"models:/outside/{version.version}")
    assert line.endswith(f"model.json: weights: they are outside its folder: {outside!r}")


def test_a_bundle_that_lost_its_weights_is_one_line(store: Store, tmp_path: Path) -> None:
    save_bundle(tmp_path, classifier_of(0))
    (tmp_path / "model.safetensors").unlink()
    store.add("halves", tmp_path)
    assert "model.safetensors" in refusal(store, "models:/halves/latest")


def test_an_error_about_a_fetched_file_names_its_model(store: Store, tmp_path: Path) -> None:
    save_bundle(tmp_path, classifier_of(0))
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    version = store.add("damaged", tmp_path)
    line = refusal(store, "models:/damaged/latest")
    assert f"/damaged/{version.version}/model.safetensors (7 bytes) are not readable" in line


@pytest.fixture(scope="module")
def theirs(store: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a training script leaves: an exported and a pickled model, and a checkpoint."""
    folder = tmp_path_factory.mktemp("training")
    network = torchvision_net(THEIRS, 3)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, folder / "last.pt")
    try:
        mlflow.set_tracking_uri(store.uri)
        with warnings.catch_warnings(), mlflow.start_run(experiment_id=store.experiment) as run:
            warnings.simplefilter("ignore")
            mlflow.log_artifact(str(folder / "last.pt"), "checkpoints")
            mlflow.pytorch.log_model(
                network,
                name="exported",
                registered_model_name="exported",
                input_example=np.zeros((1, 3, 64, 64), dtype=np.float32),
            )
            mlflow.pytorch.log_model(
                network,
                name="pickled",
                registered_model_name="pickled",
                serialization_format="pickle",
            )
    finally:
        mlflow.set_tracking_uri(None)  # the environment's as well
    run_id: str = run.info.run_id
    return run_id


def described_by(weights: str) -> dict[str, str]:
    return {
        "architecture": f"torchvision:{THEIRS}",
        "weights_artifact": weights,
        "preprocessing": "imagenet",
    }


@pytest.mark.parametrize("name", [pytest.param("exported", marks=pytest.mark.full), "pickled"])
def test_a_model_that_is_not_a_bundle_is_refused_with_what_to_give(
    name: str, store: Store, theirs: str
) -> None:
    line = refusal(store, f"models:/{name}/latest")
    assert line.startswith(f"models:/{name}/1 is not a bundle (it holds 'MLmodel'")
    assert "no model.json): give --architecture torchvision:NAME and --weights-artifact" in line


@pytest.mark.parametrize("where", ["registered", "logged", "run"])
def test_a_checkpoint_of_the_run_is_loaded(where: str, store: Store, theirs: str) -> None:
    (logged,) = store.client.search_logged_models([store.experiment], "name = 'exported'")
    address = {
        "registered": "models:/exported/1",
        "logged": f"models:/{logged.model_id}",
        "run": f"runs:/{theirs}/checkpoints",
    }[where]
    weights = "last.pt" if where == "run" else "checkpoints/last.pt"
    classifier, model = load(store, address, **described_by(weights))
    image_BCHW = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected_BK = torchvision_net(THEIRS, 3)(image_BCHW)
        torch.testing.assert_close(classifier.network(image_BCHW), expected_BK)
    assert classifier.architecture == f"torchvision:{THEIRS}"
    assert model.origin["run"] == theirs


def test_a_safetensors_file_of_the_model_is_loaded(store: Store, tmp_path: Path) -> None:
    save_file(torchvision_net(THEIRS, 3).state_dict(), tmp_path / "weights.safetensors")
    store.add("plain", tmp_path)
    classifier, _ = load(store, "models:/plain/latest", **described_by("weights.safetensors"))
    assert len(classifier.classes) == 3


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("exported", "data/model.pt2", "are an exported program, which hides its layers"),
        ("pickled", "data/model.pth", "are a whole pickled model (torchvision.models.squeezenet"),
    ],
)
def test_a_model_that_runs_code_or_cannot_be_hooked_is_refused(
    name: str, weights: str, words: str, store: Store, theirs: str
) -> None:
    line = refusal(store, f"models:/{name}/1", **described_by(weights))
    assert f"/{name}/1/{weights} {words}" in line


def test_missing_weights_are_refused_with_what_there_is(store: Store, theirs: str) -> None:
    line = refusal(store, "models:/exported/1", **described_by("checkpoint"))
    assert line.startswith(
        "models:/exported/1 and its run hold no 'checkpoint' (did you mean 'checkpoints'?); they"
    )


def test_an_architecture_without_weights_is_refused(store: Store, theirs: str) -> None:
    line = refusal(store, "models:/exported/1", architecture="torchvision:resnet18")
    assert line.startswith("models:/exported/1 needs both --architecture (torchvision:NAME, …)")


def test_weights_of_another_network_are_refused(store: Store, theirs: str) -> None:
    more = described_by("checkpoints/last.pt") | {"architecture": "torchvision:vgg11"}
    assert "do not fit the network" in refusal(store, "models:/exported/1", **more)


def test_the_alias_is_read_each_time(store: Store, tmp_path: Path) -> None:
    digests = []
    for seed in (3, 4):
        folder = tmp_path / str(seed)
        save_bundle(folder, classifier_of(seed))
        version = store.add("moving", folder).version
        store.client.set_registered_model_alias("moving", "champion", version)
        digests.append(load(store, "models:/moving@champion")[0].digest)
        shutil.rmtree(folder)
    assert len(set(digests)) == 2
