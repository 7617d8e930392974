"""The ways to build a network: torchvision's by name, our own small ones, and the user's code."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torchvision
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from models import weights as weight_files
from models.factory import build_from_file, split_address
from models.mistakes import Mistake, nearest, shown
from models.preprocessing import Preprocessing
from models.smallnet import small_resnet

OWN: dict[str, Callable[[int], nn.Module]] = {"small_resnet": small_resnet}


class ModelMistake(Mistake):
    """A model that cannot be audited as it was given."""


class ModelSettings(BaseModel):
    """Which classifier, and what the address alone does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(
        description="torchvision:NAME, a bundle (model.json) or path/to/file.py:function."
    )
    weights: str | None = Field(None, description="Weights file, or the name of torchvision's own.")
    classes: str | None = Field(
        None, description="File with one class name a line, in the order of the logits."
    )
    preprocessing: Preprocessing | None = Field(
        None, description="JSON file with resize, crop, mean and std."
    )
    layer: str | None = Field(None, description="Layer that maps are taken from; found by itself.")
    allow_pickle: bool = Field(False, description="Read weights whose file can run code.")
    allow_factory: bool = Field(False, description="Let a bundle run the code that it names.")


@dataclass(frozen=True)
class Built:
    """What an address gives before it is checked; None where it does not say."""

    network: nn.Module
    architecture: str  # its address
    source: str = ""  # the user's code, which makes the numbers together with the weights
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    layer: str | None = None


def build(settings: ModelSettings) -> Built:
    """The network of a `torchvision:`, `sightline:` or `file.py:function` address."""
    scheme, _, name = settings.address.partition(":")
    if scheme == "torchvision":
        return _torchvision(name, settings)
    if scheme == "sightline":
        return _own(name, settings)
    if ".py:" in settings.address:
        return _from_factory(settings)
    raise ModelMistake(
        f"model {settings.address!r} is not understood: give torchvision:NAME, a bundle "
        "(model.json or its folder) or path/to/file.py:function"
    )


def _torchvision(name: str, settings: ModelSettings) -> Built:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ModelMistake(
            f"torchvision has no classification network {name!r}{nearest(name, known)}"
        )
    named = torchvision.models.get_model_weights(name)
    choices = [entry.name for entry in named]
    if settings.weights is None:
        raise ModelMistake(
            f"torchvision:{name} needs --weights: a file, or one of {shown([*choices, 'DEFAULT'])}"
        )
    if settings.weights in named.__members__:
        entry = named[settings.weights]
        network = _build_torchvision(name, len(entry.meta["categories"]))
        weight_files.fill(network, _download(entry), settings.weights)
        return Built(
            network,
            settings.address,
            classes=unique(entry.meta["categories"]),
            preprocessing=_of_transforms(entry.transforms()),
        )
    if not Path(settings.weights).suffix:
        raise ModelMistake(
            f"weights {settings.weights!r} are no file and no torchvision weights"
            f"{nearest(settings.weights, choices)}; known are {shown(choices)}"
        )
    network = _filled(partial(_build_torchvision, name), settings, settings.weights)
    return Built(
        network, settings.address, preprocessing=_of_transforms(named.DEFAULT.transforms())
    )


def _filled(build: Callable[[int], nn.Module], settings: ModelSettings, weights: str) -> nn.Module:
    """The network with as many classes as the weights file has, and its numbers."""
    state = weight_files.read_state(Path(weights), settings.allow_pickle)
    network = build(weight_files.count_classes(build, state, weights))
    weight_files.fill(network, state, weights)
    return network


def _build_torchvision(name: str, num_classes: int) -> nn.Module:
    extra: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=num_classes, **extra
    )
    return network


def _download(entry: Any) -> weight_files.State:
    try:
        return dict(entry.get_state_dict(check_hash=True))
    except (urllib.error.URLError, OSError) as error:
        raise ModelMistake(
            f"torchvision's weights {entry} cannot be downloaded ({error}): "
            "go online once, or give --weights FILE"
        ) from error


def _of_transforms(transforms: Any) -> Preprocessing:
    """torchvision's ImageClassification preset as our preprocessing."""
    rows = transforms.crop_size[0]
    columns = transforms.crop_size[-1]
    return Preprocessing(
        resize=transforms.resize_size[0],
        crop=(rows, columns),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
        antialias=bool(transforms.antialias),
    )


def _own(name: str, settings: ModelSettings) -> Built:
    if name not in OWN:
        raise ModelMistake(
            f"sightline has no network {name!r}{nearest(name, OWN)}; known: {shown(OWN)}"
        )
    if settings.weights is None:
        raise ModelMistake(f"sightline:{name} needs --weights FILE")
    return Built(_filled(OWN[name], settings, settings.weights), settings.address)


def _from_factory(settings: ModelSettings) -> Built:
    """The network may carry `classes` and `preprocessing` (a mapping) as attributes."""
    network = build_from_file(settings.address)
    if settings.weights is not None:
        state = weight_files.read_state(Path(settings.weights), settings.allow_pickle)
        weight_files.fill(network, state, settings.weights)
    classes = getattr(network, "classes", None)
    preprocessing = getattr(network, "preprocessing", None)
    try:
        prepared = Preprocessing.model_validate(preprocessing) if preprocessing else None
    except ValidationError as error:
        raise ModelMistake(first_of(error, f"preprocessing of {settings.address}")) from error
    path, _ = split_address(settings.address)
    return Built(
        network,
        settings.address,
        source=path.read_text(),
        classes=tuple(classes) if classes else None,
        preprocessing=prepared,
    )


def unique(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """ImageNet has two cranes: a name that stands twice carries its index."""
    twice = {name for name in names if list(names).count(name) > 1}
    return tuple(f"{name} [{i}]" if name in twice else name for i, name in enumerate(names))


def first_of(error: ValidationError, what: str) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{what}: {where}: {first['msg']}".replace("\n", " ")
