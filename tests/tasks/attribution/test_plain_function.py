"""A plain function as the model: methods that need only pictures work, others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.summary.summarise import summarise
from tasks.synthetic.settings import BenchmarkSettings

FUNCTION = """
import torch
def build():
    def logits(image):
        red, green, blue = image.square().mean((2, 3)).unbind(1)
        return torch.stack([red, green, blue, red - blue], 1)
    return logits
"""
STEPS = """
import torch
def build():
    return lambda image: (image.mean((2, 3))[:, [0, 1, 2, 0]] > 0).float()
"""
CLASSES = BenchmarkSettings().classes


def model(folder: Path, text: str = FUNCTION) -> ModelSettings:
    (folder / "net.py").write_text(text)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    prepared = {"crop": (64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return ModelSettings.model_validate(
        {
            "address": f"{folder / 'net.py'}:build",
            "classes": str(folder / "classes.txt"),
            "preprocessing": prepared,
        }
    )


def request_of(benchmark: Path, *methods: str) -> AuditRequest:
    data = DataSettings(path=str(benchmark), split="test", sample=12, labels="name")
    return AuditRequest(data, AttributionSettings(methods=methods, shard_size=12))


def test_a_function_has_no_layer(tmp_path: Path) -> None:
    classifier = load_classifier(model(tmp_path))
    assert classifier.grid is None
    assert classifier.layer is None
    assert classifier.device == torch.device("cpu")


def test_a_function_is_audited_by_methods_of_the_picture(
    benchmark_folder: Path, tmp_path: Path
) -> None:
    request = request_of(benchmark_folder, "saliency", "ibisa", "rise:masks=8")
    run, cost = attribute_in_process(tmp_path / "run", model(tmp_path), request)
    summary = summarise(run, FlagSettings(method="ibisa"), cost)
    assert summary.images.predicted == 12
    assert summary.model.layer is None
    assert {method.method: method.maps for method in summary.methods} == {
        "saliency": 12,
        "ibisa": 12,
        "rise:masks=8": 12,
    }
    assert not (run.path / "features").exists()
    assert open_run(run.path).methods == ["ibisa", "rise:masks=8", "saliency"]


@pytest.mark.parametrize(
    ("text", "method", "line"),
    [
        (FUNCTION, "grad_cam", "method grad_cam needs a layer with cells, and none was found"),
        (FUNCTION, "iba", "method iba needs a layer with cells, and none was found in the model"),
        (FUNCTION, "full_grad", "method full_grad needs layers with a bias, and none was"),
        (STEPS, "ibisa", "the logits do not follow from the picture by a gradient: choose"),
        (STEPS, "saliency", "the logits do not follow from the picture by a gradient: choose"),
    ],
)
def test_what_a_function_cannot_serve_is_one_line(
    text: str, method: str, line: str, benchmark_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        attribute_in_process(
            tmp_path / "run", model(tmp_path, text), request_of(benchmark_folder, method)
        )
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()  # nothing was begun


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precision_is_one_line(kind: str, tmp_path: Path) -> None:
    text = f"""
import torch
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(torch.{kind})
"""
    with pytest.raises(
        UserError, match=f"computes in {kind}, and maps are made in float32: return"
    ):
        load_classifier(model(tmp_path, text))
