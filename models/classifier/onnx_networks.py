"""ONNX files as networks from RGB (0 to 1) to logits of the foreground.

Shapes: B pictures, C=3 colours, H W rows and columns of the picture, h w of what the file reads and
gives, K classes, 0 the background.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.classifier.architectures import BuiltNetwork
from models.classifier.onnx_files import (
    Activation,
    OnnxFile,
    OnnxReading,
    import_onnxruntime,
    json_of,
    read_onnx_file,
)
from models.classifier.rembg_files import find_rembg_file
from models.errors import SegmenterError, describe_error, list_names, printable

VERSION = 1  # raise it, with CHANGELOG, when the mask of any picture changes
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first that is there
DATA_FOLDER = "session.model_external_initializers_file_folder_path"
NO_FOLDER = "/nonexistent/"  # else weights in other files, which no digest names, might be read
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
MOST_PIXELS = 1 << 22  # read in one call: four pictures of 1024x1024 take gigabytes already
FATAL = 4  # severity of onnxruntime's own lines; its exceptions say the same

log = logging.getLogger("sightline")


class OnnxNetwork(nn.Module):
    """A session of onnxruntime and how it reads pictures; None in `reading` is detected."""

    def __init__(self, session: Any, reading: OnnxReading, address: str) -> None:
        super().__init__()
        self.session, self.address = session, address
        self.input = _input_of(session, address)
        self.size = reading.input_size or _fixed_size(self.input.shape)
        mean, std = reading.colours(address)
        self.mean_C11, self.std_C11 = (torch.tensor(it)[:, None, None] for it in (mean, std))
        self.output = _output_of(session, reading.output, address)
        self.activation = reading.activation or self._detect_activation()
        shown = "their own size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        self.description = (
            f"pictures of {shown}, mean {mean}, std {std}, activation {self.activation}"
        )

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits (B, 1, H, W)."""
        foreground_BHW = _foreground(self._answer(image_BCHW), self.activation, self.address)
        foreground_B1HW = functional.interpolate(
            foreground_BHW[:, None], image_BCHW.shape[2:], mode="bilinear", align_corners=False
        )
        return foreground_B1HW.clamp(0, 1).logit()

    def _answer(self, image_BCHW: Tensor) -> Tensor:
        """The file's output (B, K, h, w), in as many calls as its batch size needs."""
        if self.size is not None:
            image_BCHW = functional.interpolate(
                image_BCHW, self.size, mode="bilinear", antialias=True
            )
        read_BChw = ((image_BCHW.cpu() - self.mean_C11) / self.std_C11).numpy()
        read_BChw = read_BChw.astype(TYPES[self.input.type])
        rows, columns = read_BChw.shape[2:]
        at_once = 1 if self.input.shape[0] == 1 else max(1, MOST_PIXELS // (rows * columns))
        starts = range(0, len(read_BChw), at_once)
        answers = [self._run(read_BChw[start : start + at_once]) for start in starts]
        return torch.from_numpy(np.concatenate(answers)).float()

    def _run(self, read_BChw: np.ndarray) -> np.ndarray:
        try:
            (answer,) = self.session.run([self.output], {self.input.name: read_BChw})
        except Exception as error:  # onnxruntime has a class for each of its codes
            rows, columns = read_BChw.shape[2:]
            raise SegmenterError(
                f"segmenter onnx:{self.address} does not take pictures of {rows}x{columns} "
                f"({_describe(error)}): write its input_size, [rows, columns], "
                f"into {json_of(self.address)}"
            ) from error
        answer = np.asarray(answer)
        with_classes = answer[:, None] if answer.ndim == 3 else answer
        if with_classes.ndim != 4 or len(with_classes) != len(read_BChw) or 0 in answer.shape:
            raise SegmenterError(
                f"segmenter onnx:{self.address} gives {answer.shape} as {self.output!r} for "
                f"pictures {read_BChw.shape}: (batch, 1 or classes, rows, columns) is needed; "
                f"name another output in {json_of(self.address)}"
            )
        return with_classes

    def _detect_activation(self) -> Activation:
        """none where all answers are probabilities already."""
        answer_BKhw = self._answer(_trial_pictures(self.size or (224, 224)))
        if bool(((answer_BKhw >= 0) & (answer_BKhw <= 1)).all()):
            return "none"
        return "sigmoid" if answer_BKhw.shape[1] == 1 else "softmax"


class RembgNetwork(nn.Module):
    """A session of rembg, which prepares pictures and reads answers itself, one by one."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits (B, 1, H, W)."""
        picture_BHWC = (image_BCHW * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        with np.errstate(invalid="ignore"):  # it divides by the range of an even answer: zero
            masks = [self.session.predict(Image.fromarray(it))[0] for it in picture_BHWC]
        mask_BHW = torch.from_numpy(np.stack([np.array(mask.convert("L")) for mask in masks]))
        return (mask_BHW[:, None] / 255).logit()


def build_onnx(address: str) -> BuiltNetwork:
    """The network in the ONNX file at an address."""
    file = read_onnx_file(address)
    session = _open_session(file)
    network = OnnxNetwork(session, file.reading, address)
    device = session.get_providers()[0].removesuffix("ExecutionProvider")
    _log_once(f"segmenter onnx:{address} on {device}: {network.description}")
    source = f"onnx {VERSION} {file.digest} {network.description} output {network.output}"
    return BuiltNetwork(network, f"onnx:{Path(address).name}", source)


def build_rembg(name: str) -> BuiltNetwork:
    """rembg's network of that name, whose file must be there."""
    session_class, path = find_rembg_file(name)
    onnxruntime = import_onnxruntime(f"rembg:{name}")
    try:
        session = session_class(name, _options(onnxruntime), providers=_providers(onnxruntime))
    except Exception as error:  # of onnxruntime
        raise SegmenterError(
            f"rembg:{name} cannot be read from {path} ({_describe(error)}): download it again"
        ) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = f"rembg {VERSION} {version('rembg')} {digest}"
    return BuiltNetwork(RembgNetwork(session), f"rembg:{name}", source)


@cache
def _log_once(line: str) -> None:
    """An audit reads its segmenter several times."""
    log.info(line)


def _open_session(file: OnnxFile) -> Any:
    onnxruntime = import_onnxruntime(f"onnx:{file.address}")
    options = _options(onnxruntime)
    folder = NO_FOLDER if file.data_folder is None else f"{file.data_folder}/"
    options.add_session_config_entry(DATA_FOLDER, folder)
    try:
        return onnxruntime.InferenceSession(
            file.content, options, providers=_providers(onnxruntime)
        )
    except Exception as error:  # onnxruntime has a class for each of its codes
        if NO_FOLDER in str(error):
            raise SegmenterError(
                f"segmenter onnx:{file.address} keeps weights in a file that is not "
                f"{Path(file.address).name}.data beside it: export it with external_data=False"
            ) from error
        raise SegmenterError(
            f"segmenter onnx:{file.address} cannot be read as ONNX ({_describe(error)}): "
            "export or copy the file again"
        ) from error


def _options(onnxruntime: Any) -> Any:
    """As many threads as torch has in this process: one in a worker."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = FATAL
    return options


def _providers(onnxruntime: Any) -> list[str]:
    return [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]


def _input_of(session: Any, address: str) -> Any:
    """The only input, which takes pictures with their colours first."""
    inputs = session.get_inputs()
    if len(inputs) == 1 and _takes_pictures(inputs[0]):
        return inputs[0]
    shown = ", ".join(f"{it.name} {it.type} {it.shape}" for it in inputs)
    raise SegmenterError(
        f"segmenter onnx:{address} reads {printable(shown)}: one input of floats is needed, "
        "(1 or any batch, 3, rows, columns); export it so"
    )


def _takes_pictures(entry: Any) -> bool:
    shape = list(entry.shape)
    if entry.type not in TYPES or len(shape) != 4:
        return False
    any_batch = shape[0] == 1 or not isinstance(shape[0], int)
    colours_first = shape[1] == 3 or not (isinstance(shape[1], int) or shape[3] == 3)
    return any_batch and colours_first


def _fixed_size(shape: list[Any]) -> tuple[int, int] | None:
    rows, columns = shape[2:]
    return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None


def _output_of(session: Any, name: str | None, address: str) -> str:
    names = [it.name for it in session.get_outputs()]
    if name is not None and name not in names:
        raise SegmenterError(
            f"segmenter onnx:{address} has no output {name!r}, as {json_of(address)} says; it has "
            f"{list_names(names)}"
        )
    return name or names[0]


def _foreground(answer_BKhw: Tensor, activation: Activation, address: str) -> Tensor:
    """Probabilities (B, h, w): of the only class, or of all classes but the first."""
    count = answer_BKhw.shape[1]
    if (activation == "softmax") != (count > 1) and activation != "none":
        raise SegmenterError(
            f"segmenter onnx:{address} gives {count} channels, and the activation {activation} in "
            f"{json_of(address)} is for {'one' if activation == 'sigmoid' else 'several'}: "
            "correct it there"
        )
    if activation == "sigmoid":
        return answer_BKhw[:, 0].sigmoid()
    probability_BKhw = answer_BKhw.softmax(1) if activation == "softmax" else answer_BKhw
    return probability_BKhw[:, 0] if count == 1 else 1 - probability_BKhw[:, 0]


def _trial_pictures(size: tuple[int, int]) -> Tensor:
    """Noise, and a bright disc on a dark ground."""
    rows, columns = (torch.linspace(-1, 1, side) for side in size)
    disc_HW = (rows[:, None] ** 2 + columns**2 < 0.3).float()
    noise_CHW = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    return torch.stack([noise_CHW, (0.1 + 0.8 * disc_HW).expand(3, -1, -1)])


def _describe(error: Exception) -> str:
    """onnxruntime's words, without its codes and the lines of its source."""
    return printable(describe_error(error).rpartition(" : ")[2], 200)
