"""Image classifiers of transformers: what a folder says is taken, and nothing is guessed."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.classifier.architectures import build_fresh
from models.classifier.classifier import Classifier, load_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.transformers_models import preprocessing_of
from models.errors import UserError
from models.methods.maps import check_methods, explain
from models.methods.registry import find_methods
from models.network.explain_request import ExplainRequest
from tests.support.networks import random_images
from tests.support.saved_transformers import CONFIGURATIONS, PICTURE, save_model, tiny_model

METHODS = ("grad_cam_pp", "layer_cam", "full_grad", "input_x_gradient", "rise:masks=8")


@pytest.fixture(autouse=True)
def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded, whatever transformers would like to."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def load(folder: Path, **settings: Any) -> Classifier:
    return load_classifier(ModelSettings(address=f"transformers:{folder}", **settings))


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_saved_classifier_is_read_with_all_that_it_says(name: str, tmp_path: Path) -> None:
    theirs = save_model(tmp_path, name)
    classifier = load(tmp_path)
    image_BCHW = random_images(2, PICTURE)
    with torch.no_grad():
        expected_BK = theirs(pixel_values=image_BCHW).logits
        torch.testing.assert_close(classifier.network(image_BCHW), expected_BK)
    assert classifier.classes == ("bird", "boat", "car", "tree")
    assert classifier.preprocessing == Preprocessing(resize=(PICTURE, PICTURE))
    assert classifier.architecture == f"transformers:{tmp_path}"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_its_predictions_are_explained(name: str, tmp_path: Path) -> None:
    save_model(tmp_path, name)
    classifier = load(tmp_path)
    grid = classifier.grid
    assert grid is not None
    assert grid.rows >= 4
    image_BCHW = random_images(2, PICTURE)
    methods = find_methods(METHODS)
    check_methods(methods, classifier.network, grid, image_BCHW)
    target_B = classifier.network(image_BCHW).argmax(1)
    for method in methods:
        request = ExplainRequest(classifier.network, image_BCHW, target_B, grid=grid)
        map_Bhw = explain(method, request)
        assert map_Bhw.isfinite().all(), method.name
        assert (map_Bhw.flatten(1).std(1) > 0).any(), method.name


def test_a_bundle_of_it_gives_the_same_classifier(tmp_path: Path) -> None:
    save_model(tmp_path / "saved", "vit")
    classifier = load(tmp_path / "saved")
    with torch.no_grad():
        classifier.network.get_parameter("model.classifier.weight").add_(1)
    save_bundle(tmp_path / "bundle", classifier)
    again = load_classifier(ModelSettings(address=str(tmp_path / "bundle")))
    image_BCHW = random_images(2, PICTURE)
    assert torch.equal(again.network(image_BCHW), classifier.network(image_BCHW))
    assert (again.classes, again.grid) == (classifier.classes, classifier.grid)


def test_random_weights_have_the_same_shapes(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    ours, fresh = load(tmp_path).network, build_fresh(f"transformers:{tmp_path}", 4)
    shapes = {name: value.shape for name, value in ours.state_dict().items()}
    assert {name: value.shape for name, value in fresh.state_dict().items()} == shapes


def test_other_weights_may_be_given(tmp_path: Path) -> None:
    save_model(tmp_path, "resnet")
    state = {name: value + 1 for name, value in tiny_model("resnet").state_dict().items()}
    torch.save({"state_dict": {f"net.{name}": state[name] for name in state}}, tmp_path / "last.pt")
    network = load(tmp_path, weights=str(tmp_path / "last.pt")).network
    assert network.state_dict()["model.classifier.1.bias"].equal(state["classifier.1.bias"])


def test_a_folder_from_before_safetensors_is_read_without_running_code(tmp_path: Path) -> None:
    theirs = save_model(tmp_path, "vit")
    (tmp_path / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    image_BCHW = random_images(1, PICTURE)
    expected_BK = theirs(pixel_values=image_BCHW).logits
    torch.testing.assert_close(load(tmp_path).network(image_BCHW), expected_BK)
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    assert "a whole pickled model" in refusal(tmp_path)


def test_the_digest_depends_on_the_numbers_and_the_configuration(tmp_path: Path) -> None:
    save_model(tmp_path / "vit", "vit")
    first = load(tmp_path / "vit").digest
    (tmp_path / "moved").mkdir()
    (tmp_path / "vit").rename(tmp_path / "moved/vit")
    assert load(tmp_path / "moved/vit").digest == first
    change_json(tmp_path / "moved/vit/config.json", hidden_act="relu")
    assert load(tmp_path / "moved/vit").digest != first


def test_names_that_are_none_are_not_taken(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    labels = {str(index): f"LABEL_{index}" for index in range(4)}
    change_json(tmp_path / "config.json", id2label=labels)
    assert load(tmp_path).classes == ("0", "1", "2", "3")


def test_names_are_in_the_order_of_the_logits(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    change_json(tmp_path / "config.json", id2label={"3": "d", "0": "a", "2": "c", "1": "b"})
    assert load(tmp_path).classes == ("a", "b", "c", "d")


def test_a_classifier_without_a_head_is_refused(tmp_path: Path) -> None:
    """transformers would fill the head with random numbers, and only log it."""
    save_model(tmp_path, "vit")
    state = load_file(tmp_path / "model.safetensors")
    del state["classifier.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    line = refusal(tmp_path)
    assert f"the weights in {tmp_path} do not fit" in line
    assert "'classifier.weight'" in line


def test_several_labels_per_image_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    change_json(tmp_path / "config.json", problem_type="multi_label_classification")
    assert "only single-label classifiers can be audited" in refusal(tmp_path)


def test_code_of_the_folder_does_not_run(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    code = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
    (tmp_path / "own.py").write_text(code)
    reference = {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Model"}
    change_json(tmp_path / "config.json", auto_map=reference, model_type="own")
    assert "cannot be read" in refusal(tmp_path)
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "bert"}', "{}"])
def test_a_broken_configuration_is_one_line(content: str, tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    (tmp_path / "config.json").write_text(content)
    assert refusal(tmp_path).startswith(f"transformers:{tmp_path} cannot be read (")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    line = refusal(tmp_path)
    assert line.startswith(f"transformers:{tmp_path} is not a folder with a config.json: give one")
    assert "is not a folder with a config.json" in refusal(Path("google/vit-base-patch16-224"))


def test_a_bundles_address_says_what_a_folder_of_transformers_needs(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    with pytest.raises(UserError, match=f"give --model transformers:{tmp_path}"):
        load_classifier(ModelSettings(address=str(tmp_path)))


def test_transformers_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # as import sees what is missing
    assert refusal(tmp_path) == (
        f"transformers:{tmp_path} needs transformers, which is not installed: "
        "pip install 'sightline[transformers]'"
    )


def picture() -> Tensor:
    shape = (3, 300, 400)
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("ViTImageProcessor", {}),
    "DeiT": ("DeiTImageProcessor", {}),
    "BEiT": ("BeitImageProcessor", {}),
    "CLIP": ("CLIPImageProcessor", {}),
    "SigLIP": ("SiglipImageProcessor", {}),
    "MobileNet": ("MobileNetV2ImageProcessor", {}),
    "EfficientNet": ("EfficientNetImageProcessor", {}),
    "ConvNeXt, cropped": ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),
    "ConvNeXt, squashed": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    "not normalised": ("ViTImageProcessor", {"do_normalize": False}),
    "from -1 to 1": ("ViTImageProcessor", {"do_normalize": False, "rescale_factor": 1 / 127.5}),
}


@pytest.mark.parametrize(("kind", "settings"), PROCESSORS.values(), ids=PROCESSORS.keys())
def test_our_pictures_are_those_of_the_processor(kind: str, settings: dict[str, Any]) -> None:
    processor = getattr(transformers, kind)(**settings)
    prepared = preprocessing_of(json.loads(processor.to_json_string()))
    assert prepared is not None
    theirs_BCHW = processor(images=[picture()], return_tensors="pt")["pixel_values"]
    ours_BCHW = prepared.normalise(prepared.resize_and_crop(picture())[None])
    assert ours_BCHW.shape == theirs_BCHW.shape
    assert (ours_BCHW - theirs_BCHW).abs().max() * 255 * min(prepared.std) <= 1.01  # grey levels


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("MobileViTImageProcessor", {}),  # swaps red and blue
        ("LevitImageProcessor", {}),  # resizes by a factor of its own
        ("ViTImageProcessor", {"resample": 0}),  # nearest neighbours
        ("ViTImageProcessor", {"do_resize": False}),
        ("ViTImageProcessor", {"size": {"longest_edge": 32}}),
    ],
)
def test_pictures_that_ours_cannot_make_are_asked_for(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    save_model(tmp_path, "resnet", lambda: getattr(transformers, kind)(**settings))
    assert "does not say how its pictures are prepared" in refusal(tmp_path)
    given = Preprocessing(crop=(PICTURE, PICTURE))
    assert load(tmp_path, preprocessing=given).preprocessing == given


def test_a_folder_without_a_processor_is_asked_for_its_preprocessing(tmp_path: Path) -> None:
    save_model(tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").unlink()
    assert "does not say how its pictures are prepared" in refusal(tmp_path)
