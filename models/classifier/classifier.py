"""A classifier with its classes, preprocessing and map layer; loading and saving one.

Addresses: `torchvision:NAME` and `timm:NAME` with weights, `path/to/model.json` (our bundle, or
its folder; also on s3:// and the like), `path/to/file.py:function` (the user's code) and
`sightline:NAME` (our own small networks). models/classifier/mlflow_models.py turns addresses of
MLflow into these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save
from torch import Tensor, nn

from models.addresses import as_address_errors, as_path, is_local, read_text, write_atomically
from models.classifier.architectures import (
    BuiltNetwork,
    build,
    describe_first_problem,
    unique_names,
)
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.weights import digest_of
from models.errors import LayerError, UserError, describe_error, find_position, list_names
from models.file_kinds import suggest_option
from models.network.capture import as_found, capture
from models.network.grid import Grid
from models.network.layers import device_of, find_grid, grid_of

BUNDLE = "model.json"


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


class Bundle(BaseModel):
    """model.json beside a safetensors file: everything but the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    architecture: str
    weights: str = "model.safetensors"
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    layer: str | None = None


def load_classifier(settings: ModelSettings) -> Classifier:
    """Build, fill and check the classifier that the settings name."""
    return check_classifier(_build(settings), settings)


def check_classifier(built: BuiltNetwork, settings: ModelSettings) -> Classifier:
    """Complete the network with the settings and with what it is found to do, or refuse it."""
    preprocessing = settings.preprocessing or built.preprocessing
    if preprocessing is None:
        raise UserError(
            f"model {settings.address} does not specify its preprocessing: give "
            '--preprocessing FILE with {"resize": 256, "crop": [224, 224], "mean": …, "std": …}'
        )
    network = built.network.eval()
    example_BCHW = torch.zeros(1, 3, *preprocessing.size)
    count = _count_logits(network, example_BCHW, settings.address)
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


def read_bundle(address: str | Path) -> Bundle:
    """The content of a model.json; refuses a file that is not one."""
    text = read_text(address)
    if text is None:
        raise UserError(f"no model bundle at {address}: a bundle is a folder with {BUNDLE}")
    try:
        return Bundle.model_validate(json.loads(text))
    except ValidationError as error:
        raise UserError(describe_first_problem(error, f"model bundle {address}")) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"model bundle {address} is not JSON{find_position(error)}: "
            f"{suggest_option(text, '--model') or 'correct it there'}"
        ) from error


def _build(settings: ModelSettings) -> BuiltNetwork:
    address = settings.address
    if is_local(address) and not Path(address).is_dir() and not address.endswith(".json"):
        return build(settings)
    with as_address_errors(address):
        path = as_path(address)
    return _from_bundle(path if path.suffix == ".json" else path / BUNDLE, settings)


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


def _count_logits(network: nn.Module, example_BCHW: Tensor, address: str) -> int:
    """The number of classes; refuses a network that does not choose one class among several."""
    other_types = {weight.dtype for weight in network.parameters()} - {torch.float32}
    if other_types:
        dtype = str(other_types.pop()).removeprefix("torch.")
        raise UserError(
            f"model {address} computes in {dtype}, and maps are made in float32: "
            "return network.float() from the factory"
        )
    with as_found(network), torch.enable_grad():
        image_BCHW = example_BCHW.clone().requires_grad_(True)
        try:
            logits = network(image_BCHW.clone())  # a copy: some networks scale theirs in place
        except Exception as error:  # the user's code may raise anything
            raise UserError(
                f"model {address} does not accept pictures {tuple(example_BCHW.shape)}, "
                f"the size that its preprocessing gives: {describe_error(error)}"
            ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        output = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UserError(
            f"model {address} gives {output}, not logits (batch, classes): "
            "return one tensor of them, with a factory if need be"
        )
    if logits.shape[1] == 1:
        raise UserError(
            f"model {address} has one logit (a binary classifier by threshold): "
            "give it two logits, [0, logit], in a factory"
        )
    last = type(logits.grad_fn).__name__  # finds functions as well as modules
    if last.startswith("SigmoidBackward"):
        raise UserError(
            f"model {address} ends in a sigmoid (several labels per image): "
            "only single-label classifiers can be audited"
        )
    if last.startswith("SoftmaxBackward"):
        raise UserError(
            f"model {address} ends in a softmax, and maps need logits: leave it out of the factory"
        )
    return logits.shape[1]


def _name_classes(
    settings: ModelSettings, built: tuple[str, ...] | None, count: int
) -> tuple[str, ...]:
    """The class names: from the user's file, the model's own, or the indices."""
    classes, remedy = built, "give --classes FILE with one name per line"
    if settings.classes is not None:
        text = read_text(settings.classes)
        if text is None:
            raise UserError(f"classes file {settings.classes} not found: one class name per line")
        classes = tuple(line.strip() for line in text.splitlines() if line.strip())
        looks = suggest_option(text, "--classes")
        remedy = f"{looks}; {remedy}" if looks else remedy
    if classes is None:
        return tuple(str(index) for index in range(count))
    if len(classes) != count:
        raise UserError(
            f"model {settings.address} has {count} logits, but {len(classes)} class names "
            f"({list_names(classes, most=4)}): {remedy}"
        )
    return unique_names(classes)
