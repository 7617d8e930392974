"""What is wrong with a model's settings, as far as that is seen without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from models.addresses import is_local
from models.classifier.bundle import describe_first_problem
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import geometry_of, may_hold_preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.weights_format import refuse_programs
from models.errors import UserError

BY_NAME = ("torchvision", "timm", "sightline")  # networks whose weights alone are the user's
SHORT = ("size", "mean", "std")


def check_model(settings: ModelSettings) -> None:
    """Refuse weights that hold a program, and weights without any preprocessing.

    What needs the network, a download or a remote file is left to `load_classifier`.
    """
    weights = settings.weights
    if weights is None or not is_local(weights) or not Path(weights).is_file():
        return
    found = refuse_programs(Path(weights), weights, allow_pickle=settings.allow_pickle)
    scheme, _, name = settings.address.partition(":")
    if scheme not in BY_NAME or (scheme == "timm" and brings_preprocessing(name, weights)):
        return
    if not may_hold_preprocessing(found.texts):
        complete_preprocessing(settings, None)


def brings_preprocessing(name: str, weights: str) -> bool:
    """Does the tag of timm's weights say it, or the config.json that timm saves beside them?"""
    return "." in name or Path(weights).with_name("config.json").is_file()


def complete_preprocessing(settings: ModelSettings, brought: Preprocessing | None) -> Preprocessing:
    """The given preprocessing, else the one that the model brings; --size, --mean and --std change
    it, or are enough together. Refuses a model for which none is known."""
    chosen = settings.preprocessing or brought
    changes = {name: getattr(settings, name) for name in SHORT if getattr(settings, name)}
    if chosen is None and len(changes) < len(SHORT):
        raise _missing(settings, [name for name in SHORT if name not in changes])
    if not changes and chosen is not None:
        return chosen
    values = {} if chosen is None else chosen.model_dump()
    if "size" in changes:
        values |= geometry_of(changes.pop("size"))
    try:
        return Preprocessing.model_validate(values | changes)
    except ValidationError as error:
        raise UserError(describe_first_problem(error, "--size, --mean or --std")) from error


def _missing(settings: ModelSettings, missing: list[str]) -> UserError:
    weights = f" with {settings.weights}" if settings.weights else ""
    *others, last = (f"--{name}" for name in missing)
    options = f"{', '.join(others)} and {last}" if others else last
    return UserError(
        f"model {settings.address}{weights} does not say how its pictures are prepared, and this "
        f"is never guessed: give {options} as in its training (such as --size 64 "
        "--mean 0.5,0.5,0.5 --std 0.25,0.25,0.25), --preprocessing imagenet (256, cropped to 224, "
        "ImageNet's mean and std), or --preprocessing FILE"
    )
