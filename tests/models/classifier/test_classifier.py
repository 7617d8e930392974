"""Classifiers are completed and checked when loaded, and come back the same from a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from upath import UPath

from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import Classifier, check_classifier, load_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import AddressError, LayerError, UserError
from models.network.grid import Grid
from tests.support.networks import TinyNet, random_images, tiny_net, torchvision_net
from tests.support.s3_server import serve_bucket

PREPARED = Preprocessing(crop=(16, 16))
FACTORY = """
from tests.support.networks import tiny_net

def build():
    return tiny_net()
"""


def checked(network: nn.Module, **settings: Any) -> Classifier:
    built = BuiltNetwork(network, "net.py:build", preprocessing=PREPARED)
    return check_classifier(built, ModelSettings(address="net.py:build", **settings))


def refusal(call: Callable[[], object], kind: type[UserError] = UserError) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def factory(tmp_path: Path) -> ModelSettings:
    (tmp_path / "net.py").write_text(FACTORY)
    return ModelSettings(address=f"{tmp_path / 'net.py'}:build", preprocessing=PREPARED)


@pytest.fixture
def torchvision_settings(tmp_path: Path) -> ModelSettings:
    state = torchvision_net("shufflenet_v2_x0_5", 3).state_dict()
    torch.save(state, tmp_path / "trained.pt")
    (tmp_path / "classes.txt").write_text("bird\nboat\ncar\n")
    return ModelSettings(
        address="torchvision:shufflenet_v2_x0_5",
        weights=str(tmp_path / "trained.pt"),
        classes=str(tmp_path / "classes.txt"),
        preprocessing=Preprocessing(resize=72, crop=(64, 64)),
    )


def check_same(ours: Classifier, theirs: Classifier, size: int) -> None:
    image_BCHW = random_images(2, size)
    with torch.no_grad():
        assert torch.equal(ours.network(image_BCHW), theirs.network(image_BCHW))
    for field in ("classes", "preprocessing", "grid", "architecture", "digest"):
        assert getattr(ours, field) == getattr(theirs, field), field


def test_a_classifier_is_completed_by_a_trial_pass() -> None:
    classifier = checked(tiny_net())
    assert classifier.grid == Grid("last", 8, 8)
    assert classifier.classes == ("0", "1", "2")
    assert not classifier.network.training


@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_bundle_gives_the_same_classifier_again(
    given: str, torchvision_settings: ModelSettings, tmp_path: Path
) -> None:
    classifier = load_classifier(torchvision_settings)
    path = save_bundle(tmp_path / "bundle", classifier)
    address = str(path if given == "file" else path.parent)
    again = load_classifier(ModelSettings(address=address))
    check_same(again, classifier, size=64)
    check_same(load_classifier(ModelSettings(address=f"file://{address}")), classifier, size=64)
    assert again.classes == ("bird", "boat", "car")


def test_a_bundle_can_be_moved(torchvision_settings: ModelSettings, tmp_path: Path) -> None:
    classifier = load_classifier(torchvision_settings)
    save_bundle(tmp_path / "here", classifier)
    (tmp_path / "here").rename(tmp_path / "there")
    check_same(load_classifier(ModelSettings(address=str(tmp_path / "there"))), classifier, size=64)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with serve_bucket("models") as address:
        yield address


@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_bundle_may_be_on_s3(
    given: str, bucket: str, torchvision_settings: ModelSettings
) -> None:
    classifier = load_classifier(torchvision_settings)
    path = save_bundle(UPath(f"{bucket}/{given}"), classifier)
    address = str(path if given == "file" else path.parent)
    assert address.startswith("s3://models/")
    check_same(load_classifier(ModelSettings(address=address)), classifier, size=64)


def test_a_bundle_that_is_not_on_s3_is_one_line(bucket: str) -> None:
    line = refusal(lambda: load_classifier(ModelSettings(address=f"{bucket}/nowhere")))
    assert line.startswith("no model bundle at s3://models/nowhere/model.json: ")
    there = f"{bucket}-of-others/model.json"
    assert refusal(lambda: load_classifier(ModelSettings(address=there)), UserError).startswith(
        f"no model bundle at {there}: "
    )


def test_a_bundle_is_written_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the weights and model.json, an older bundle is gone rather than mixed."""
    classifier = checked(tiny_net())
    save_bundle(tmp_path, classifier)

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("models.classifier.classifier.save", fails)
        with pytest.raises(OSError, match="No space"):
            save_bundle(tmp_path, classifier)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.safetensors"}
    with monkeypatch.context() as patch:
        patch.setattr("models.classifier.classifier.Bundle.model_dump_json", fails)
        with pytest.raises(OSError, match="No space"):
            save_bundle(tmp_path, classifier)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors"}


class Tied(TinyNet):
    """Two names for one weight, which safetensors would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.fc


@pytest.mark.parametrize("kind", ["channels_last", "tied"])
def test_a_bundle_takes_any_memory(kind: str, tmp_path: Path) -> None:
    network = Tied() if kind == "tied" else tiny_net()
    network.to(memory_format=torch.channels_last)
    assert save_bundle(tmp_path, checked(network)).is_file()


def test_settings_override_the_bundle(torchvision_settings: ModelSettings, tmp_path: Path) -> None:
    path = save_bundle(tmp_path / "bundle", load_classifier(torchvision_settings))
    prepared = Preprocessing(crop=(96, 64))
    (tmp_path / "other.txt").write_text("eins\nzwei\ndrei\n")
    other = load_classifier(
        ModelSettings(
            address=str(path),
            layer="stage4",
            preprocessing=prepared,
            classes=str(tmp_path / "other.txt"),
        )
    )
    assert other.grid == Grid("stage4", 3, 2)
    assert other.preprocessing == prepared
    assert other.classes == ("eins", "zwei", "drei")


def test_a_bundle_runs_a_factory_only_when_allowed(factory: ModelSettings, tmp_path: Path) -> None:
    classifier = load_classifier(factory)
    path = save_bundle(tmp_path / "bundle", classifier)
    line = refusal(lambda: load_classifier(ModelSettings(address=str(path))))
    assert line == (
        f"model bundle {path} names code to run ({factory.address}): "
        "pass --allow-factory if you trust it"
    )
    allowed = load_classifier(ModelSettings(address=str(path), allow_factory=True))
    check_same(allowed, classifier, size=16)


def test_the_digest_changes_with_a_weight_and_with_the_factorys_text(
    factory: ModelSettings, tmp_path: Path
) -> None:
    first = load_classifier(factory).digest
    assert load_classifier(factory).digest == first
    (tmp_path / "net.py").write_text(FACTORY + "# a remark\n")
    text = load_classifier(factory).digest
    state = tiny_net().state_dict()
    state["fc.bias"][0] += 1e-6
    torch.save(state, tmp_path / "w.pt")
    weight = load_classifier(factory.model_copy(update={"weights": str(tmp_path / "w.pt")})).digest
    assert len({first, text, weight}) == 3


def test_the_digest_covers_the_code_that_the_factory_imports_but_not_its_path(
    tmp_path: Path,
) -> None:
    def written(folder: str, way: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "net.py").write_text(
            "import block, torch\ndef build():\n    torch.manual_seed(0)\n    return block.Net()"
        )
        (tmp_path / folder / "block.py").write_text(
            "from tests.support.networks import TinyNet\n\nclass Net(TinyNet):\n"
            f"    def forward(self, image):\n        return super().forward({way})\n"
        )
        address = f"{tmp_path / folder / 'net.py'}:build"
        return load_classifier(ModelSettings(address=address, preprocessing=PREPARED)).digest

    first = written("here", "image")
    assert written("elsewhere", "image") == first
    assert written("here", "image * 2") != first  # the weights are the same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{not JSON", " is not JSON at line 1, column 2: correct it there"),
        ('{"architecture": "torchvision:resnet18"}', ": classes: it is missing"),
        ("[]", ": a section with keys is needed"),
        ('{"schema_version": 2}', ": schema_version: allowed are 1"),
    ],
)
def test_a_damaged_bundle_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    line = refusal(lambda: load_classifier(ModelSettings(address=str(path))))
    assert line == f"model bundle {path}{words}"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_bundle_of_another_encoding_is_one_line(encoding: str, tmp_path: Path) -> None:
    """As a Windows shell writes what it redirects."""
    (tmp_path / "model.json").write_text('{"classes": ["Vögel"]}', encoding=encoding)
    settings = ModelSettings(address=str(tmp_path))
    line = refusal(lambda: load_classifier(settings), AddressError)
    assert line.startswith(f"{tmp_path / 'model.json'} is not UTF-8 text: save it")
    assert line.endswith(": save it as UTF-8")


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    line = refusal(lambda: load_classifier(ModelSettings(address=str(tmp_path))))
    assert line == (
        f"no model bundle at {tmp_path}/model.json: a bundle is a folder with model.json"
    )


def test_a_bundle_without_its_weights_names_them(
    torchvision_settings: ModelSettings, tmp_path: Path
) -> None:
    path = save_bundle(tmp_path / "bundle", load_classifier(torchvision_settings))
    (path.parent / "model.safetensors").unlink()
    line = refusal(lambda: load_classifier(ModelSettings(address=str(path))), UserError)
    assert line.startswith(f"weights {path.parent}/model.safetensors not found: ")


def test_a_bundle_is_readable_json(torchvision_settings: ModelSettings, tmp_path: Path) -> None:
    path = save_bundle(tmp_path / "bundle", load_classifier(torchvision_settings))
    content = json.loads(path.read_text())
    assert content["schema_version"] == 1
    assert content["classes"] == ["bird", "boat", "car"]
    assert content["preprocessing"]["crop"] == [64, 64]


class Ending(TinyNet):
    """A network with another last step."""

    def __init__(self, end: Callable[[Tensor], object], num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.end = end

    def forward(self, image_BCHW: Tensor) -> Any:
        return self.end(super().forward(image_BCHW))


ENDS: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "sigmoid module": (nn.Sigmoid(), "ends in a sigmoid (several labels per image): only single"),
    "sigmoid": (torch.sigmoid, "ends in a sigmoid (several labels per image): only single-label"),
    "softmax module": (nn.Softmax(1), "ends in a softmax, and maps need logits: leave it out"),
    "softmax": (lambda x: x.softmax(1), "ends in a softmax, and maps need logits: leave it out"),
    "tuple": (lambda x: (x, x), "gives a tuple, not logits (batch, classes): return one tensor"),
    "mapping": (lambda x: {"logits": x}, "gives a dict, not logits (batch, classes): return one"),
    "four axes": (lambda x: x[:, :, None, None], "gives (1, 3, 1, 1), not logits (batch, classes"),
    "no batch": (lambda x: x[0], "gives (3,), not logits (batch, classes): return one tensor"),
    "one logit": (lambda x: x[:, :1], "has one logit (a binary classifier by threshold): give it"),
}


@pytest.mark.parametrize(("end", "words"), ENDS.values(), ids=ENDS.keys())
def test_other_networks_than_single_label_classifiers_are_refused(
    end: Callable[[Tensor], object], words: str
) -> None:
    line = refusal(lambda: checked(Ending(end)))
    assert line.startswith(f"model net.py:build {words}")


def test_a_sigmoid_inside_the_network_is_allowed() -> None:
    network = tiny_net()
    network.gate = nn.Sigmoid()  # registered last, as a squeeze-and-excitation block may be
    assert checked(network).classes == ("0", "1", "2")


def test_log_probabilities_are_logits() -> None:
    assert checked(Ending(nn.LogSoftmax(1))).classes == ("0", "1", "2")


def _fail(_: Tensor) -> Tensor:
    raise AssertionError


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (nn.Linear(5, 5), "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x3 and 5x5)"),
        (_fail, "AssertionError"),
    ],
)
def test_a_network_that_does_not_run_says_so(end: Callable[[Tensor], object], words: str) -> None:
    assert refusal(lambda: checked(Ending(end))) == (
        "model net.py:build does not accept pictures (1, 3, 16, 16), "
        f"the size that its preprocessing gives: {words}"
    )


class InPlace(TinyNet):
    """Scales its picture in place, as old preprocessing inside networks does."""

    def forward(self, image_BCHW: Tensor) -> Tensor:
        image_BCHW -= 0.5
        return super().forward(image_BCHW)


def test_a_network_that_changes_its_picture_in_place_is_accepted() -> None:
    assert checked(InPlace()).layer == "last"


def test_a_model_must_specify_its_preprocessing() -> None:
    settings = ModelSettings(address="net.py:build")
    line = refusal(lambda: check_classifier(BuiltNetwork(tiny_net(), "net.py:build"), settings))
    assert line.startswith("model net.py:build does not say how its pictures are prepared")


@pytest.mark.parametrize(
    ("layer", "kind", "words"),
    [
        ("lst", LayerError, "no layer 'lst' in the network (did you mean 'last'?)"),
        ("fc", LayerError, "layer 'fc' gives (1, 3); a map needs (batch, channels, rows, col"),
        ("aside", UserError, "the logits do not follow from layer 'aside' by a gradient"),
    ],
)
def test_a_layer_that_gives_no_map_is_refused_before_the_first_picture(
    layer: str, kind: type[UserError], words: str
) -> None:
    network = tiny_net()
    network.aside = aside = nn.Conv2d(3, 2, 1)

    def look_aside(_: nn.Module, images: tuple[Tensor]) -> None:
        aside(images[0])

    network.register_forward_pre_hook(look_aside)
    assert refusal(lambda: checked(network, layer=layer), kind).startswith(words)


def test_a_layer_may_be_named() -> None:
    assert checked(tiny_net(), layer="stem").layer == "stem"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bird\nboat\n", "has 3 logits, but 2 class names ('bird', 'boat'): give --classes FILE"),
        ("a\nb\nc\nd\ne\n", "has 3 logits, but 5 class names ('a', 'b', 'c', 'd' and 1 more): "),
        ("", "has 3 logits, but 0 class names (): give --classes FILE with one name per line"),
    ],
)
def test_a_wrong_count_of_class_names_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    line = refusal(lambda: checked(tiny_net(), classes=str(path)))
    assert line.startswith(f"model net.py:build {words}")


def test_a_missing_classes_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "classes.txt")
    line = refusal(lambda: checked(tiny_net(), classes=path))
    assert line == f"classes file {path} not found: one class name per line"


@pytest.mark.parametrize("text", ['["bird", "boat",\n "car"]', ' ["bird","boat ","car"]\n'])
def test_class_names_may_be_a_json_list(text: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    assert checked(tiny_net(), classes=str(path)).classes == ("bird", "boat", "car")


def test_a_json_list_of_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text('[["n01440764", "tench"], ["n01443537", "goldfish"]]')
    line = refusal(lambda: checked(tiny_net(), classes=str(path)))
    assert line == (
        f"classes file {path} is a JSON list of more than texts: write the classes' names, "
        '["cat", "dog"], or one name per line'
    )


def test_a_name_may_begin_with_a_bracket(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("[unknown]\nboat\ncar\n")
    assert checked(tiny_net(), classes=str(path)).classes == ("[unknown]", "boat", "car")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_class_names_are_utf_8(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("Kräne\n鳥\nCañón\n", encoding=encoding)
    assert checked(tiny_net(), classes=str(path)).classes == ("Kräne", "鳥", "Cañón")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_class_names_of_another_encoding_are_one_line(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("Kräne\nVögel\nCañón\n", encoding=encoding)
    line = refusal(lambda: checked(tiny_net(), classes=str(path)), AddressError)
    assert line.startswith(f"{path} is not UTF-8 text: save it as UTF-8")
    assert line.endswith(": save it as UTF-8")


def test_repeated_class_names_get_their_index(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("  crane\nbird\ncrane\n\n")
    assert checked(tiny_net(), classes=str(path)).classes == ("crane [0]", "bird", "crane [2]")
