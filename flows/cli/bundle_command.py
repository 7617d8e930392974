"""`sightline bundle`: a model with its classes and preprocessing as one folder."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from flows.cli.one_line_errors import one_line_errors
from flows.cli.options_from_settings import settings_from_options, settings_options
from flows.settings.compose import compose
from flows.settings.plain_commands import BundleSettings
from models.addresses import as_address_errors, as_path
from models.classifier.check_model import check_model
from models.classifier.settings import BUNDLE, WEIGHTS, ModelSettings
from models.errors import UserError
from tasks.storage.folders import check_folder

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger("sightline")


@click.command()
@settings_options(BundleSettings)
@click.option("--out", required=True, help="Folder to write: model.json and model.safetensors.")
@one_line_errors()
def bundle(out: str, **options: Any) -> None:
    """Check a model as an audit would, and write it as a bundle, which --model takes."""
    settings = compose(BundleSettings, None, settings_from_options(BundleSettings, options))
    check_model(settings.model)
    folder = _new_folder(out)
    _write_bundle(settings.model, folder)
    click.echo(folder)


def _new_folder(out: str) -> UPath:
    """The folder, unless it cannot be one or holds something that would be overwritten."""
    check_folder(out, "--out")
    folder = as_path(out)
    with as_address_errors(out):
        there = [name for name in (BUNDLE, WEIGHTS) if (folder / name).exists()]
    if there:
        raise UserError(f"--out {out} already holds {there[0]}: give another folder, or remove it")
    return folder


def _write_bundle(settings: ModelSettings, folder: UPath) -> None:
    from models.classifier.classifier import load_classifier, save_bundle

    classifier = load_classifier(settings)
    log.info(
        "model: %s, %d classes, pictures %s",
        classifier.architecture,
        len(classifier.classes),
        classifier.preprocessing.describe(),
    )
    address = _from_anywhere(classifier.architecture)
    save_bundle(folder, replace(classifier, architecture=address))
    code = " --allow-factory" if ".py:" in address else ""
    log.info("audit it with --model %s%s", folder, code)


def _from_anywhere(architecture: str) -> str:
    """The address of the user's code, whatever folder the bundle is used from."""
    if ".py:" not in architecture:
        return architecture
    from models.user_code import split_address

    file, name = split_address(architecture)
    return f"{file.absolute()}:{name}"
