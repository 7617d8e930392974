"""A user's error is one line on stderr, the right exit code, no traceback, and nothing lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from models.classifier.small_resnet import small_resnet
from tests.support.command_line import (
    Spoil,
    check_refused,
    drop_option,
    invoke,
    set_option,
    with_options,
    without_option,
)

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def options(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> list[str]:
    shutil.copytree(bundle, tmp_path / "model")
    return [
        *("--data", str(benchmark_folder), "--split", "test"),
        *("--model", str(tmp_path / "model"), "--out", str(tmp_path / "run")),
        *("--mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}", "--workers", "1"),
    ]


def an_empty_folder(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    set_option(options, "--data", str(tmp_path / "empty"))
    drop_option(options, "--split")


def another_folders_names(tmp_path: Path, options: list[str]) -> None:
    for name in ("dog", "wolf"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "data" / name / "1.jpg")
    set_option(options, "--data", str(tmp_path / "data"))
    drop_option(options, "--split")


def damaged_weights(tmp_path: Path, options: list[str]) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def a_pickle(tmp_path: Path, options: list[str]) -> None:
    torch.save(small_resnet(4), tmp_path / "model.pt")
    set_option(options, "--weights", str(tmp_path / "model.pt"))


def weights_without_preprocessing(tmp_path: Path, options: list[str]) -> None:
    torch.save(small_resnet(4).state_dict(), tmp_path / "last.pt")
    set_option(options, "--model", "sightline:small_resnet")
    set_option(options, "--weights", str(tmp_path / "last.pt"))


def weights_of_another_network(tmp_path: Path, options: list[str]) -> None:
    save_file({"fc.bias": torch.zeros(4)}, tmp_path / "other.safetensors")
    set_option(options, "--weights", str(tmp_path / "other.safetensors"))


def a_model_that_is_nowhere(tmp_path: Path, options: list[str]) -> None:
    set_option(options, "--model", str(tmp_path / "nowhere.json"))


def a_folder_in_use(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()


def every_image_unreadable(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.jpg").write_bytes(b"no picture")
    set_option(options, "--data", str(tmp_path / "data"))
    drop_option(options, "--split")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.execution.scheduler_address.TIMEOUT", 1)


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (an_empty_folder, 4, "holds no images"),
        (another_folders_names, 2, "the data has 'dog', 'wolf'; the model has 'fish', 'mushroom'"),
        (damaged_weights, 2, "are not readable safetensors"),
        (a_pickle, 2, "are a whole pickled model (models.classifier.small_resnet."),
        (weights_without_preprocessing, 2, "give --size, --mean and --std as in its training"),
        (with_options(preprocessing="imagnet"), 2, "(did you mean 'imagenet'?)"),
        (weights_of_another_network, 2, "do not fit the network"),
        (
            with_options(methods="grad_cam,gradcampp"),
            2,
            "unknown method 'gradcampp' (did you mean 'grad_cam_pp'?)",
        ),
        (with_options(methods="grad_cam"), 2, "flags need the maps of grad_cam_pp"),
        (with_options(layer="stage4"), 2, "no layer 'stage4' in the network (did you mean 'stage"),
        (with_options(split="tset"), 2, "has no split 'tset' (did you mean 'test'?)"),
        (without_option("--model"), 2, "give --model (or model.address in --config)"),
        (a_model_that_is_nowhere, 2, "no model bundle at"),
        (
            with_options(dask="tcp://127.0.0.1:9"),
            2,
            "no Dask scheduler answers at tcp://127.0.0.1:9",
        ),
        (a_folder_in_use, 2, "is neither empty nor a run folder"),
        (every_image_unreadable, 2, "none of 1 checked images can be used"),
    ],
)
def test_a_mistake_is_one_line(
    spoil: Spoil, code: int, words: str, tmp_path: Path, options: list[str]
) -> None:
    spoil(tmp_path, options)
    done = invoke("audit", *options)
    check_refused(done, code, words)


@pytest.mark.full
def test_another_run_in_the_folder_is_refused_and_kept(tmp_path: Path, options: list[str]) -> None:
    assert invoke("audit", *options).exit_code == 0
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("part-*")}
    set_option(options, "--layer", "stage2")
    done = invoke("audit", *options)
    assert done.exit_code == 2
    assert "layer was 'stage3', is 'stage2'" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    replaced = invoke("audit", *options, "--replace")
    assert replaced.exit_code == 0


def test_our_own_failure_shows_where_and_exits_with_3(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("flows.cli.commands.compose", fails)
    done = invoke("audit", *options)
    assert done.exit_code == 3
    assert "ZeroDivisionError" in done.stderr
    assert "this is a failure of Sightline, not of yours" in done.stderr
