"""`sightline bundle`: own weights become a folder that --model takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.classifier.classifier import load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from tests.support.command_line import SIGHTLINE, check_refused, invoke
from tests.support.networks import random_images

SHORT = ("--size", "64", "--mean", "0.4,0.5,0.6", "--std", "0.25")
PREPARED = Preprocessing(resize=64, crop=(64, 64), mean=(0.4, 0.5, 0.6), std=(0.25, 0.25, 0.25))
OWN_CODE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes=3):
        super().__init__(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
        )
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = {f"net.{name}": value for name, value in small_resnet(3).state_dict().items()}
    torch.save({"state_dict": state, "epoch": 4}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_a_checkpoint_becomes_a_bundle(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("bird\nboat\ncar\n")
    options = ("--model", "sightline:small_resnet", "--weights", str(weights), *SHORT)
    out = str(tmp_path / "bundle")
    done = invoke("bundle", *options, "--classes", str(tmp_path / "classes.txt"), "--out", out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{out}\n"
    classifier = load_classifier(ModelSettings(address=out))
    assert classifier.classes == ("bird", "boat", "car")
    assert classifier.preprocessing == PREPARED
    settings = {"address": options[1], "weights": options[3], "preprocessing": PREPARED}
    expected = load_classifier(ModelSettings.model_validate(settings))
    image_BCHW = random_images(2, 64)
    assert torch.equal(classifier.network(image_BCHW), expected.network(image_BCHW))


def test_a_bundle_of_own_code_is_used_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    done = invoke("bundle", "--model", "net.py:Net", *SHORT, "--out", "bundle")
    assert done.exit_code == 0, done.stderr
    monkeypatch.chdir("/")
    settings = ModelSettings(address=str(tmp_path / "bundle"), allow_factory=True)
    assert load_classifier(settings).architecture == f"{tmp_path}/net.py:Net"


@pytest.mark.parametrize("there", ["model.json", "model.safetensors"])
def test_nothing_is_overwritten(there: str, weights: Path, tmp_path: Path) -> None:
    (tmp_path / there).write_text("theirs")
    options = ("--model", "sightline:small_resnet", "--weights", str(weights), *SHORT)
    done = invoke("bundle", *options, "--out", str(tmp_path))
    check_refused(done, 2, f"--out {tmp_path} already holds {there}: give another folder")
    assert (tmp_path / there).read_text() == "theirs"
    check_refused(invoke("bundle", *options, "--out", str(weights)), 2, "it is a file or a device")


def test_a_missing_preprocessing_is_asked_for(weights: Path, tmp_path: Path) -> None:
    options = ("--model", "sightline:small_resnet", "--weights", str(weights))
    done = invoke("bundle", *options, "--size", "64", "--out", str(tmp_path / "bundle"))
    check_refused(done, 2, "give --mean and --std as in its training")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--preprocessing", "imagnet", "did you mean 'imagenet'?"),
        ("--size", "large", "setting model.size"),
        ("--architecture", "torchvision:vgg11", "describe a model in MLflow: give --model"),
        ("--model", "mlflow:models:/a/1", "mlflow:models:/a/1 is in MLflow: audit it by this"),
    ],
)
def test_a_mistake_is_one_line(option: str, value: str, line: str, tmp_path: Path) -> None:
    options = ["--model", "sightline:small_resnet", "--out", str(tmp_path / "b"), option, value]
    check_refused(invoke("bundle", *options), 2, line)


@pytest.mark.full
def test_the_three_steps_of_the_message_make_a_bundle(tmp_path: Path) -> None:
    """As a user would copy them, in the folder of their code."""
    (tmp_path / "net.py").write_text(OWN_CODE)
    train = "import torch, net; torch.save(net.Net(), 'trained.pt')"
    subprocess.run([sys.executable, "-c", train], cwd=tmp_path, check=True)
    command = [SIGHTLINE, "bundle", "--model", "net.py:Net", "--weights", "trained.pt", *SHORT]
    refused = subprocess.run(
        [*command, "--out", "bundle"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    (first,) = re.findall(r'python -c "(.*?)" \(2\)', refused.stderr)
    subprocess.run([sys.executable, "-c", first], cwd=tmp_path, check=True)
    command[command.index("trained.pt")] = "trained.state.pt"
    subprocess.run([*command, "--out", "bundle"], cwd=tmp_path, check=True)
    settings = ModelSettings(address=str(tmp_path / "bundle"), allow_factory=True)
    assert len(load_classifier(settings).classes) == 3
