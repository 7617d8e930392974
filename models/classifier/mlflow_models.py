"""Models in MLflow: an alias is resolved to a version once, and its files are copied here.

The coordinator does this before anything else; workers read the copy and never call MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from models.addresses import remove_secrets
from models.answering_servers import check_answer
from models.classifier.bundle import read_bundle
from models.classifier.mlflow_addresses import (
    BY_ALIAS,
    BY_ID,
    BY_VERSION,
    SCHEME,
    check_mlflow_address,
)
from models.classifier.settings import BUNDLE, ModelSettings
from models.errors import MlflowUnavailable, UserError, list_names, suggest
from models.mlflow_failures import explain_failure, safe_cause

if TYPE_CHECKING:  # importing MLflow takes seconds, and only its models need it
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class FetchedModel:
    """A model whose files can be read without MLflow; `origin` records what its address meant."""

    settings: ModelSettings
    origin: dict[str, str] = field(default_factory=dict)  # empty if it is not from MLflow


@dataclass(frozen=True)
class ModelVersion:
    """What an address meant when it was resolved: a fixed version, not an alias."""

    address: str  # models:/NAME/7
    files: str  # their address in MLflow's artifact store
    run: str | None  # the one that logged it

    @property
    def origin(self) -> dict[str, str]:
        files = remove_secrets(self.files)
        return {"address": self.address, "files": files, "run": self.run or ""}


@contextmanager
def fetch(settings: ModelSettings, tracking_uri: str) -> Iterator[FetchedModel]:
    """The model, with local files that exist while the block runs."""
    if not settings.address.startswith(SCHEME):
        if settings.architecture or settings.weights_artifact:
            raise UserError(
                "--architecture and --weights-artifact describe a model in MLflow; "
                f"{settings.address} is not one: give --model ARCHITECTURE with --weights FILE"
            )
        yield FetchedModel(settings)
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        with _errors_in_one_line(settings.address, tracking_uri):
            model = resolve_model(settings, Path(folder), tracking_uri)
        yield model


def resolve_model(settings: ModelSettings, folder: Path, tracking_uri: str) -> FetchedModel:
    """Find the version that an `mlflow:` address means, and copy its files to the folder."""
    from mlflow.tracking import MlflowClient

    check_answer(tracking_uri)
    client = MlflowClient(tracking_uri=tracking_uri)
    version = find_version(client, settings.address.removeprefix(SCHEME))
    folder = folder / version.address.partition(":/")[2]  # errors about files name the model
    files = ArtifactFiles(client, tracking_uri, version.files)
    if settings.architecture is None and settings.weights_artifact is None:
        address = _fetch_bundle(version, files, folder)
        changes: dict[str, Any] = {"address": str(address)}
    else:
        weights = _fetch_weights(client, settings, version, files, folder)
        changes = {"address": settings.architecture, "weights": str(weights)}
    changes |= {"architecture": None, "weights_artifact": None}
    return FetchedModel(settings.model_copy(update=changes), version.origin)


def find_version(client: MlflowClient, address: str) -> ModelVersion:
    """What `models:/…` or `runs:/…` means now."""
    check_mlflow_address(f"{SCHEME}{address}")
    if match := BY_ALIAS.fullmatch(address) or BY_VERSION.fullmatch(address):
        return _registered_version(client, **match.groupdict())
    if match := BY_ID.fullmatch(address):
        model = client.get_logged_model(match["id"])
        return ModelVersion(address, model.artifact_location, model.source_run_id)
    return ModelVersion(address, address, address.removeprefix("runs:/").partition("/")[0])


def _registered_version(
    client: MlflowClient, name: str, alias: str | None = None, version: str | None = None
) -> ModelVersion:
    model = _registered_model(client, name)
    number = _number_of_alias(model, alias) if alias else _number_of(model, str(version))
    registered = _or_none(lambda: client.get_model_version(name, number))
    if registered is None:
        versions = [int(entry.version) for entry in model.latest_versions]
        raise UserError(
            f"model {name!r} has no version {number}; the newest is {max(versions, default=0)}"
        )
    files = client.get_model_version_download_uri(name, number)
    return ModelVersion(f"models:/{name}/{number}", files, registered.run_id)


def _registered_model(client: MlflowClient, name: str) -> Any:
    model = _or_none(lambda: client.get_registered_model(name))
    if model is None:
        names = [entry.name for entry in client.search_registered_models(max_results=1000)]
        has = f"it has {list_names(names)}" if names else "it has none: sightline log makes one"
        raise UserError(
            f"MLflow has no registered model {name!r}{suggest(name, names)}; "
            f"{has}, and --mlflow names another server"
        )
    return model


def _number_of_alias(model: Any, alias: str) -> str:
    if alias not in model.aliases:
        has = f"it has {list_names(model.aliases)}" if model.aliases else "it has none"
        raise UserError(
            f"model {model.name!r} has no alias {alias!r}{suggest(alias, model.aliases)}; {has}"
        )
    return str(model.aliases[alias])


def _number_of(model: Any, version: str) -> str:
    """A number as it is; `latest` and the stages of old registries as the number they mean now."""
    if version.isdigit():
        return version
    stages = {entry.current_stage.lower(): entry.version for entry in model.latest_versions}
    if version.lower() == "latest" and stages:
        return str(max(map(int, stages.values())))
    if version.lower() not in stages:
        raise UserError(
            f"model {model.name!r} has no version {version!r}: give a number, latest, or @ALIAS "
            f"({list_names(model.aliases) or 'it has none'})"
        )
    return str(stages[version.lower()])


def _or_none(call: Callable[[], Any]) -> Any:
    """The result of a call to MLflow, or None if what it asks for does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


class ArtifactFiles:
    """The files of one model or run in MLflow's artifact store, by paths below its root."""

    def __init__(self, client: MlflowClient, tracking_uri: str, root: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if match := BY_ID.fullmatch(root):  # MLflow itself would ask its global server
            root = client.get_logged_model(match["id"]).artifact_location
        self.repository = get_artifact_repository(root, tracking_uri=tracking_uri)

    def names(self, folder: str | None = None) -> list[str]:
        return [entry.path for entry in self.repository.list_artifacts(folder)]

    def have(self, path: str) -> bool:
        return path in self.names(str(PurePosixPath(path).parent) if "/" in path else None)

    def fetch(self, path: str, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(self.repository.download_artifacts(path, dst_path=str(folder)))


def _fetch_bundle(version: ModelVersion, files: ArtifactFiles, folder: Path) -> Path:
    names = files.names()
    if BUNDLE not in names:
        raise UserError(
            f"{version.address} is not a bundle (it holds {list_names(names) or 'nothing'}, "
            f"no {BUNDLE}): give --architecture torchvision:NAME and --weights-artifact PATH of a "
            "state dict or safetensors file among its files or its run's"
        )
    address = files.fetch(BUNDLE, folder)
    files.fetch(read_bundle(address).weights, folder)
    return address


def _fetch_weights(
    client: MlflowClient,
    settings: ModelSettings,
    version: ModelVersion,
    files: ArtifactFiles,
    folder: Path,
) -> Path:
    """A weights file among the model's files, or among those of the run that logged it."""
    path = settings.weights_artifact
    if settings.architecture is None or path is None:
        raise UserError(
            f"{version.address} needs both --architecture (torchvision:NAME, …) and "
            "--weights-artifact PATH; a bundle needs neither"
        )
    if files.have(path):
        return files.fetch(path, folder)
    names = files.names()
    if version.run:
        root = client.get_run(version.run).info.artifact_uri
        run_files = ArtifactFiles(client, files.repository.tracking_uri, root)
        if run_files.have(path):
            return run_files.fetch(path, folder)
        names += run_files.names()
    raise UserError(
        f"{version.address} and its run hold no {path!r}{suggest(path, names)}; "
        f"they hold {list_names(names) or 'nothing'}"
    )


@contextmanager
def _errors_in_one_line(address: str, tracking_uri: str) -> Iterator[None]:
    try:
        yield
    except (UserError, MlflowUnavailable):
        raise
    except Exception as error:  # MLflow's own, and those of every artifact store
        raise MlflowUnavailable(
            f"MLflow at {remove_secrets(tracking_uri)} does not give {address} "
            f"({explain_failure(error)}): "
            "check that it runs and answers, or give another --mlflow"
        ) from safe_cause(error)
