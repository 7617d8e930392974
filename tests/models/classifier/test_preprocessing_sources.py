"""A preprocessing is given, or found in the checkpoint, and never guessed."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from models.classifier.check_model import check_model, complete_preprocessing
from models.classifier.classifier import load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import (
    IMAGENET,
    find_preprocessing,
    may_hold_preprocessing,
)
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.classifier.weights_format import recognise
from models.errors import UserError
from tests.test_light_settings import heavy_after

GIVEN = Preprocessing(resize=72, crop=(64, 64), mean=(0.1, 0.2, 0.3))
NUMBERS = {"mean": [0.1, 0.2, 0.3], "std": [0.2, 0.3, 0.4]}
FOUND = Preprocessing(resize=64, crop=(64, 64), mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4))


def settings_of(**settings: Any) -> ModelSettings:
    return ModelSettings(address="sightline:small_resnet", **settings)


def refusal(settings: ModelSettings, brought: Preprocessing | None = None) -> str:
    with pytest.raises(UserError) as caught:
        complete_preprocessing(settings, brought)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_word_imagenet_is_256_cropped_to_224() -> None:
    settings = settings_of(preprocessing="imagenet")
    assert settings.preprocessing == IMAGENET
    assert (IMAGENET.resize, IMAGENET.crop) == (256, (224, 224))


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(GIVEN.model_dump_json())
    assert settings_of(preprocessing=str(tmp_path / "p.json")).preprocessing == GIVEN


def test_a_bundles_is_taken(tmp_path: Path) -> None:
    bundle = {"architecture": "sightline:small_resnet", "preprocessing": GIVEN.model_dump()}
    (tmp_path / "model.json").write_text(json.dumps(bundle))
    assert settings_of(preprocessing=str(tmp_path / "model.json")).preprocessing == GIVEN


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "is neither a file nor a known preprocessing: give imagenet, or a JSON file with"),
        ("resize = 64", "is not JSON at line 1, column 1: give a file such as {"),
        ("[64]", "holds no object with resize, crop, mean and std"),
        ('{"crop": [64, 64]}', "the preprocessing has no mean and no std, and none is guessed"),
        (
            '{"resize": 64, "mean": [0, 0, 0], "std": [1, 1, 1]}',
            "pictures would have different sizes: set crop",
        ),
    ],
)
def test_another_file_is_refused_in_one_line(
    content: str | None, line: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValidationError) as caught:
        settings_of(preprocessing=str(path))
    assert line in caught.value.errors()[0]["msg"]


def test_a_misspelt_word_is_corrected() -> None:
    with pytest.raises(ValidationError, match="did you mean 'imagenet'"):
        settings_of(preprocessing="imagnet")


def test_short_forms_are_enough_together() -> None:
    settings = settings_of(size=["64"], mean=["0.1", "0.2", "0.3"], std=0.25)
    assert complete_preprocessing(settings, None) == Preprocessing(
        resize=64, crop=(64, 64), mean=(0.1, 0.2, 0.3), std=(0.25, 0.25, 0.25)
    )
    assert settings_of(size="48,64", mean="0.5", std="0.2,0.3,0.4").size == (48, 64)


@pytest.mark.parametrize("given", [True, False])
def test_short_forms_change_what_is_given_or_brought(given: bool) -> None:
    settings = settings_of(size=(32, 48), std=0.25, **{"preprocessing": GIVEN} if given else {})
    expected = GIVEN.model_copy(
        update={"resize": (32, 48), "crop": None, "std": (0.25, 0.25, 0.25)}
    )
    assert complete_preprocessing(settings, None if given else GIVEN) == expected


def test_what_is_given_comes_before_what_is_brought() -> None:
    assert complete_preprocessing(settings_of(preprocessing=GIVEN), IMAGENET) == GIVEN
    assert complete_preprocessing(settings_of(), GIVEN) == GIVEN


@pytest.mark.parametrize(
    ("short", "missing"),
    [
        ({}, "give --size, --mean and --std as in its training"),
        ({"size": (64,)}, "give --mean and --std as in its training"),
        ({"size": (64,), "mean": (0.5, 0.5, 0.5)}, "give --std as in its training"),
    ],
)
def test_a_missing_preprocessing_is_asked_for(short: dict[str, Any], missing: str) -> None:
    line = refusal(settings_of(weights="last.pt", **short))
    assert line.startswith(
        "model sightline:small_resnet with last.pt does not say how its pictures are prepared"
    )
    assert missing in line
    assert "--preprocessing imagenet" in line


@pytest.mark.parametrize(
    "wrong", [{"size": (0,)}, {"size": (1, 2, 3)}, {"mean": (0.5, 0.5)}, {"std": 0}, {"std": "a"}]
)
def test_short_forms_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_of(**wrong)


CHECKPOINTS: dict[str, dict[str, object]] = {
    "beside": {**NUMBERS, "size": 64},
    "hyper_parameters": {"hyper_parameters": {**NUMBERS, "image_size": [64, 64]}},
    "args": {"args": Namespace(**NUMBERS, img_size=64, lr=0.1)},
    "tensors": {
        "config": {"mean": torch.tensor([0.1, 0.2, 0.3]).double(), "std": NUMBERS["std"]}
        | {"input_size": (3, 64, 64)}
    },
    "whole": {"preprocessing": {**NUMBERS, "resize": 64, "crop": [64, 64]}},
    "text": {"preprocessing": json.dumps({**NUMBERS, "resize": 64, "crop": [64, 64]})},
    "texts": {"mean": "[0.1, 0.2, 0.3]", "std": "[0.2, 0.3, 0.4]", "size": "64"},
}


@pytest.mark.parametrize("content", CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_a_checkpoints_preprocessing_is_found(content: dict[str, object]) -> None:
    found = find_preprocessing(content)
    assert found is not None
    assert found.size == (64, 64)
    assert found.mean == pytest.approx((0.1, 0.2, 0.3))
    assert found.std == (0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"args": Namespace(mean=None, std=None, img_size=None)},
        {**NUMBERS},
        {**NUMBERS, "size": "large"},
        {"mean": [0.5], "std": [0.5], "size": 64},
        {"preprocessing": "resize"},
        {"preprocessing": {"crop": [64, 64]}},
        {"config": {**NUMBERS, "size": [1, 2, 3, 4]}},
        {"hyper_parameters": 3, "meta": None},
    ],
)
def test_what_is_incomplete_is_not_completed(content: dict[str, object]) -> None:
    assert find_preprocessing(content) is None


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_file_that_may_hold_one_is_recognised_without_torch(name: str, tmp_path: Path) -> None:
    content = {"state_dict": small_resnet(3).state_dict(), **CHECKPOINTS[name]}
    torch.save(content, tmp_path / "w.pt")
    assert may_hold_preprocessing(recognise(tmp_path / "w.pt").texts)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_without_any_are_refused_before_torch_is_imported(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"w.{suffix}"
    state = small_resnet(3).state_dict()
    torch.save(state, path) if suffix == "pt" else save_file(state, path)
    settings = settings_of(weights=str(path))
    with pytest.raises(UserError, match="does not say how its pictures are prepared"):
        check_model(settings)
    check_model(settings.model_copy(update={"preprocessing": GIVEN}))
    check_model(settings.model_copy(update={"address": f"{tmp_path}/net.py:build"}))
    program = (
        "from models.classifier.check_model import check_model\n"
        "from models.classifier.settings import ModelSettings\n"
        f"settings = ModelSettings(address='torchvision:vgg11', weights={str(path)!r})\n"
        "try:\n    check_model(settings)\n"
        "except ValueError as error:\n    assert '--preprocessing imagenet' in str(error)\n"
        "else:\n    raise SystemExit(1)"
    )
    assert heavy_after(program) == set()


def test_safetensors_may_hold_one_in_their_metadata(tmp_path: Path) -> None:
    metadata = {"preprocessing": FOUND.model_dump_json(exclude_none=True)}
    save_file(small_resnet(3).state_dict(), tmp_path / "w.safetensors", metadata)
    classifier = load_classifier(settings_of(weights=str(tmp_path / "w.safetensors")))
    assert classifier.preprocessing == FOUND


def test_own_weights_are_never_prepared_in_silence(tmp_path: Path) -> None:
    torch.save(small_resnet(3).state_dict(), tmp_path / "w.pt")
    settings = settings_of(weights=str(tmp_path / "w.pt"))
    with pytest.raises(UserError, match="give --size, --mean and --std as in its training"):
        load_classifier(settings)
    given = settings.model_copy(update={"size": (64,), "mean": (0.5,) * 3, "std": (0.5,) * 3})
    assert load_classifier(given).preprocessing == Preprocessing(resize=64, crop=(64, 64))


def test_a_module_of_ones_own_is_asked_for_it_too(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\ndef build():\n    return nn.Flatten()")
    assert isinstance(nn.Flatten(), nn.Module)
    with pytest.raises(UserError, match="does not say how its pictures are prepared"):
        load_classifier(ModelSettings(address=f"{tmp_path}/net.py:build"))
