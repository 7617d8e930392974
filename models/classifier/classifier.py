"""A classifier with its classes, preprocessing and map layer; loading and saving one.

Addresses: `torchvision:NAME` and `timm:NAME` with weights, `path/to/model.json` (our bundle, or
its folder; also on s3:// and the like), `path/to/file.py:function` (the user's code) and
`sightline:NAME` (our own small networks). models/classifier/mlflow_models.py turns addresses of
MLflow into these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from models.addresses import read_text, write_atomically
from models.classifier.architectures import (
    BuiltNetwork,
    build,
    unique_names,
)
from models.classifier.bundle import Bundle, find_bundle, read_bundle
from models.classifier.check_model import check_model, complete_preprocessing
from models.classifier.model_files import read_class_names
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import BUNDLE, ModelSettings
from models.classifier.trial import count_logits
from models.classifier.weights import digest_of
from models.errors import LayerError, UserError, list_names
from models.file_kinds import suggest_option
from models.network.capture import capture
from models.network.grid import Grid
from models.network.layers import device_of, find_grid, grid_of
from models.time_limit import limit_time
from models.user_calls import user_call


@dataclass(frozen=True)
class Classifier:
    """A network with its classes, preprocessing and map layer; `digest` names all its numbers."""

    network: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    grid: Grid | None  # the map layer and the cells in its output; None if there is no such layer
    architecture: str  # the address that builds the network; for a bundle, not the bundle's path
    digest: str

    @property
    def layer(self) -> str | None:
        return None if self.grid is None else self.grid.layer

    @property
    def device(self) -> torch.device:
        return device_of(self.network)


def load_classifier(settings: ModelSettings) -> Classifier:
    """Build, fill and check the classifier that the settings name."""
    check_model(settings)
    with limit_time(f"loading and trying model {settings.address}"):
        return check_classifier(_build(settings), settings)


def check_classifier(built: BuiltNetwork, settings: ModelSettings) -> Classifier:
    """Complete the network with the settings and with what it is found to do, or refuse it."""
    if not built.source:
        return _check(built, settings)
    with user_call(f"model {settings.address} raised"):  # any attribute of it may be their code
        return _check(built, settings)


def _check(built: BuiltNetwork, settings: ModelSettings) -> Classifier:
    preprocessing = complete_preprocessing(settings, built.preprocessing)
    network = built.network
    network.eval()  # a user's own may return nothing
    example_BCHW = torch.zeros(1, 3, *preprocessing.size)
    count = count_logits(network, example_BCHW, settings.address)
    classes = _name_classes(settings, built.classes, count)
    layer = settings.layer or built.layer
    grid = grid_of(network, layer, example_BCHW) if layer else _last_grid(network, example_BCHW)
    capture(network, grid, example_BCHW)  # refuses a layer that the logits do not follow from
    return Classifier(
        network=network,
        classes=classes,
        preprocessing=preprocessing,
        grid=grid,
        architecture=built.architecture,
        digest=digest_of(network, built.name, built.source),
    )


def _last_grid(network: nn.Module, example_BCHW: Tensor) -> Grid | None:
    """The grid of the last layer with cells; None if there is none, as in a bare function."""
    try:
        return find_grid(network, example_BCHW)
    except LayerError:
        return None


def save_bundle(folder: Path, classifier: Classifier) -> Path:
    """Write model.json and model.safetensors, or neither; `load_classifier` reads them back."""
    bundle = Bundle(
        architecture=classifier.architecture,
        classes=classifier.classes,
        preprocessing=classifier.preprocessing,
        layer=classifier.layer,
    )
    state = classifier.network.state_dict()
    # Copies, since safetensors refuses tied weights and other memory formats.
    tensors = {name: value.contiguous().clone() for name, value in state.items()}
    with write_atomically(folder / bundle.weights) as file:
        file.write(save(tensors))
        (folder / BUNDLE).unlink(missing_ok=True)  # never an old one beside new weights
    with write_atomically(folder / BUNDLE) as file:
        file.write(bundle.model_dump_json(indent=2).encode() + b"\n")
    return folder / BUNDLE


def _build(settings: ModelSettings) -> BuiltNetwork:
    path = find_bundle(settings.address)
    return build(settings) if path is None else _from_bundle(path, settings)


def _from_bundle(path: Path, settings: ModelSettings) -> BuiltNetwork:
    bundle = read_bundle(path)
    if ".py:" in bundle.architecture and not settings.allow_factory:
        raise UserError(
            f"model bundle {path} names code to run ({bundle.architecture}): "
            "pass --allow-factory if you trust it"
        )
    weights = settings.weights or str(path.parent / bundle.weights)
    inner = settings.model_copy(update={"address": bundle.architecture, "weights": weights})
    return replace(
        build(inner),
        classes=bundle.classes,
        preprocessing=bundle.preprocessing,
        layer=bundle.layer,
    )


def _name_classes(
    settings: ModelSettings, built: tuple[str, ...] | None, count: int
) -> tuple[str, ...]:
    """The class names: from the user's file, the model's own, or the indices."""
    classes, remedy = built, "give --classes FILE with one name per line"
    if settings.classes is not None:
        classes = read_class_names(settings)
        looks = suggest_option(read_text(settings.classes) or "", "--classes")
        remedy = f"{looks}; {remedy}" if looks else remedy
    if classes is None:
        return tuple(str(index) for index in range(count))
    if len(classes) != count:
        raise UserError(
            f"model {settings.address} has {count} logits, but {len(classes)} class names "
            f"({list_names(classes, most=4)}): {remedy}"
        )
    return unique_names(classes)
