"""What a command costs before and beside its work, as a multiple of `python -c "import torch"`.

CPU time of the whole process tree, which what else runs on the machine changes little. Commands
take turns, one after the other in each round. Empty databases of Prefect and MLflow are prepared
before the first round, as they are after the first audit of a user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psutil
import torch

from benchmarks.measure import Figure, at_most, main, ratios
from flows.runtime.local_server import LocalServer
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import check_classifier, save_bundle
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_preprocessing, small_resnet
from tasks.synthetic.baseline import ADDRESS
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings

SIGHTLINE = str(Path(sys.executable).with_name("sightline"))
IMPORT_TORCH = (sys.executable, "-c", "import torch")
MIGRATED = "Prefect's server until it answers, its database made by migrations"
SERVERS: dict[str, float | None] = {
    MIGRATED: None,
    "Prefect's server until it answers, its database copied": None,
}
HELP, READING, MISTAKE, AGAIN, SMALL, LARGE = 0.15, 0.35, 0.5, 2.0, 6.0, 12.0


@dataclass(frozen=True)
class Command:
    """A command line, what it may cost, and its exit code; `before` runs uncounted."""

    name: str
    goal: float
    words: Sequence[str]
    code: int = 0
    before: Callable[[], object] = lambda: None


def run(quick: bool) -> list[Figure]:
    """The ratio of each command's CPU time to that of importing torch in the same round."""
    rounds = 2 if quick else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = make_commands(folder)
        for command in commands:  # warms up
            _measure(command, folder)
        spent = [
            {"torch": _cpu_seconds(IMPORT_TORCH, folder, 0)}
            | {command.name: _measure(command, folder) for command in commands}
            | {name: _server_seconds(folder, name) for name in SERVERS}
            for _ in range(rounds)
        ]
    goals: dict[str, float | None] = {command.name: command.goal for command in commands}
    return [_figure(name, goal, spent) for name, goal in (goals | SERVERS).items()]


def _figure(name: str, goal: float | None, spent: Sequence[Mapping[str, float]]) -> Figure:
    ours, torch_alone = ([turn[key] for turn in spent] for key in (name, "torch"))
    return at_most(goal, f"{name}, times import torch", ratios(ours, torch_alone))


def _server_seconds(folder: Path, name: str) -> float:
    """CPU time of Prefect's server until it answers, without any flow."""
    home = folder / "server"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    variables = {"PREFECT_HOME": str(home)}
    if name == MIGRATED:
        variables["XDG_CACHE_HOME"] = str(home / "empty")
    with mock.patch.dict(os.environ, variables):
        server = LocalServer(home)
        server.await_answer()
        times = psutil.Process(server.process.pid).cpu_times()
        server.stop()
    return float(times.user + times.system)


def make_commands(folder: Path) -> list[Command]:
    """Everything that is measured, with the data, the model and the policy that it needs."""
    for count in (24, 1200):
        settings = BenchmarkSettings(train=0, validation=0, test=count)
        write_benchmark(folder / f"data-{count}", settings)
    _save_model(folder / "model", settings.classes)
    (folder / "policy.toml").write_text('[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n')
    (folder / "table.csv").write_text("image\na.png\n")
    audit = ["audit", "--model", "model"]
    small = [*audit, "--data", "data-24", "--split", "test", "--out", "small"]
    return [
        Command("sightline --help", HELP, ["--help"]),
        Command("audit --help", HELP, ["audit", "--help"]),
        Command("--version", HELP, ["--version"]),
        Command("audit of 24 pictures, cold", SMALL, small, before=lambda: _forget(folder)),
        Command("the same again", AGAIN, small),
        Command("show", READING, ["show", "small"]),
        Command("runs", READING, ["runs", "."]),
        Command("policy check", READING, ["policy", "check", "policy.toml"]),
        Command("unknown option", MISTAKE, [*small, "--polarty", "x"], 2),
        Command("missing data", MISTAKE, [*audit, "--data", "none", "--out", "other"], 2),
        Command(
            "missing weights",
            MISTAKE,
            [
                *("audit", "--model", "torchvision:resnet18", "--weights", "none.pt"),
                *("--data", "data-24", "--out", "other"),
            ],
            2,
        ),
        Command(
            "table without the column",
            MISTAKE,
            [*audit, "--data", "table.csv", "--label-column", "label", "--out", "other"],
            2,
        ),
        Command(
            "classes that do not match",
            MISTAKE,
            [*small[:-1], "other", "--labels", "table.csv"],
            2,
        ),
        Command(
            "audit of 1,200 pictures of 64 px",
            LARGE,
            [*audit, "--data", "data-1200", "--split", "test", "--out", "large"],
            before=lambda: shutil.rmtree(folder / "large", ignore_errors=True),
        ),
    ]


def _save_model(folder: Path, classes: Sequence[str]) -> None:
    torch.manual_seed(0)
    built = BuiltNetwork(
        small_resnet(len(classes)).eval(),
        ADDRESS,
        classes=tuple(classes),
        preprocessing=small_preprocessing(64),
    )
    save_bundle(folder, check_classifier(built, ModelSettings(address=ADDRESS)))


def _forget(folder: Path) -> None:
    for name in ("small", ".sightline"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _measure(command: Command, folder: Path) -> float:
    command.before()
    return _cpu_seconds((SIGHTLINE, *command.words), folder, command.code)


def _cpu_seconds(words: Sequence[str], folder: Path, code: int) -> float:
    """Of the process and of all that it waited for."""
    environment = {key: value for key, value in os.environ.items() if key != "SIGHTLINE_HOME"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            output.seek(0)
            raise RuntimeError(f"{' '.join(words)} ended with {output.read().decode()}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(run)
