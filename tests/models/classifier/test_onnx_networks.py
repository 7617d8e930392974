"""Segmenters in ONNX files: masks by hand, detection, the JSON beside, refusals in one line."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional

from models.classifier.onnx_files import IMAGENET
from models.classifier.segmenter import Segmenter, load_segmenter
from models.errors import SegmenterError, UserError
from tests.support.onnx_segmenters import STEEP, red_segmenter, write_onnx

SIZE = (8, 8)
PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1]}  # values from 0 to 1, as they are


def pictures(count: int = 3, size: tuple[int, int] = SIZE) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=draw)


def load(path: Path, reading: dict[str, Any] | None = None, **graph: Any) -> Segmenter:
    """Write the segmenter and its JSON, and load it."""
    address = red_segmenter(path, **graph)
    path.with_suffix(".json").write_text(json.dumps(PLAIN if reading is None else reading))
    return load_segmenter(address, size=SIZE)


def refusal(address: str, weights: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_segmenter(address, weights, size=SIZE)
    line = str(caught.value)
    assert "\n" not in line
    assert "ONNXRuntimeError" not in line
    return line


def by_hand(picture_BCHW: Tensor, red: float = 128) -> Tensor:
    return picture_BCHW[:, 0] >= red


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize(
    ("activation", "classes", "squeezed"),
    [
        ("Sigmoid", 1, False),
        ("Sigmoid", 1, True),
        ("", 1, False),
        ("Softmax", 2, False),
        ("", 2, False),
        ("LogSoftmax", 2, False),
    ],
)
def test_the_activation_is_detected(
    activation: str, classes: int, squeezed: bool, kind: int, tmp_path: Path
) -> None:
    segmenter = load(
        tmp_path / "red.onnx", activation=activation, classes=classes, squeezed=squeezed, kind=kind
    )
    picture_BCHW = pictures()
    mask_BHW, confidence_B = segmenter.segment(picture_BCHW)
    assert torch.equal(mask_BHW > 0, by_hand(picture_BCHW))
    probability_BHW = (STEEP * (picture_BCHW[:, 0] / 255 - 0.5)).sigmoid()
    certainty_B = (2 * probability_BHW - 1).abs().mean((1, 2))
    tolerance = 1e-5 if kind == TensorProto.FLOAT else 1e-2
    torch.testing.assert_close(confidence_B, certainty_B, atol=tolerance, rtol=0)


def test_detection_is_overruled_by_the_json(tmp_path: Path) -> None:
    """Probabilities that are read as logits: all are above 0, so everything is foreground."""
    segmenter = load(tmp_path / "red.onnx", PLAIN | {"activation": "sigmoid"})
    mask_BHW, confidence_B = segmenter.segment(pictures())
    assert mask_BHW.eq(255).all()
    assert confidence_B.eq(0).all()


@pytest.mark.parametrize("name", ["u2net", "isnet-general-use", "BiRefNet", "RMBG-1.4"])
def test_without_a_json_mean_and_std_are_those_of_the_family(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sightline")
    address = red_segmenter(tmp_path / f"{name}.onnx", offset=0.0)
    segmenter = [load_segmenter(address, size=SIZE) for _ in range(2)][-1]
    picture_BCHW = pictures()
    mean, std = ((0.5,), (1.0,)) if name in ("isnet-general-use", "RMBG-1.4") else IMAGENET
    mask_BHW, _ = segmenter.segment(picture_BCHW)
    assert torch.equal(mask_BHW > 0, (picture_BCHW[:, 0] / 255 - mean[0]) / std[0] >= 0)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"segmenter {address} on CPU: pictures of their own size, mean (")
    assert line.endswith("activation none")


@pytest.mark.parametrize("fixed", [True, False], ids=["of the file", "of the JSON"])
def test_the_input_size_is_kept(fixed: bool, tmp_path: Path) -> None:
    """Read at 4x4, answered at 4x4, and enlarged."""
    shape = ("batch", 3, 4, 4) if fixed else ("batch", 3, "rows", "columns")
    reading = PLAIN if fixed else PLAIN | {"input_size": [4, 4]}
    segmenter = load(tmp_path / "red.onnx", reading, shape=shape)
    picture_BCHW = pictures(2)
    small_BCHW = functional.interpolate(picture_BCHW / 255, (4, 4), mode="bilinear", antialias=True)
    probability_BHW = functional.interpolate(
        (STEEP * (small_BCHW[:, :1] - 0.5)).sigmoid(), SIZE, mode="bilinear"
    )[:, 0]
    mask_BHW, _ = segmenter.segment(picture_BCHW)
    assert torch.equal(mask_BHW > 0, probability_BHW >= 0.5)


class Counting:
    """A session that counts its calls and the pictures of each."""

    def __init__(self, session: Any) -> None:
        self.session, self.counts = session, list[int]()

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.counts += [len(array) for array in feed.values()]
        answers: list[np.ndarray] = self.session.run(names, feed)
        return answers


@pytest.mark.parametrize(
    ("batch", "pixels", "counts"),
    [("batch", 1 << 22, [5]), (1, 1 << 22, [1] * 5), ("batch", 2 * 64, [2, 2, 1])],
)
def test_pictures_are_read_in_batches(
    batch: int | str,
    pixels: int,
    counts: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.classifier.onnx_networks.MOST_PIXELS", pixels)
    segmenter = load(tmp_path / "red.onnx", shape=(batch, 3, "rows", "columns"))
    counting = Counting(segmenter.network.session)
    segmenter.network.session = counting  # type: ignore[assignment]
    picture_BCHW = pictures(5)
    mask_BHW, _ = segmenter.segment(picture_BCHW)
    assert counting.counts == counts
    assert torch.equal(mask_BHW > 0, by_hand(picture_BCHW))


def test_another_output_is_named_in_the_json(tmp_path: Path) -> None:
    reading = PLAIN | {"output": "logit", "activation": "sigmoid"}
    picture_BCHW = pictures()
    mask_BHW, _ = load(tmp_path / "red.onnx", reading).segment(picture_BCHW)
    assert torch.equal(mask_BHW > 0, by_hand(picture_BCHW))


def test_the_digest_is_of_the_file_and_of_how_it_reads(tmp_path: Path) -> None:
    first = load(tmp_path / "red.onnx").digest
    (tmp_path / "other").mkdir()
    digests = {
        load(tmp_path / "other/red.onnx").digest,  # the same elsewhere
        first,
    }
    assert digests == {first}
    changed = [
        load(tmp_path / "other/red.onnx", offset=-0.25).digest,
        load(tmp_path / "other/red.onnx", PLAIN | {"mean": [0.1, 0, 0]}).digest,
        load(tmp_path / "other/red.onnx", PLAIN | {"input_size": [4, 4]}).digest,
        load(tmp_path / "other/red.onnx", PLAIN | {"activation": "sigmoid"}).digest,
        load(tmp_path / "other/red.onnx", PLAIN | {"output": "logit"}).digest,
    ]
    assert len({first, *changed}) == 6


@pytest.mark.parametrize("ending", [".data", "_data"])
def test_weights_beside_the_file_belong_to_it(ending: str, tmp_path: Path) -> None:
    picture_BCHW = pictures()
    segmenter = load(tmp_path / "red.onnx", external=f"red.onnx{ending}")
    assert torch.equal(segmenter.segment(picture_BCHW)[0] > 0, by_hand(picture_BCHW))
    data = tmp_path / f"red.onnx{ending}"
    numbers = np.frombuffer(data.read_bytes(), np.float32).copy()
    numbers[numbers == STEEP] *= 1.5
    data.write_bytes(numbers.tobytes())
    other = load_segmenter(f"onnx:{tmp_path / 'red.onnx'}", size=SIZE)
    assert other.digest != segmenter.digest


def test_weights_that_no_digest_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = red_segmenter(tmp_path / "red.onnx", external="weights.bin")
    monkeypatch.chdir(tmp_path)
    line = refusal(address)
    assert "keeps weights in a file that is not red.onnx.data beside it" in line
    assert line.endswith("export it with external_data=False")


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ("{", "red.json is not JSON at line 1, column 2: correct it there"),
        ("[]", "red.json"),
        ('{"size": [8, 8]}', "size"),
        ('{"input_size": [8, 0]}', "input_size"),
        ('{"input_size": [100000, 100000]}', "at most 32 million pixels are allowed"),
        ('{"std": [1, 1, 0]}', "std [1.0, 1.0, 0.0] is not of values from 0 to 1"),
        ('{"mean": [123, 116, 103]}', "divide mean and std by 255"),
        ('{"activation": "tanh"}', "activation: allowed are 'sigmoid', 'softmax' or 'none'"),
        ('{"activation": "softmax"}', "gives 1 channels, and the activation softmax in"),
        ('{"output": "mask"}', "has no output 'mask', as"),
    ],
)
def test_a_json_that_cannot_be_meant_is_refused(reading: str, words: str, tmp_path: Path) -> None:
    address = red_segmenter(tmp_path / "red.onnx")
    (tmp_path / "red.json").write_text(reading)
    line = refusal(address)
    assert words in line
    assert "red.json" in line


@pytest.mark.parametrize("content", [b"", b"no protobuf", None])
def test_a_damaged_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "red.onnx"
    address = red_segmenter(path)
    path.write_bytes(path.read_bytes()[:60] if content is None else content)
    line = refusal(address)
    assert line.startswith(f"segmenter {address} cannot be read as ONNX (")
    assert line.endswith("export or copy the file again")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((1, "rows", "columns", 3), TensorProto.FLOAT),
        ((2, 3, 8, 8), TensorProto.FLOAT),
        ((3, 8, 8), TensorProto.FLOAT),
        ((1, 3, 8, 8), TensorProto.DOUBLE),
    ],
)
def test_other_inputs_are_refused(shape: tuple[int | str, ...], kind: int, tmp_path: Path) -> None:
    """A graph that only hands its input on."""
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in ("picture", "answer")]
    node = helper.make_node("Identity", ["picture"], ["answer"])
    graph = helper.make_graph([node], "same", ends[:1], ends[1:])
    line = refusal(write_onnx(tmp_path / "same.onnx", graph))
    assert "same.onnx reads picture tensor(" in line
    assert "one input of floats is needed, (1 or any batch, 3, rows, columns)" in line


def pooled(path: Path, size: int) -> str:
    """A graph that takes pictures of at least that size."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, None, None])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 3, None, None])
    node = helper.make_node("AveragePool", ["picture"], ["answer"], kernel_shape=[size, size])
    return write_onnx(path, helper.make_graph([node], "pooled", [picture], [answer]))


def test_a_size_that_the_file_cannot_read_names_the_json(tmp_path: Path) -> None:
    line = refusal(pooled(tmp_path / "large.onnx", 500))
    assert "large.onnx does not take pictures of 224x224 (" in line
    assert line.endswith("large.json")
    (tmp_path / "large.json").write_text('{"input_size": [500, 500]}')
    load_segmenter(f"onnx:{tmp_path / 'large.onnx'}", size=SIZE)


def test_answers_of_another_form_are_refused(tmp_path: Path) -> None:
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 8, 8])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    node = helper.make_node("Flatten", ["picture"], ["answer"])
    graph = helper.make_graph([node], "flat", [picture], [answer])
    line = refusal(write_onnx(tmp_path / "flat.onnx", graph))
    assert "gives (2, 192) as 'answer' for pictures (2, 3, 8, 8)" in line
    assert line.endswith("name another output in " + str(tmp_path / "flat.json"))


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = f"onnx:{tmp_path / 'no.onnx'}"
    assert refusal(missing) == f"segmenter {missing} not found: give the address of an ONNX file"
    assert "--foreground-weights" in refusal(red_segmenter(tmp_path / "red.onnx"), "weights.pt")
    assert "http:// and https:// are read only" in refusal("onnx:https://example.org/u2net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(f"onnx:{tmp_path / 'red.onnx'}").endswith(
        "needs onnxruntime, which is not installed: pip install 'sightline[onnx]'"
    )


def test_a_failure_of_one_picture_is_a_segmenters(tmp_path: Path) -> None:
    segmenter = load(tmp_path / "red.onnx", shape=("batch", 3, 8, 8), reading=PLAIN)
    segmenter.network.size = None  # type: ignore[assignment]
    with pytest.raises(SegmenterError, match="does not take pictures of 9x9"):
        segmenter.segment(pictures(1, (9, 9)))
