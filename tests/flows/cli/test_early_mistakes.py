"""A mistake that needs neither pictures nor weights is told before anything heavy is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

HEAVY = ("torch", "torchvision", "prefect", "mlflow", "distributed", "dask", "fastapi")
# All mistakes in one process: what one of them imports is seen after each that follows.
PROGRAM = f"""
import json, sys
import psutil
from click.testing import CliRunner
from flows.cli.commands import main

for name, words in json.load(sys.stdin).items():
    done = CliRunner().invoke(main, words)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    children = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    print(json.dumps([name, done.exit_code, done.stderr, heavy, children]))
"""
FILES = {
    "policy.toml": '[[rule]]\nfigure = "accurracy"\nat_least = 0.8\n',
    "good.toml": '[[rule]]\nfigure = "accuracy"\nat_least = 0.8\n',
    "table.csv": "image,label\na.png,cactus\nb.png,fish\n",
    "others.csv": "image,label\na.png,dog\nb.png,wolf\n",
    "no-images.csv": "name,label\na.png,cactus\n",
    "classes.txt": "dog\nwolf\n",
    "settings.toml": '[data]\npath = "table.csv"\nsplitt = "test"\n',
    "a-file": "text",
}


def mistakes(bundle: Path) -> dict[str, tuple[list[str], str]]:
    """By name, the words of the command and some of its answer."""
    data, model = ("--data", "table.csv"), ("--model", str(bundle))
    audit = ["audit", *data, *model, "--out", "run"]
    network = ["audit", *data, "--model", "torchvision:resnet18", "--out", "run"]
    release = ["release", *data, "--model", "mlflow:models:/birds@candidate", "--out", "run"]
    return {
        "an unknown option": ([*audit, "--metods", "iba"], "No such option"),
        "an unknown method": ([*audit, "--methods", "grad_kam"], "unknown method 'grad_kam'"),
        "an unknown foreground": (
            [*audit, "--foreground", "estimat"],
            "unknown source 'estimat' (did you mean 'estimate'?)",
        ),
        "a number of workers": ([*audit, "--workers", "-1"], "compute.workers: it must be"),
        "an option too few": (["audit", *data, "--out", "run"], "give --model"),
        "a setting of the file": ([*audit, "--config", "settings.toml"], "splitt"),
        "no settings file": ([*audit, "--config", "nowhere.toml"], "nowhere.toml"),
        "no data": (["audit", "--data", "nowhere", *model, "--out", "run"], "nowhere"),
        "no bundle": (["audit", *data, "--model", "nowhere", "--out", "run"], "nowhere"),
        "no code": (
            ["audit", *data, "--model", "nowhere.py:build", "--out", "run"],
            "there is no file nowhere.py",
        ),
        "no weights": ([*network, "--weights", "nowhere.pt"], "weights nowhere.pt not found"),
        "no classes": ([*network, "--classes", "nowhere.txt"], "nowhere.txt not found"),
        "a file of classes as labels": ([*audit, "--labels", "classes.txt"], "--classes"),
        "no policy": ([*release, "--policy", "nowhere.toml"], "nowhere.toml"),
        "a wrong policy": ([*release, "--policy", "policy.toml"], "accurracy"),
        "no data of a release": (
            ["release", "--data", "nowhere", *release[3:], "--policy", "good.toml"],
            "nowhere",
        ),
        "no run of the champion": (
            [*release, "--policy", "good.toml", "--champion-run", "nowhere"],
            "nowhere is not a run folder",
        ),
        "no column": ([*audit, "--label-column", "klass"], "klass"),
        "no column of images": (
            ["audit", "--data", "no-images.csv", *model, "--out", "run"],
            "image",
        ),
        "no group column": ([*audit, "--group-column", "place"], "place"),
        "classes that do not match": (
            ["audit", "--data", "others.csv", *model, "--out", "run"],
            "the data has 'dog', 'wolf'; the model has ",
        ),
        "a folder that is a file": (["audit", *data, *model, "--out", "a-file"], "a-file"),
        "no run to reuse": ([*audit, "--reuse", "nowhere"], "nowhere is not a run folder"),
        "no run of donors": ([*audit, "--donors", "nowhere"], "nowhere is not a run folder"),
        "retrain": (["retrain", "--data", "nowhere", *model, "--out", "run"], "nowhere"),
        "compare-methods": (
            ["compare-methods", "--data", "nowhere", *model, "--out", "run"],
            "nowhere",
        ),
        "show": (["show", "nowhere"], "nowhere is not a run folder"),
    }


@pytest.fixture(scope="module")
def answers(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    folder = tmp_path_factory.mktemp("mistakes")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    commands = {name: words for name, (words, _) in mistakes(bundle).items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "run").exists()
    answers = map(json.loads, done.stdout.splitlines())
    return {name: answer for name, *answer in answers}


@pytest.mark.parametrize("name", mistakes(Path("bundle")))
def test_it_is_one_line_without_torch_prefect_or_mlflow(
    name: str, answers: dict[str, list[object]], bundle: Path
) -> None:
    code, said, heavy, children = answers[name]
    assert code == 2, said
    assert isinstance(said, str)
    last = said.strip().splitlines()[-1]
    assert last.startswith(("sightline: ", "Error: "))
    assert mistakes(bundle)[name][1] in last
    assert "Traceback" not in said
    assert heavy == []
    assert children == []  # no server, no worker
