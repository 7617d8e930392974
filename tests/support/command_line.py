"""The command `sightline`, in this process or its own: its options, and how they are spoilt."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from flows.cli.commands import main

Rows = list[dict[str, str]]
Spoil = Callable[[Path, list[str]], None]  # changes the options, with files in the folder

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


def with_options(**values: str) -> Spoil:
    """The same command with other values of some options."""

    def spoil(tmp_path: Path, options: list[str]) -> None:
        for name, value in values.items():
            set_option(options, "--" + name.replace("_", "-"), value)

    spoil.__name__ = ",".join(f"{name}={value}" for name, value in values.items())
    return spoil


def without_option(name: str) -> Spoil:
    def spoil(tmp_path: Path, options: list[str]) -> None:
        drop_option(options, name)

    spoil.__name__ = f"no {name}"
    return spoil


def put_table(tmp_path: Path, options: list[str], change: Callable[[Rows], Rows]) -> None:
    """The same pictures as the benchmark's, with other rows."""
    data = Path(options[options.index("--data") + 1])
    with (data / "metadata.csv").open() as file:
        rows = change(list(csv.DictReader(file)))
    with (tmp_path / "table.csv").open("w") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    set_option(options, "--data", str(tmp_path / "table.csv"))
    set_option(options, "--images", str(data))


def check_refused(done: Result, code: int, words: str) -> None:
    """One line on stderr that says it, this exit code, no traceback, and nothing on stdout."""
    assert done.exit_code == code, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sightline: ")
    assert words in last
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
