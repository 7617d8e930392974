"""What a weights file is, by its structure: nothing is unpickled, and torch is not imported."""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from models.errors import UserError

Kind = Literal["safetensors", "torch", "module", "torchscript", "exported", "other"]

LARGEST_INDEX = 1 << 24  # bytes that are looked at; tensors are stored outside of it
HEADER = 8  # bytes of a safetensors file that hold the length of its JSON
LEGACY_PICKLES = 4  # that files without a zip archive begin with: three of torch's, then the object
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
)
LAYERS = "torch.nn.modules."
WRITE_STATE_DICT = {  # how each kind is read where its author trusts it
    "module": "torch.load({name!r}, weights_only=False).state_dict()",
    "torchscript": "torch.jit.load({name!r}).state_dict()",
    "exported": "dict(torch.export.load({name!r}).state_dict)",
}


@dataclass(frozen=True)
class WeightsFormat:
    """The kind of a weights file, and the names in its pickle."""

    kind: Kind
    classes: tuple[str, ...] = ()  # of the pickled objects, in their order
    texts: frozenset[str] = frozenset()  # its text constants: the keys of a checkpoint, and others


def recognise(path: Path) -> WeightsFormat:
    """The format of a local file."""
    if path.suffix == ".safetensors" or _has_safetensors_header(path):
        return WeightsFormat("safetensors", texts=frozenset(read_metadata(path)))
    try:
        with zipfile.ZipFile(path) as archive:
            return _recognise_archive(archive)
    except DAMAGED:
        pass
    with path.open("rb") as file:
        return _of_pickles(file, LEGACY_PICKLES)


def refuse_programs(path: Path, address: str, *, allow_pickle: bool = False) -> WeightsFormat:
    """The format; refuses files that hold a model's code, with what turns them into a bundle."""
    weights = recognise(path)
    if weights.kind == "module" and not allow_pickle:
        name = f" ({weights.classes[0]})" if weights.classes else ""
        what = f"are a whole pickled model{name}, which can run code when it is read"
        raise _refusal("module", what, address, "; or read it as it is with --allow-pickle")
    if weights.kind == "torchscript":
        raise _refusal("torchscript", "are a TorchScript archive, which hides its layers", address)
    if weights.kind == "exported":
        raise _refusal("exported", "are an exported program, which hides its layers", address)
    return weights


def _refusal(kind: str, what: str, address: str, otherwise: str = "") -> UserError:
    """With the three steps that make a bundle of the file."""
    name = address.rpartition("/")[2] if "://" in address else address
    state = f"{name.rpartition('.')[0] or name}.state.pt"
    read = WRITE_STATE_DICT[kind].format(name=name)
    return UserError(
        f"weights {address} {what}: if you trust the file, make a bundle of it: "
        f'(1) python -c "import torch; torch.save({read}, {state!r})" '
        f"(2) sightline bundle --model file.py:function --weights {state} --preprocessing FILE "
        "--out bundle, where the function builds the network (torchvision:NAME and timm:NAME work "
        f"too) (3) audit with --model bundle --allow-factory{otherwise}"
    )


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says beside its tensors; empty where the file is damaged."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER), "little")
        header = file.read(min(length, LARGEST_INDEX))
    try:
        metadata = json.loads(header).get("__metadata__", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _has_safetensors_header(path: Path) -> bool:
    """The length of a JSON object, and its first brace."""
    with path.open("rb") as file:
        header = file.read(HEADER + 1)
    length = int.from_bytes(header[:HEADER], "little")
    return header[HEADER:] == b"{" and HEADER + length <= path.stat().st_size


def _recognise_archive(archive: zipfile.ZipFile) -> WeightsFormat:
    names = {name.partition("/")[2] or name for name in archive.namelist()}
    if names & {"archive_format", "serialized_exported_program.json"}:
        return WeightsFormat("exported")
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return WeightsFormat("torchscript")
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        return WeightsFormat("other")
    with archive.open(pickles[0]) as file:
        return _of_pickles(file, 1)


def _of_pickles(file: IO[bytes], most: int) -> WeightsFormat:
    """What the pickles at the start of a file name; they are read to the first unknown byte."""
    start = io.BytesIO(file.read(LARGEST_INDEX))
    classes: dict[str, None] = {}
    texts: list[str] = []
    readable = 0
    try:
        for _ in range(most):
            for name, argument in _instructions(start):
                if name == "GLOBAL":
                    classes[str(argument).replace(" ", ".")] = None
                elif name == "STACK_GLOBAL":  # its two names were pushed before
                    classes[".".join(texts[-2:])] = None
                elif isinstance(argument, str):
                    texts.append(argument)
            readable += 1
    except DAMAGED:
        pass  # the tensors of a file without an archive, or damage
    if not readable:
        return WeightsFormat("other")
    is_module = any(name.startswith(LAYERS) for name in classes) and "state_dict" not in texts
    return WeightsFormat("module" if is_module else "torch", tuple(classes), frozenset(texts))


def _instructions(file: IO[bytes]) -> Iterator[tuple[str, object]]:
    """The names and arguments of a pickle's instructions, none of which is carried out."""
    for instruction, argument, _ in pickletools.genops(file):
        yield instruction.name, argument
