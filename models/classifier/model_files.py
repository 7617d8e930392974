"""The files that a classifier is made from, found without reading its weights."""

from __future__ import annotations

from pathlib import Path

from models.addresses import is_local, read_text
from models.classifier.bundle import find_bundle, read_bundle
from models.classifier.mlflow_addresses import SCHEME
from models.classifier.settings import ModelSettings
from models.errors import UserError

CODE = ".py:"  # in the address of a user's function
LIBRARIES = ("torchvision", "timm", "sightline", "transformers")  # that have networks by name


def check_model_files(settings: ModelSettings) -> None:
    """Refuse a model whose files are not there; the weights are not read."""
    if settings.address.startswith(SCHEME):
        return
    read_class_names(settings)
    code, is_code, _ = settings.address.rpartition(CODE)
    has_name = settings.address.partition(":")[0] in LIBRARIES
    if not (has_name or is_code or find_bundle(settings.address)):
        raise unknown_address(settings.address)
    if is_code and not Path(f"{code}.py").is_file():
        raise UserError(
            f"model {settings.address}: there is no file {code}.py: give path/to/file.py:function"
        )
    weights = settings.weights
    if weights and is_local(weights) and Path(weights).suffix and not Path(weights).is_file():
        raise UserError(f"weights {weights} not found: give a .safetensors file or a state dict")


def unknown_address(address: str) -> UserError:
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
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    bundle = find_bundle(settings.address)
    return None if bundle is None else read_bundle(bundle).classes


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
