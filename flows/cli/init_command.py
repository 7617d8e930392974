"""`sightline init DIR`: a commented configuration of an audit, from what lies in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.one_line_errors import one_line_errors
from models.errors import UserError

CONFIG = Path("sightline.toml")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Weights that do not lie in the folder."
)
@one_line_errors()
def init(folder: Path, weights: Path | None) -> None:
    """Look at the data and the model in a folder, and write the settings of an audit."""
    _refuse(folder, weights)
    from flows.cli.write_config import write_config
    from models.classifier.find_model import describe_weights, find_model
    from tasks.catalog.find_dataset import find_dataset

    folders = (folder, Path())
    model = find_model(folders) if weights is None else describe_weights(weights, folders)
    data = find_dataset(folder, _read_classes(model.settings.get("classes")))
    text = write_config(str(CONFIG), data, model)
    try:
        with CONFIG.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{CONFIG} cannot be written here ({error.strerror})") from error
    steps = [*data.missing, *model.missing]
    click.echo(f"wrote {CONFIG}: look through it" + ("" if steps else ", then run"))
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
    click.echo(f"{'then run' if steps else ' '} sightline audit --config {CONFIG}".strip())


def _read_classes(file: str | None) -> list[str]:
    lines = [] if file is None else Path(file).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _refuse(folder: Path, weights: Path | None) -> None:
    if CONFIG.exists() or CONFIG.is_symlink():
        raise UserError(
            f"{CONFIG} is here already and is not overwritten: remove it, or work in another folder"
        )
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds your pictures")
    if weights is not None and not weights.is_file():
        raise UserError(f"weights {weights} not found: give a .safetensors file or a state dict")
