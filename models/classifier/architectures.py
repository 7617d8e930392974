"""The ways to build a network: torchvision's, timm's and our own by name, and the user's code."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from models.addresses import is_local
from models.classifier import timm_models
from models.classifier import weights as weight_files
from models.classifier.bundle import describe_first_problem
from models.classifier.model_files import unknown_address
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import find_preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.classifier.transformers_models import build_untrained, read_folder
from models.errors import UserError, list_names, suggest
from models.user_calls import user_call
from models.user_code import build_from_file

INCEPTIONS = ("googlenet", "inception_v3")
TRAINING_HEADS = {"aux1", "aux2", "AuxLogits"}  # theirs
log = logging.getLogger("sightline")
OWN: dict[str, Callable[[int], nn.Module]] = {"small_resnet": small_resnet}


@dataclass(frozen=True)
class BuiltNetwork:
    """What an address gives before it is checked; None for what it does not specify."""

    network: nn.Module
    architecture: str  # its address
    source: str = ""  # digests of the user's code, part of the model's digest
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    layer: str | None = None

    @property
    def name(self) -> str:
        """The architecture's name on any machine: for a factory, its file and function."""
        return Path(self.architecture).name if self.source else self.architecture


def build(settings: ModelSettings) -> BuiltNetwork:
    """The network of a `torchvision:`, `timm:`, `sightline:` or `file.py:function` address."""
    scheme, _, name = settings.address.partition(":")
    if scheme == "torchvision":
        return _torchvision(name, settings)
    if scheme == "timm":
        return _timm(name, settings)
    if scheme == "sightline":
        return _own(name, settings)
    if scheme == "transformers":
        return _transformers(name, settings)
    if ".py:" in settings.address:
        return _from_factory(settings)
    raise unknown_address(settings.address)


def build_fresh(architecture: str, classes: int) -> nn.Module:
    """The network of such an address with random weights; a factory and a folder of
    transformers choose how many classes."""
    scheme, _, name = architecture.partition(":")
    if scheme == "torchvision":
        return _build_torchvision(name, classes)
    if scheme == "timm":
        return timm_models.build_untrained(name, classes)
    if scheme == "sightline":
        return OWN[name](classes)
    if scheme == "transformers":
        return build_untrained(name)
    return build_from_file(architecture)[0]


def _torchvision(name: str, settings: ModelSettings) -> BuiltNetwork:
    import torchvision  # costs most of a second, which not every command needs

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UserError(f"torchvision has no classification network {name!r}{suggest(name, known)}")
    named = torchvision.models.get_model_weights(name)
    choices = [entry.name for entry in named]
    if settings.weights is None:
        raise UserError(
            f"torchvision:{name} needs --weights: a file, or one of "
            f"{list_names([*choices, 'DEFAULT'])}"
        )
    if settings.weights in named.__members__:
        entry = named[settings.weights]
        return BuiltNetwork(
            _fill_torchvision(name, weight_files.download(entry), settings.weights),
            settings.address,
            classes=unique_names(entry.meta["categories"]),
            preprocessing=_of_transforms(name, entry.transforms()),
        )
    path = Path(settings.weights)
    if is_local(settings.weights) and not path.suffix and not path.is_file():
        raise UserError(
            f"weights {settings.weights!r} are neither a file nor torchvision weights"
            f"{suggest(settings.weights, choices)}; known are {list_names(choices)}"
        )
    checkpoint = weight_files.read_checkpoint(settings.weights, settings.allow_pickle)
    return BuiltNetwork(
        _fill_torchvision(name, checkpoint.state, settings.weights),
        settings.address,
        preprocessing=_preprocessing_in(checkpoint, settings.weights),
    )


def _preprocessing_in(checkpoint: weight_files.Checkpoint, weights: str) -> Preprocessing | None:
    """What the weights file says of its pictures, and the log says that it does."""
    found = find_preprocessing(checkpoint.content)
    if found is not None:
        log.info("weights %s: took the preprocessing that they hold", weights)
    return found


def _fill(build: Callable[[int], nn.Module], state: weight_files.State, weights: str) -> nn.Module:
    """The network with as many classes as the weights have, filled with them."""
    network = build(weight_files.count_classes(build, state, weights))
    weight_files.fill(network, state, weights)
    return network


def _fill_torchvision(name: str, state: weight_files.State, weights: str) -> nn.Module:
    """Drops the heads that only training uses, and maps old names of DenseNet's layers."""
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key): value
        for key, value in state.items()
        if name not in INCEPTIONS or not TRAINING_HEADS & set(key.split("."))
    }
    return _fill(partial(_build_torchvision, name), state, weights)


def _build_torchvision(name: str, num_classes: int) -> nn.Module:
    import torchvision

    extra: dict[str, Any] = (
        {"init_weights": False, "aux_logits": False} if name in INCEPTIONS else {}
    )
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=num_classes, **extra
    )
    return network


def _of_transforms(name: str, transforms: Any) -> Preprocessing:
    """torchvision's ImageClassification preset as our preprocessing.

    GoogLeNet and Inception read values from -1 to 1. torchvision prepares them like all others and
    corrects that inside the network (transform_input), which weights files do not record: we do it
    here.
    """
    scaled = (0.5, 0.5, 0.5) if name in INCEPTIONS else None
    rows = transforms.crop_size[0]
    columns = transforms.crop_size[-1]
    return Preprocessing(
        resize=transforms.resize_size[0],
        crop=(rows, columns),
        mean=scaled or tuple(transforms.mean),
        std=scaled or tuple(transforms.std),
        interpolation=transforms.interpolation.value,
        antialias=bool(transforms.antialias),
    )


def _timm(name: str, settings: ModelSettings) -> BuiltNetwork:
    timm = timm_models.import_timm(name)
    plain, _, tag = name.partition(".")
    known = timm.list_models()
    if plain not in known:
        raise UserError(f"timm has no network {plain!r}{suggest(plain, known)}")
    tags = timm.list_pretrained(f"{plain}.*")
    if tag and name not in tags:
        raise UserError(f"timm has no {name!r}{suggest(name, tags)}; known are {list_names(tags)}")
    if settings.weights is None:
        raise UserError(f"timm:{name} needs --weights FILE: a safetensors file or a state dict")
    checkpoint = weight_files.read_checkpoint(settings.weights, settings.allow_pickle)
    network = _fill(partial(timm_models.build_untrained, name), checkpoint.state, settings.weights)
    saved = timm_models.read_config(settings.weights)
    config: Any = saved.get("pretrained_cfg") or (network.pretrained_cfg if tag else None)
    names = saved.get("label_names")
    preprocessing = _preprocessing_in(checkpoint, settings.weights)
    if preprocessing is None and config is not None:
        preprocessing = timm_models.preprocessing_of(config)
    return BuiltNetwork(
        network,
        settings.address,
        classes=unique_names([*map(str, names)]) if isinstance(names, list) else None,
        preprocessing=preprocessing,
    )


def _own(name: str, settings: ModelSettings) -> BuiltNetwork:
    if name not in OWN:
        raise UserError(
            f"sightline has no network {name!r}{suggest(name, OWN)}; known: {list_names(OWN)}"
        )
    if settings.weights is None:
        raise UserError(f"sightline:{name} needs --weights FILE")
    checkpoint = weight_files.read_checkpoint(settings.weights, settings.allow_pickle)
    return BuiltNetwork(
        _fill(OWN[name], checkpoint.state, settings.weights),
        settings.address,
        preprocessing=_preprocessing_in(checkpoint, settings.weights),
    )


def _transformers(folder: str, settings: ModelSettings) -> BuiltNetwork:
    saved = read_folder(folder, settings.weights, settings.allow_pickle)
    return BuiltNetwork(
        saved.network,
        f"transformers:{Path(folder).absolute()}",
        source=saved.config,
        classes=saved.classes and unique_names(saved.classes),
        preprocessing=saved.preprocessing,
    )


def _from_factory(settings: ModelSettings) -> BuiltNetwork:
    """The network may carry `classes` (names) and `preprocessing` (a mapping) as attributes."""
    network, source = build_from_file(settings.address)
    in_weights = None
    if settings.weights is not None:
        checkpoint = weight_files.read_checkpoint(settings.weights, settings.allow_pickle)
        weight_files.fill(network, checkpoint.state, settings.weights)
        in_weights = _preprocessing_in(checkpoint, settings.weights)
    with user_call(f"model {settings.address} raised"):  # either may be a property
        classes = getattr(network, "classes", None)
        preprocessing = settings.preprocessing or getattr(network, "preprocessing", None)
    try:
        prepared = preprocessing and Preprocessing.model_validate(preprocessing)
    except ValidationError as error:
        raise UserError(
            describe_first_problem(error, f"preprocessing of {settings.address}")
        ) from error
    return BuiltNetwork(
        network,
        settings.address,
        source=source,
        classes=tuple(map(str, classes)) if isinstance(classes, list | tuple) else None,
        preprocessing=prepared or in_weights,
    )


def unique_names(names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """A name that occurs twice, as crane does in old ImageNet lists, gets its index appended."""
    counts = Counter(names)
    return tuple(f"{name} [{i}]" if counts[name] > 1 else name for i, name in enumerate(names))
