"""The mistakes of a first hour: each is one line that names what to type instead, and is told by a
dry run as by an audit before torch is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command_line import invoke

TABLE = "pictures,kind,part\ntest/1.png,cat,test\ntest/2.png,owl,test\n"
PREPARED = ("--size", "8", "--mean", "0.5", "--std", "0.25")
MODEL = ("--model", "torchvision:resnet18", "--weights", "net.pt", *PREPARED)
CLASSES = ("--classes", "classes.txt")
COLUMNS = ("--image-column", "pictures", "--label-column", "kind")
DATA = ("--data", "list.csv", *COLUMNS)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures, a table with unusual columns, weights; whatever loads the network fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tasks.execution.dry_run", None)
    for name in ("test/1.png", "test/2.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(name)
    Path("list.csv").write_text(TABLE)
    Path("classes.txt").write_text("cat\nowl\n")
    Path("net.pt").write_bytes(b"PK")
    Path("own.py").write_text("def build(): ...\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (*DATA, *MODEL, *CLASSES, "--split", "test"),
            "it has 'pictures', 'kind', 'part': name the one of the splits with --split-column",
        ),
        (("--data", "test", "--masks", "maks", *MODEL), "maks not found: give --masks a folder"),
        ((*DATA, "--model", "net.pt", *PREPARED), "give --weights net.pt, and the network with"),
        ((*DATA, "--model", "own.py", *PREPARED), "give --model own.py:FUNCTION"),
        ((*DATA, "--model", "resnet18", *PREPARED), "is not understood: give torchvision:NAME"),
    ],
)
def test_a_first_mistake_is_told_before_torch_is_loaded(
    words: tuple[str, ...], message: str
) -> None:
    done = invoke("audit", *words, "--out", "run", "--dry-run")
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_folder_of_results_is_asked_for_in_words_alone() -> None:
    done = invoke("audit", *DATA, *MODEL, *CLASSES, "--dry-run")
    assert done.stderr.endswith("give --out FOLDER or --series FOLDER\n")


def test_a_missing_configuration_names_the_command_that_writes_one() -> None:
    assert "(sightline init writes one)" in invoke("audit", "--config", "none.toml").stderr
