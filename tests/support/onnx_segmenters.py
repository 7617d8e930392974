"""Small segmenters in ONNX files: the redder a pixel, the surer it is the foreground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8  # old enough for every runtime that is supported
STEEP = 20.0  # how much surer

Shape = Sequence[int | str]


def red_segmenter(
    path: Path,
    *,
    shape: Shape = ("batch", 3, "rows", "columns"),
    activation: str = "Sigmoid",
    kind: int = TensorProto.FLOAT,
    classes: int = 1,
    offset: float = -0.5,
    squeezed: bool = False,
    external: str | None = None,
) -> str:
    """Write `activation(20 * (red + offset))`, or 0 and that logit for two classes; its address."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weight = np.zeros((classes, 3, 1, 1), dtype)
    weight[-1, 0] = STEEP
    bias = np.zeros(classes, dtype)
    bias[-1] = STEEP * offset
    initial = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    nodes = [helper.make_node("Conv", ["picture", "weight", "bias"], ["logit"])]
    last = "logit"
    if activation:
        axis = {"axis": 1} if activation.endswith("Softmax") else {}
        nodes.append(helper.make_node(activation, ["logit"], ["answer"], **axis))
        last = "answer"
    if squeezed:
        initial.append(numpy_helper.from_array(np.array([1]), "axes"))
        nodes.append(helper.make_node("Squeeze", [last, "axes"], ["squeezed"]))
        last = "squeezed"
    dims = 3 if squeezed else 4
    outputs = [helper.make_tensor_value_info(last, kind, [None] * dims)]
    if last != "logit":
        outputs.append(helper.make_tensor_value_info("logit", kind, [None] * 4))
    picture = helper.make_tensor_value_info("picture", kind, list(shape))
    return write_onnx(path, helper.make_graph(nodes, "red", [picture], outputs, initial), external)


def write_onnx(path: Path, graph: onnx.GraphProto, external: str | None = None) -> str:
    """Write a graph, with its weights in the file `external` beside it where one is named."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.save(
        model, path, save_as_external_data=external is not None, location=external, size_threshold=0
    )
    return f"onnx:{path}"
