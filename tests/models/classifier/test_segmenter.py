"""A network as segmenter: probabilities by hand, weights from fresh files, refusals in one line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from models.classifier.segmenter import Segmenter, load_segmenter
from models.errors import SegmenterError, UserError

NAME = "lraspp_mobilenet_v3_large"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
HEAD = "import torch\nfrom torch import nn\n"
RED = """
class Red(nn.Module):  # the redder, the surer
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, image):
        return self.scale * (image[:, :1] - 0.5)
"""


def factory(folder: Path, body: str, name: str = "net.py") -> str:
    (folder / name).write_text(HEAD + dedent(body))
    return f"{folder / name}:build"


def answering(folder: Path, answer: str) -> str:
    """A network whose forward, given `image`, is that expression."""
    body = "class Net(nn.Module):\n    def forward(self, image):\n        return " + answer
    return factory(folder, f"{body}\n\ndef build():\n    return Net()\n")


def red(folder: Path) -> Segmenter:
    return load_segmenter(factory(folder, RED + "\ndef build():\n    return Red()\n"), size=(8, 8))


def pictures(count: int = 2, size: int = 8) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=draw)


def random_network(name: str, num_classes: int = 3, **settings: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=num_classes, **settings
        )
    return network.eval()


def refusal(
    address: str, weights: str | None = None, kind: type[UserError] = SegmenterError
) -> str:
    with pytest.raises(kind) as caught:
        load_segmenter(address, weights, size=(8, 8))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_logit_is_a_sigmoid(tmp_path: Path) -> None:
    picture_BCHW = pictures()
    mask_BHW, confidence_B = red(tmp_path).segment(picture_BCHW)
    assert mask_BHW.dtype == torch.uint8
    assert torch.equal(mask_BHW, (picture_BCHW[:, 0] >= 128).to(torch.uint8) * 255)
    for picture_CHW, confidence in zip(picture_BCHW, confidence_B, strict=True):
        sure = []
        for value in picture_CHW[0].flatten().tolist():
            p = torch.sigmoid(torch.tensor(20 * (value / 255 - 0.5))).item()
            sure.append(2 * max(p, 1 - p) - 1)
        assert confidence.item() == pytest.approx(sum(sure) / len(sure), abs=1e-5)


def test_several_classes_are_all_but_the_first(tmp_path: Path) -> None:
    answer = "torch.cat([image[:, :1] * 0 + 3.5, 4 * image], 1)"
    segmenter = load_segmenter(answering(tmp_path, answer), size=(8, 8))
    picture_BCHW = pictures()
    mask_BHW, _ = segmenter.segment(picture_BCHW)
    weight_BCHW = (picture_BCHW / 255 * 4).exp()
    background = torch.tensor(3.5).exp()
    foreground_BHW = 1 - background / (background + weight_BCHW.sum(1))
    assert torch.equal(mask_BHW > 0, foreground_BHW >= 0.5)


def test_all_or_nothing_has_no_confidence(tmp_path: Path) -> None:
    picture_BCHW = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    picture_BCHW[1] = 255
    mask_BHW, confidence_B = red(tmp_path).segment(picture_BCHW)
    assert mask_BHW.float().mean((1, 2)).tolist() == [0, 255]
    assert confidence_B.tolist() == [0, 0]


def test_nan_has_no_confidence(tmp_path: Path) -> None:
    answer = "torch.where(image[:, :1] > 0.5, torch.nan, image[:, 1:2])"
    segmenter = load_segmenter(answering(tmp_path, answer), size=(8, 8))
    mask_BHW, confidence_B = segmenter.segment(pictures())
    assert confidence_B.tolist() == [0, 0]
    assert not (mask_BHW[pictures()[:, 0] >= 128]).any()


def test_a_smaller_answer_is_enlarged(tmp_path: Path) -> None:
    answer = "{'out': 9 - 18 * nn.functional.avg_pool2d(image[:, :1], 4), 'aux': None}"
    segmenter = load_segmenter(answering(tmp_path, answer), size=(8, 8))
    picture_BCHW = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    picture_BCHW[..., 4:] = 255
    mask_BHW, confidence_B = segmenter.segment(picture_BCHW)
    assert torch.equal(mask_BHW[0] > 0, picture_BCHW[0, 0] == 0)
    assert 0.5 < confidence_B.item() < 1


@pytest.mark.parametrize("kind", ["pt", "safetensors", "training"])
def test_torchvisions_network_with_weights_from_a_file(kind: str, tmp_path: Path) -> None:
    network = random_network(NAME)
    path = tmp_path / f"trained.{'pt' if kind == 'training' else kind}"
    state = dict(network.state_dict())
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state, "epoch": 3} if kind == "training" else state, path)
    segmenter = load_segmenter(f"torchvision:{NAME}", str(path), size=(64, 64))
    picture_BCHW = pictures(2, 64)
    mask_BHW, confidence_B = segmenter.segment(picture_BCHW)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    with torch.no_grad():
        logits_BKHW = network((picture_BCHW / 255 - mean) / std)["out"]
    foreground_BHW = 1 - logits_BKHW.softmax(1)[:, 0]
    assert torch.equal(mask_BHW > 0, foreground_BHW >= 0.5)
    certainty_B = (2 * torch.maximum(foreground_BHW, 1 - foreground_BHW) - 1).mean((1, 2))
    has_both_B = torch.tensor([0 < mask_HW.sum() < 255 * 64 * 64 for mask_HW in mask_BHW])
    torch.testing.assert_close(confidence_B, certainty_B * has_both_B)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_deeplab_is_read_without_the_head_that_only_training_uses(
    prefix: str, tmp_path: Path
) -> None:
    trained = random_network("deeplabv3_resnet50", 2, aux_loss=True)
    state = {f"{prefix}{name}": value for name, value in trained.state_dict().items()}
    torch.save(state, tmp_path / "trained.pt")
    address = "torchvision:deeplabv3_resnet50"
    segmenter = load_segmenter(address, str(tmp_path / "trained.pt"), size=(32, 32))
    mask_BHW, confidence_B = segmenter.segment(pictures(1, 32))
    assert mask_BHW.shape == (1, 32, 32)
    assert 0 <= confidence_B.item() <= 1


def test_a_factorys_network_takes_weights(tmp_path: Path) -> None:
    address = factory(tmp_path, RED + "\ndef build():\n    return Red()\n")
    torch.save({"scale": torch.tensor(-20.0)}, tmp_path / "turned.pt")
    segmenter = load_segmenter(address, str(tmp_path / "turned.pt"), size=(8, 8))
    picture_BCHW = pictures()
    assert torch.equal(segmenter.segment(picture_BCHW)[0] > 0, picture_BCHW[:, 0] < 128)


def test_the_digest_names_weights_and_source(tmp_path: Path) -> None:
    body = RED + "\ndef build():\n    return Red()\n"
    torch.save({"scale": torch.tensor(3.0)}, tmp_path / "other.pt")
    address = factory(tmp_path, body)
    first = load_segmenter(address, size=(8, 8)).digest
    (tmp_path / "moved").mkdir()
    moved = factory(tmp_path / "moved", body)
    edited = factory(tmp_path, body + "# edited\n", "moved/edited.py")
    assert load_segmenter(moved, size=(8, 8)).digest == first
    others = {
        load_segmenter(address, str(tmp_path / "other.pt"), size=(8, 8)).digest,
        load_segmenter(edited, size=(8, 8)).digest,
        first,
    }
    assert len(others) == 3


def test_the_network_is_left_as_it_was_found(tmp_path: Path) -> None:
    body = "def build():\n    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))\n"
    segmenter = load_segmenter(factory(tmp_path, body), size=(8, 8))
    network = segmenter.network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, _ = segmenter.segment(pictures())
    again, _ = segmenter.segment(pictures())
    assert torch.equal(first, again)
    assert network.training
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[image]", "gives a list, not logits"),
        ("{'logits': image}", "gives a dict, not logits"),
        ("image.mean((2, 3))", r"gives (1, 3) for pictures (1, 3, 8, 8): logits must be"),
        ("image[0]", "gives (3, 8, 8) for pictures"),
        ("image.repeat(2, 1, 1, 1)", "gives (2, 3, 8, 8) for pictures"),
        ("image[:, :0]", "gives (1, 0, 8, 8) for pictures"),
        ("nn.functional.pad(image, (1, 1, 1, 1))", "gives (1, 3, 10, 10) for pictures"),
        ("image.no_such_thing", "does not accept pictures (1, 3, 8, 8) of RGB from 0 to 1: Attr"),
        ("nn.functional.avg_pool2d(image, 16)", "does not accept pictures (1, 3, 8, 8)"),
    ],
)
def test_wrong_shapes_are_refused_when_loading(answer: str, words: str, tmp_path: Path) -> None:
    address = answering(tmp_path, answer)
    line = refusal(address)
    assert line.startswith(f"segmenter {address} ")
    assert words in line


def test_unknown_addresses_and_weights_are_refused(tmp_path: Path) -> None:
    others = "give torchvision:NAME, onnx:FILE, rembg:NAME or path/to/file.py:function"
    assert others in refusal("resnet50")
    assert "did you mean 'fcn_resnet50'?" in refusal("torchvision:fcn_resnet5")
    assert "no segmentation network 'resnet50'" in refusal("torchvision:resnet50")
    assert "'COCO_WITH_VOC_LABELS_V1', 'DEFAULT'" in refusal(f"torchvision:{NAME}")
    line = refusal(f"torchvision:{NAME}", str(tmp_path / "nothing.pt"), UserError)
    assert line.endswith("not found: give a .safetensors file or a state dict")
    torch.save({"fc.weight": torch.zeros(3, 4)}, tmp_path / "other.pt")
    line = refusal(f"torchvision:{NAME}", str(tmp_path / "other.pt"), UserError)
    assert "do not fit the network" in line
    assert "not found" in refusal(str(tmp_path / "net.py:build"), kind=UserError)


def test_weights_that_can_run_code_are_refused(tmp_path: Path) -> None:
    network = random_network(NAME)
    torch.save(network, tmp_path / "whole.pt")
    path = str(tmp_path / "whole.pt")
    assert "can run code" in refusal(f"torchvision:{NAME}", path, UserError)
    allowed = load_segmenter(f"torchvision:{NAME}", path, size=(64, 64), allow_pickle=True)
    assert allowed.segment(pictures(1, 64))[0].shape == (1, 64, 64)
