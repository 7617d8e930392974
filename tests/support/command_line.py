"""The command `sightline`, in this process or its own, and changes of its options."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from flows.cli.commands import main

SIGHTLINE = str(Path(sys.executable).with_name("sightline"))


def invoke(*words: str, answer: str | None = None) -> Result:
    """Run a command in this process; `answer` is typed when it asks."""
    return CliRunner().invoke(main, words, input=answer, catch_exceptions=False)


def set_option(options: list[str], name: str, value: str) -> None:
    if name in options:
        options[options.index(name) + 1] = value
    else:
        options += [name, value]


def drop_option(options: list[str], name: str) -> None:
    index = options.index(name)
    del options[index : index + 2]


def mlflow_of(folder: Path) -> str:
    """A database inside the folder, for --mlflow."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def link_images(benchmark: Path, folder: Path, count: int) -> Path:
    """Many test images, so that a run takes long enough to be interrupted."""
    images = sorted((benchmark / "images/test").glob("*.png"))
    folder.mkdir()
    for index in range(count):
        os.link(images[index % len(images)], folder / f"{index:05d}.png")
    return folder
