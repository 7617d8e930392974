"""Segmentation networks in ONNX files, and the JSON beside one that says how it reads pictures.

An ONNX file holds numbers and operators, no code of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from models.addresses import as_address_errors, as_path, local_copy, read_text
from models.classifier.bundle import describe_first_problem
from models.classifier.preprocessing import LARGEST_INPUT, Colours, refuse_impossible_values
from models.errors import SegmenterError, find_position

SUFFIX = ".onnx"
DATA_SUFFIXES = (".data", "_data")  # after the file's name: weights that exporters put beside it
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std
CENTRED = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
CENTRED_FAMILIES = ("isnet", "is-net", "rmbg")  # in the file's name; all others read ImageNet's

Activation = Literal["sigmoid", "softmax", "none"]  # none: the file gives probabilities


class OnnxReading(BaseModel):
    """The JSON beside an ONNX file; what it leaves out is detected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[PositiveInt, PositiveInt] | None = None  # rows and columns
    mean: Colours | None = None  # of values from 0 to 1
    std: Colours | None = None
    activation: Activation | None = None  # from the output to probabilities
    output: str | None = None  # its name; by default the first

    @model_validator(mode="after")
    def _has_possible_values(self) -> OnnxReading:
        refuse_impossible_values(mean=self.mean, std=self.std)
        rows, columns = self.input_size or (1, 1)
        if rows * columns > LARGEST_INPUT:
            raise ValueError(
                f"an input_size of {rows}x{columns} does not fit into memory: at most "
                f"{LARGEST_INPUT // 10**6} million pixels are allowed"
            )
        return self

    def colours(self, address: str) -> tuple[Colours, Colours]:
        """Mean and std: those of the JSON, else those that the file's family was trained with."""
        name = Path(address).name.lower()
        mean, std = CENTRED if any(it in name for it in CENTRED_FAMILIES) else IMAGENET
        return self.mean or mean, self.std or std


@dataclass(frozen=True)
class OnnxFile:
    """A file's content and how it reads pictures; `digest` is of all its bytes."""

    address: str
    content: bytes
    digest: str
    reading: OnnxReading
    data_folder: Path | None = None  # of weights in a file beside it


def import_onnxruntime(address: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise SegmenterError(
            f"{address} needs onnxruntime, which is not installed: pip install 'sightline[onnx]'"
        ) from error
    return onnxruntime


def check_onnx_file(address: str) -> None:
    """Refuse what can be known to be wrong before the file is read."""
    import_onnxruntime(f"onnx:{address}")
    with as_address_errors(address):
        found = as_path(address).is_file()
    if not found:
        raise _not_found(address)
    read_reading(address)


def read_onnx_file(address: str) -> OnnxFile:
    """The file with its JSON, if there is one."""
    with local_copy(address) as path:
        if path is None:
            raise _not_found(address)
        content = path.read_bytes()
        digest = hashlib.sha256(content)
        beside = [path.with_name(f"{path.name}{suffix}") for suffix in DATA_SUFFIXES]
        weights = [file for file in beside if file.is_file()]
        for file in weights:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        folder = path.parent if weights else None
        return OnnxFile(address, content, digest.hexdigest(), read_reading(address), folder)


def json_of(address: str) -> str:
    """`models/u2net.json` of `models/u2net.onnx`."""
    is_onnx = address.lower().endswith(SUFFIX)
    return f"{address[: -len(SUFFIX)] if is_onnx else address}.json"


def read_reading(address: str) -> OnnxReading:
    """What the JSON beside the file says; refuses one that cannot be meant."""
    beside = json_of(address)
    text = read_text(beside)
    if text is None:
        return OnnxReading()
    try:
        return OnnxReading.model_validate(json.loads(text))
    except ValidationError as error:
        raise SegmenterError(
            f"{describe_first_problem(error, beside)}; it may have "
            f"{', '.join(OnnxReading.model_fields)}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SegmenterError(
            f"{beside} is not JSON{find_position(error)}: correct it there"
        ) from error


def _not_found(address: str) -> SegmenterError:
    return SegmenterError(f"segmenter onnx:{address} not found: give the address of an ONNX file")
