"""Addresses of networks: what each builds, and what is refused in one line."""

from __future__ import annotations

import hashlib
import re
import sys
import urllib.error
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, pil_to_tensor
from upath import UPath

from models.classifier.architectures import _of_transforms, build, unique_names
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from models.classifier.timm_models import preprocessing_of
from models.classifier.weights import count_classes, read_state
from models.errors import AddressError, UserError
from tests.support.networks import torchvision_net

FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "vgg11",
]


def save(folder: Path, state: dict[str, Tensor], name: str = "w.safetensors") -> str:
    save_file({name: value.contiguous() for name, value in state.items()}, folder / name)
    return str(folder / name)


def refusal(settings: ModelSettings, kind: type[UserError] = UserError) -> str:
    with pytest.raises(kind) as caught:
        build(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def replace_download(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Any]) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", answer)


@pytest.mark.parametrize(
    "name",
    ["mnasnet0_5", "mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1"],
)
def test_torchvision_with_a_weights_file_gives_the_saved_network(name: str, tmp_path: Path) -> None:
    network = torchvision_net(name, num_classes=5)
    weights = save(tmp_path, network.state_dict())
    built = build(ModelSettings(address=f"torchvision:{name}", weights=weights))
    image_BCHW = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(built.network.eval()(image_BCHW), network(image_BCHW))
    assert built.classes is None


@pytest.mark.parametrize("name", FAMILIES)
def test_classes_are_counted_in_every_family(name: str) -> None:
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    make = partial(torchvision.models.get_model, name, **extra)
    with torch.device("meta"):
        state = make(num_classes=7).state_dict()
    assert count_classes(lambda count: make(num_classes=count), state, "w.pt") == 7


def test_densenet_files_with_old_names_fit(tmp_path: Path) -> None:
    network = torchvision_net("densenet121", num_classes=5)
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))([12]\.)", r"\1.\3", name): value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    built = build(ModelSettings(address="torchvision:densenet121", weights=save(tmp_path, old)))
    torch.testing.assert_close(built.network.state_dict(), network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("aux_logits", "prefix"), [(True, ""), (False, ""), (True, "module.")])
def test_googlenet_sees_what_torchvisions_own_sees(
    aux_logits: bool, prefix: str, tmp_path: Path
) -> None:
    """torchvision scales the picture inside that network; no weights file says so."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchvision.models.googlenet(
            num_classes=5, transform_input=True, init_weights=False, aux_logits=aux_logits
        ).eval()
    state = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    weights = save(tmp_path, state)
    built = build(ModelSettings(address="torchvision:googlenet", weights=weights))
    preset = torchvision.models.GoogLeNet_Weights.DEFAULT.transforms()
    prepared = _of_transforms("googlenet", preset)
    generator = torch.Generator().manual_seed(0)
    picture_CHW = torch.randint(0, 256, (3, 240, 260), dtype=torch.uint8, generator=generator)
    placed_BCHW = prepared.resize_and_crop(picture_CHW)[None]
    image_BCHW = (placed_BCHW[0] / 255 - torch.tensor(preset.mean)[:, None, None])[None]
    image_BCHW /= torch.tensor(preset.std)[:, None, None]
    ours_BCHW = prepared.normalise(placed_BCHW)
    torch.testing.assert_close(ours_BCHW, theirs._transform_input(image_BCHW), rtol=0, atol=1e-5)
    with torch.no_grad():
        ours_BK, theirs_BK = built.network.eval()(ours_BCHW), theirs(image_BCHW)
    torch.testing.assert_close(ours_BK, theirs_BK, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b3", "convnext_tiny", "googlenet"])
def test_torchvisions_own_weights_bring_their_preprocessing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "models.classifier.architectures._fill_torchvision", lambda *_: torch.nn.Identity()
    )
    replace_download(monkeypatch, lambda *_, **__: {})
    built = build(ModelSettings(address=f"torchvision:{name}", weights="DEFAULT"))
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    scaled = (0.5, 0.5, 0.5) if name == "googlenet" else None  # torchvision: inside the network
    assert built.preprocessing == Preprocessing(
        resize=preset.resize_size[0],
        crop=(preset.crop_size[0], preset.crop_size[0]),
        mean=scaled or tuple(preset.mean),
        std=scaled or tuple(preset.std),
        interpolation="bicubic"
        if preset.interpolation is InterpolationMode.BICUBIC
        else "bilinear",
    )


@pytest.mark.parametrize("address", ["torchvision:squeezenet1_1", "sightline:small_resnet"])
def test_weights_of_ones_own_bring_the_preprocessing_that_they_hold(
    address: str, tmp_path: Path
) -> None:
    own = address.startswith("sightline")
    network = small_resnet(3) if own else torchvision_net("squeezenet1_1", 3)
    settings = ModelSettings(address=address, weights=str(tmp_path / "w.pt"))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    assert build(settings).preprocessing is None
    hyper = {"mean": [0.1, 0.2, 0.3], "std": [0.2, 0.2, 0.2], "image_size": 64}
    torch.save({"state_dict": network.state_dict(), "hyper_parameters": hyper}, tmp_path / "w.pt")
    assert build(settings).preprocessing == Preprocessing(
        resize=64, crop=(64, 64), mean=(0.1, 0.2, 0.3), std=(0.2, 0.2, 0.2)
    )


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "DEFAULT"])
def test_torchvisions_own_weights_bring_their_class_names(
    weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torchvision_net("shufflenet_v2_x0_5", num_classes=1000)
    replace_download(monkeypatch, lambda *_, **__: network.state_dict())
    built = build(ModelSettings(address="torchvision:shufflenet_v2_x0_5", weights=weights))
    torch.testing.assert_close(built.network.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert built.classes is not None
    assert len(set(built.classes)) == 1000
    assert built.classes[:2] == ("tench", "goldfish")


@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("no route\nto host"), RuntimeError("invalid hash value"), OSError()],
)
def test_a_failed_download_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, weights_only: bool, check_hash: bool) -> None:
        assert weights_only
        assert check_hash
        raise error

    replace_download(monkeypatch, fail)
    settings = ModelSettings(address="torchvision:resnet18", weights="IMAGENET1K_V1")
    with pytest.raises(UserError) as raised:
        build(settings)
    line = str(raised.value)
    assert line.startswith("torchvision's weights ResNet18_Weights.IMAGENET1K_V1 cannot be downl")
    assert line.endswith("go online once, or give a file of weights")


@pytest.mark.parametrize(
    ("address", "weights", "line"),
    [
        (
            "torchvision:resnet51",
            "w.pt",
            "torchvision has no classification network 'resnet51' (did you mean 'resnet50'?)",
        ),
        (
            "torchvision:resnet50",
            None,
            "torchvision:resnet50 needs --weights: a file, or one of 'IMAGENET1K_V1', "
            "'IMAGENET1K_V2', 'DEFAULT'",
        ),
        (
            "torchvision:resnet18",
            "IMAGENET1K_V7",
            "weights 'IMAGENET1K_V7' are neither a file nor torchvision weights "
            "(did you mean 'IMAGENET1K_V1'?); known are 'IMAGENET1K_V1'",
        ),
        (
            "sightline:small_resnt",
            "w.pt",
            "sightline has no network 'small_resnt' (did you mean 'small_resnet'?); "
            "known: 'small_resnet'",
        ),
        ("sightline:small_resnet", None, "sightline:small_resnet needs --weights FILE"),
        (
            "resnet50",
            None,
            "model 'resnet50' is not understood: give torchvision:NAME, timm:NAME, "
            "transformers:DIR, a bundle (model.json or its folder), path/to/file.py:function or "
            "mlflow:models:/NAME@ALIAS",
        ),
    ],
)
def test_an_unknown_address_is_refused_with_what_is_allowed(
    address: str, weights: str | None, line: str
) -> None:
    assert refusal(ModelSettings(address=address, weights=weights)) == line


def test_a_weights_file_may_have_no_suffix(tmp_path: Path) -> None:
    network = small_resnet(3)
    torch.save(torchvision_net("squeezenet1_1", 3).state_dict(), tmp_path / "weights")
    settings = ModelSettings(address="torchvision:squeezenet1_1", weights=str(tmp_path / "weights"))
    assert build(settings).network is not network


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = save(tmp_path, small_resnet(3).state_dict())
    line = refusal(ModelSettings(address="torchvision:vgg11", weights=weights), UserError)
    assert line == (
        f"weights {weights} do not fit the network: missing 'classifier.6.bias'; "
        "name the architecture that they were trained with"
    )


def test_our_own_network_has_as_many_classes_as_its_weights(tmp_path: Path) -> None:
    network = small_resnet(6)
    weights = save(tmp_path, network.state_dict())
    built = build(ModelSettings(address="sightline:small_resnet", weights=weights))
    torch.testing.assert_close(built.network.state_dict(), network.state_dict(), rtol=0, atol=0)


FACTORY = """
from torch import nn

def build():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.classes = {classes}
    network.preprocessing = {preprocessing}
    return network
"""


def factory(folder: Path, classes: str = "None", preprocessing: str = "None") -> ModelSettings:
    path = folder / "net.py"
    path.write_text(FACTORY.format(classes=classes, preprocessing=preprocessing))
    return ModelSettings(address=f"{path}:build")


def test_a_factory_may_name_its_classes_and_preprocessing(tmp_path: Path) -> None:
    built = build(factory(tmp_path, "['a', 'b', 'c', 'd']", "{'crop': [8, 6]}"))
    assert built.classes == ("a", "b", "c", "d")
    assert built.preprocessing == Preprocessing(crop=(8, 6))
    digest = hashlib.sha256((tmp_path / "net.py").read_bytes()).hexdigest()
    assert built.source == f"net.py {digest}"
    assert built.name == "net.py:build"


def test_a_factory_need_not_name_them(tmp_path: Path) -> None:
    built = build(factory(tmp_path))
    assert (built.classes, built.preprocessing) == (None, None)


def test_a_number_of_classes_is_not_a_list_of_names(tmp_path: Path) -> None:
    assert build(factory(tmp_path, classes="4")).classes is None


def test_a_factorys_weights_come_from_the_file(tmp_path: Path) -> None:
    state = {"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.zeros(4)}
    settings = factory(tmp_path).model_copy(update={"weights": save(tmp_path, state)})
    torch.testing.assert_close(dict(build(settings).network.state_dict()), state)


def test_a_factorys_invalid_preprocessing_is_refused(tmp_path: Path) -> None:
    settings = factory(tmp_path, preprocessing="{'crop': [8]}")
    line = f"preprocessing of {settings.address}: crop.1: it is missing"
    assert refusal(settings) == line
    settings = factory(tmp_path, preprocessing="nn.Flatten()")
    assert refusal(settings).startswith(
        f"preprocessing of {settings.address}: a section with keys is needed"
    )
    given = settings.model_copy(update={"preprocessing": Preprocessing(crop=(8, 8))})
    assert build(given).preprocessing == Preprocessing(crop=(8, 8))


def test_only_repeated_names_get_their_index() -> None:
    assert unique_names(["crane", "dog", "crane"]) == ("crane [0]", "dog", "crane [2]")


TIMM = ["resnet18", "mobilenetv3_small_050", "deit_tiny_distilled_patch16_224", "levit_128s"]


@pytest.mark.parametrize("name", [*TIMM, "convnext_atto.d2_in1k"])
def test_timms_networks_are_the_saved_ones(name: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = timm.create_model(name, num_classes=5).eval()
    torch.save({"epoch": 2, "state_dict": theirs.state_dict()}, tmp_path / "last.pth.tar")
    settings = ModelSettings(address=f"timm:{name}", weights=str(tmp_path / "last.pth.tar"))
    built = build(settings)
    assert (built.preprocessing is None) == ("." not in name)  # only a tag's is known
    image_BCHW = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(built.network.eval()(image_BCHW), theirs(image_BCHW))
    assert theirs(image_BCHW).shape == (1, 5)
    assert built.architecture == f"timm:{name}"


@pytest.mark.parametrize(
    "name",
    [
        "resnet18.a1_in1k",  # bicubic, crop 0.95
        "resnet18.tv_in1k",  # bilinear, crop 0.875
        "efficientnet_b0.ra_in1k",
        "vit_base_patch16_clip_224.openai_ft_in1k",  # other means
        "vit_medium_patch16_gap_256.sw_in12k_ft_in1k",
        "beitv2_base_patch16_224.in1k_ft_in1k",
        "nextvit_small.bd_ssld_6m_in1k_384",
        "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384",  # squashed, all of it kept
    ],
)
def test_timms_preprocessing_gives_timms_pictures(name: str) -> None:
    """Against timm's own transform, which reads PIL pictures: within two grey levels."""
    pretrained = timm.get_pretrained_cfg(name).to_dict()
    config = timm.data.resolve_data_config(pretrained_cfg=pretrained)
    prepared = preprocessing_of(pretrained)
    assert prepared is not None
    pixels_HWC = torch.randint(
        0, 256, (60, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    picture = Image.fromarray(pixels_HWC).resize((320, 240), Image.Resampling.BICUBIC)
    theirs_CHW = timm.data.create_transform(**config, is_training=False)(picture)
    ours_BCHW = prepared.normalise(prepared.resize_and_crop(pil_to_tensor(picture))[None])
    assert ours_BCHW.shape[1:] == theirs_CHW.shape
    levels = (ours_BCHW[0] - theirs_CHW).abs().amax((1, 2)) * torch.tensor(config["std"]) * 255
    assert levels.max() <= 2


def test_a_folder_that_timm_saved_brings_preprocessing_and_classes(tmp_path: Path) -> None:
    theirs = timm.create_model("resnet18.a1_in1k", num_classes=3)
    theirs.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "input_size": (3, 64, 64), "crop_pct": 1.0}
    timm.models.save_for_hf(
        theirs, tmp_path, {"label_names": ["bird", "boat", "car"]}, safe_serialization=True
    )
    weights = str(tmp_path / "model.safetensors")
    built = build(ModelSettings(address="timm:resnet18", weights=weights))
    assert built.classes == ("bird", "boat", "car")
    assert built.preprocessing is not None
    assert built.preprocessing.mean == (0.1, 0.2, 0.3)
    assert built.preprocessing.size == (64, 64)


@pytest.mark.parametrize(
    "change",
    [
        {"crop_mode": "border"},  # pads
        {"interpolation": "nearest"},
        {"mean": [0.5]},
        {"std": [0, 0, 0]},
        {"input_size": "large"},
        {"mean": None},
    ],
)
def test_a_preprocessing_of_timms_that_ours_cannot_do_is_left_to_the_user(
    change: dict[str, object],
) -> None:
    config = timm.get_pretrained_cfg("resnet18.a1_in1k").to_dict()
    assert preprocessing_of(config) is not None
    assert preprocessing_of(config | change) is None


@pytest.mark.parametrize("name", ["input_size", "mean", "std"])
def test_what_timms_configuration_does_not_say_is_not_filled_in(name: str) -> None:
    config = timm.get_pretrained_cfg("resnet18.a1_in1k").to_dict()
    del config[name]
    assert preprocessing_of(config) is None
    assert preprocessing_of("words") is None
    assert preprocessing_of(3) is None


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("timm:resnet18", "timm:resnet18 needs --weights FILE: a safetensors file or a state dict"),
        ("timm:resnet188", "timm has no network 'resnet188' (did you mean 'resnet"),
        ("timm:hf-hub:somebody/net", "timm has no network 'hf-hub:somebody/net'"),
        (
            "timm:resnet18.a1_in2k",
            "timm has no 'resnet18.a1_in2k' (did you mean 'resnet18.a1_in1k'?); known are 'resnet",
        ),
    ],
)
def test_an_unknown_timm_address_is_refused_with_what_is_allowed(address: str, line: str) -> None:
    assert refusal(ModelSettings(address=address)).startswith(line)


def test_a_network_of_timms_without_a_head_is_refused(tmp_path: Path) -> None:
    weights = save(tmp_path, {"merger.fc2.bias": torch.zeros(3)})
    line = refusal(ModelSettings(address="timm:qwen3_vit_88m_enc", weights=weights))
    assert line == "timm:qwen3_vit_88m_enc is not a classifier: it has no head that gives classes"


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as import sees what is not installed
    line = refusal(ModelSettings(address="timm:resnet18", weights="w.pt"))
    assert line == "timm:resnet18 needs timm, which is not installed: pip install 'sightline[timm]'"


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_weights_may_be_on_any_filesystem(name: str, tmp_path: Path) -> None:
    network = small_resnet(6)
    if name == "w.pt":
        torch.save(network.state_dict(), tmp_path / name)
    else:
        save(tmp_path, network.state_dict())
    there = UPath(f"memory://weights/{name}")
    there.write_bytes((tmp_path / name).read_bytes())
    built = build(ModelSettings(address="sightline:small_resnet", weights=str(there)))
    torch.testing.assert_close(built.network.state_dict(), network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("weights", "kind", "line"),
    [
        ("memory://nowhere/w.pt", UserError, "weights memory://nowhere/w.pt not found: give"),
        ("nofs://w.pt", AddressError, "nofs://w.pt: an address is a path or begins with s3://"),
        (
            "gs://bucket/w.pt",
            AddressError,
            "gs://bucket/w.pt needs a package that is not installed (",
        ),
    ],
)
def test_weights_that_cannot_be_reached_are_one_line(
    weights: str, kind: type[UserError], line: str
) -> None:
    with pytest.raises(kind) as caught:
        read_state(weights)
    assert str(caught.value).startswith(line)
