"""rembg's networks by name: the file must be there, since nothing is downloaded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.classifier.onnx_networks import RembgNetwork
from models.classifier.segmenter import Segmenter, load_segmenter
from models.errors import SegmenterError
from tests.support.onnx_segmenters import red_segmenter


def refusal(address: str) -> str:
    with pytest.raises(SegmenterError) as caught:
        load_segmenter(address, size=(8, 8))
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("package", "extra"), [("onnxruntime", "onnx"), ("rembg.sessions", "rembg")]
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    monkeypatch.setitem(sys.modules, package, None)
    line = refusal("rembg:u2net")
    assert line.startswith("rembg:u2net needs ")
    assert line.endswith(f"which is not installed: pip install 'sightline[{extra}]'")


class GreenSession:
    """As rembg's: a mask in shades of grey for one picture."""

    def predict(self, picture: Image.Image) -> list[Image.Image]:
        return [picture.getchannel("G")]


def test_a_mask_of_grey_is_how_sure_it_is() -> None:
    draw = torch.Generator().manual_seed(0)
    picture_BCHW = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=draw)
    segmenter = Segmenter(RembgNetwork(GreenSession()), "rembg:green", "green")
    mask_BHW, confidence_B = segmenter.segment(picture_BCHW)
    assert torch.equal(mask_BHW > 0, picture_BCHW[:, 1] >= 128)
    certainty_B = (2 * (picture_BCHW[:, 1] / 255) - 1).abs().mean((1, 2))
    torch.testing.assert_close(confidence_B, certainty_B)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rembg looks for its files."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.full  # importing rembg compiles for a minute, the first time
def test_rembg_reads_its_own_files(home: Path) -> None:
    """As rembg itself: the answer is stretched from 0 to 1 over each picture."""
    red_segmenter(home / "u2net.onnx", activation="", offset=0.0)
    segmenter = load_segmenter("rembg:u2net", size=(8, 8))
    ramp = np.linspace(0, 255, 320).astype(np.uint8)
    picture_CHW = torch.from_numpy(np.broadcast_to(ramp, (3, 320, 320)).copy())
    (mask_HW,), _ = segmenter.segment(picture_CHW[None])
    assert torch.equal(mask_HW > 0, (picture_CHW[0] >= 128))
    again = load_segmenter("rembg:u2net", size=(8, 8)).digest
    red_segmenter(home / "u2net.onnx", activation="", offset=0.1)
    assert segmenter.digest == again != load_segmenter("rembg:u2net", size=(8, 8)).digest


@pytest.mark.full
def test_what_rembg_would_download_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("pooch.retrieve", download)
    line = refusal("rembg:u2net")
    assert f"needs the file {home / 'models/u2net/u2net.onnx'}, and nothing is downloaded" in line
    assert "did you mean 'u2net'?" in refusal("rembg:u2nett")
    for unsuitable in ("sam", "u2net_custom", "atlascloud"):
        assert f"no network '{unsuitable}' that marks one foreground" in refusal(
            f"rembg:{unsuitable}"
        )
    (home / "u2net.onnx").write_bytes(b"half of it")
    assert "u2net.onnx (" in refusal("rembg:u2net")
