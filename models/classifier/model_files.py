"""The files that a classifier is made from, found without reading its weights."""

from __future__ import annotations

import json
from pathlib import Path

from models.addresses import is_local, read_text
from models.classifier.bundle import find_bundle, read_bundle
from models.classifier.mlflow_addresses import SCHEME, check_mlflow_address
from models.classifier.settings import ModelSettings
from models.errors import UserError

CODE = ".py:"  # in the address of a user's function
NETWORKS = ("torchvision", "timm", "transformers", "sightline")  # before the colon of an address
WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")


def check_model_files(settings: ModelSettings) -> None:
    """Refuse a model whose files are not there; the weights are not read."""
    if settings.address.startswith(SCHEME):
        check_mlflow_address(settings.address)
        return
    _check_address(settings.address)
    read_class_names(settings)
    code, is_code, _ = settings.address.rpartition(CODE)
    if is_code and not Path(f"{code}.py").is_file():
        raise UserError(
            f"model {settings.address}: there is no file {code}.py: give path/to/file.py:function"
        )
    weights = settings.weights
    if weights and is_local(weights) and Path(weights).suffix and not Path(weights).is_file():
        raise UserError(f"weights {weights} not found: give a .safetensors file or a state dict")


def _check_address(address: str) -> None:
    is_network = address.partition(":")[0] in NETWORKS or CODE in address
    if not is_network and find_bundle(address) is None:
        raise unknown_address(address)


def unknown_address(address: str) -> UserError:
    """What to give in place of an address that names no model."""
    if Path(address).suffix.lower() in WEIGHTS:
        return UserError(
            f"model {address!r} is a file of weights, which do not say what network they are for: "
            f"give --weights {address}, and the network with --model (torchvision:NAME, timm:NAME "
            "or path/to/file.py:function)"
        )
    if address.endswith(".py"):
        return UserError(
            f"model {address!r} does not say which function of the file builds the network: give "
            f"--model {address}:FUNCTION"
        )
    return UserError(
        f"model {address!r} is not understood: give torchvision:NAME, timm:NAME, "
        "transformers:DIR, a bundle (model.json or its folder), path/to/file.py:function or "
        "mlflow:models:/NAME@ALIAS"
    )


def read_class_names(settings: ModelSettings) -> tuple[str, ...] | None:
    """The class names of the user's file or of the bundle; None where the network decides."""
    if settings.classes is not None:
        text = read_text(settings.classes)
        if text is None:
            raise UserError(f"classes file {settings.classes} not found: one class name per line")
        return tuple(name.strip() for name in _list_names(text, settings.classes) if name.strip())
    bundle = find_bundle(settings.address)
    return None if bundle is None else read_bundle(bundle).classes


def _list_names(text: str, path: str) -> list[str]:
    """Those of a JSON list, else the lines."""
    if not text.lstrip().startswith("["):
        return text.splitlines()
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):  # the first name begins with a bracket
        return text.splitlines()
    if not all(isinstance(name, str) for name in names):
        raise UserError(
            f"classes file {path} is a JSON list of more than texts: write the classes' names, "
            '["cat", "dog"], or one name per line'
        )
    return list(names)


def files_of(settings: ModelSettings) -> list[str] | None:
    """All files that determine the classifier; None where code or a server does, too."""
    if settings.address.startswith(SCHEME) or CODE in settings.address:
        return None
    files = [name for name in (settings.classes, settings.weights) if name and _is_file(name)]
    bundle = find_bundle(settings.address)
    if bundle is None:
        return files
    content = read_bundle(bundle)
    if CODE in content.architecture:
        return None
    return [*files, str(bundle), str(bundle.parent / content.weights)]


def _is_file(name: str) -> bool:
    """Else the name of torchvision's own weights, which never change."""
    return not is_local(name) or Path(name).is_file()
