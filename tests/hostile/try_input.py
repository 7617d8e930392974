"""Give a hostile input to the command line in this process, and see what it does."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from flows.cli.orphan_guard import MARK
from flows.runtime.log_lines import log
from tests.hostile.hostile_input import ACCEPTED, Content, HostileInput, Outcome
from tests.hostile.watch import watching


class Accepted(BaseException):
    """Everything was checked, and a server would be started now."""


@dataclass(frozen=True)
class Surroundings:
    """What every input finds: a benchmark, a bundle for it, a finished run, and our home."""

    data: Path
    model: Path
    run: Path
    home: Path


def stop_before_servers(patch: pytest.MonkeyPatch) -> None:
    """Let whatever is accepted end where Prefect's server would start; none ever does."""

    def accept(*_: object) -> None:
        raise Accepted

    def start(*_: object) -> None:
        raise AssertionError("a server was started")

    patch.setenv(MARK, "inside")  # no process that guards the command's children
    patch.setattr("flows.runtime.command.connect_prefect", accept)
    patch.setattr("flows.runtime.local_server.LocalServer.__init__", start)


def try_input(tried: HostileInput, folder: Path, surroundings: Surroundings) -> Outcome:
    """Run the input's command in the folder, which becomes the working folder meanwhile."""
    _lay_out(tried, folder, surroundings)
    before = Path.cwd()
    os.chdir(folder)
    readable = (surroundings.data, surroundings.model, surroundings.run)
    try:
        with watching(readable, (folder, surroundings.home, *_named(tried.words))) as watch:
            start = time.monotonic()
            code, stdout, stderr = _invoke(tried.words)
            seconds = time.monotonic() - start
    finally:
        os.chdir(before)
    return Outcome(code, stdout, stderr, seconds, tuple(dict.fromkeys(watch.touched)))


def _named(words: tuple[str, ...]) -> list[Path]:
    """What the words name outside of the folder, and where it would lie."""
    return [
        path for word in words if word.startswith("/") for path in (Path(word).parent, Path(word))
    ]


def _invoke(words: tuple[str, ...]) -> tuple[int | None, str, str]:
    handlers = list(log.handlers)
    try:
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    except Accepted:
        return ACCEPTED, "", ""
    except BaseException:
        return None, "", traceback.format_exc()
    finally:
        log.handlers[:] = handlers  # each command adds one, for its own stderr
        log.setLevel("INFO")
    return done.exit_code, done.stdout, done.stderr


def _lay_out(tried: HostileInput, folder: Path, surroundings: Surroundings) -> None:
    if "data" not in {name.partition("/")[0] for name in tried.files}:
        (folder / "data").symlink_to(surroundings.data)
    if any(name.startswith("model/") for name in tried.files):
        shutil.copytree(surroundings.model, folder / "model")
    elif "model" not in tried.files:
        (folder / "model").symlink_to(surroundings.model)
    if tried.has_run:
        shutil.copytree(surroundings.run, folder / "run")
    write_files(folder, tried.files)


def write_files(folder: Path, files: Mapping[str, Content]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_bytes(content.encode("utf-8", "surrogatepass"))
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
