"""Reading weights from files without running code, and their digests."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.addresses import local_copy
from models.errors import UserError, describe_error, list_names
from models.function_network import FunctionNetwork

State = dict[str, Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")  # common training scripts
COUNTER = "num_batches_tracked"  # only training uses it; old files have none


def read_state(address: str | Path, allow_pickle: bool = False) -> State:
    """Tensors by name from a safetensors file or a state dict; never runs code unless allowed."""
    with local_copy(address) as path:
        if path is None:
            raise UserError(
                f"weights {address} not found: give a .safetensors file or a state dict"
            )
        name = f"weights {address}"
        if path.suffix == ".safetensors":
            return _strip_parallel(_load_safetensors(path, name))
        return _strip_parallel(_unwrap(_load_torch(path, name, allow_pickle), name))


def _load_safetensors(path: Path, name: str) -> State:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise UserError(
            f"{name} ({path.stat().st_size} bytes) are not readable safetensors "
            f"({describe_error(error)}): write or copy the file again"
        ) from error


def download(entry: Any) -> State:
    """Weights by torchvision's own names, in torch's download cache."""
    try:
        return dict(entry.get_state_dict(check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:  # no network; a file with another hash
        raise UserError(
            f"torchvision's weights {entry} cannot be downloaded ({describe_error(error)}): "
            "go online once, or give a file of weights"
        ) from error


def _load_torch(path: Path, name: str, allow_pickle: bool) -> object:
    if path.suffix == ".pt2":
        raise UserError(
            f"{name} are an exported program, whose layers are not accessible: "
            "save the state dict instead (torch.save(model.state_dict(), path))"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's hints: our message says what to do
            return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError... for broken files
        if isinstance(error, pickle.UnpicklingError) and not allow_pickle and _is_pickle(path):
            raise UserError(
                f"{name} are a pickle that can run code: save the state dict instead "
                "(torch.save(model.state_dict(), path)), or pass --allow-pickle if you trust it"
            ) from error
        # Without pickle, torch's message explains `weights_only`, which our users cannot set.
        why = f"{describe_error(error)}; " if allow_pickle else ""
        raise UserError(
            f"{name} ({path.stat().st_size} bytes) cannot be read as a state dict: {why}"
            "the file is damaged or of another kind; give a .safetensors file or a torch state dict"
        ) from error


def _is_pickle(path: Path) -> bool:
    """By the first bytes: a pickle's protocol mark, or the zip archive that torch.save writes."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"\x80", b"PK\x03\x04"))


def _unwrap(loaded: object, name: str) -> State:
    if isinstance(loaded, nn.Module):  # only with allow_pickle
        return dict(loaded.state_dict())
    if isinstance(loaded, Mapping):
        if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
            return dict(loaded)
        for key in WRAPPERS:
            if key in loaded:
                return _unwrap(loaded[key], name)
        content = list_names(map(str, loaded)) or "nothing"
    else:
        content = f"a {type(loaded).__name__}"
    raise UserError(
        f"{name} hold {content}, not a state dict: save one, bare or under one of "
        f"{list_names(WRAPPERS)}"
    )


def _strip_parallel(state: State) -> State:
    """Drop the `module.` that DataParallel puts before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def count_classes(build: Callable[[int], nn.Module], state: State, source: str) -> int:
    """The number of classes in the weights: rows of the head, the last tensor."""
    head = _names(build)[-1]
    if head not in state:
        raise UserError(
            f"weights {source} do not fit the network: missing {head!r}; "
            "name the architecture that they were trained with"
        )
    return int(state[head].shape[0])


def _names(build: Callable[[int], nn.Module]) -> list[str]:
    try:
        with torch.device("meta"):  # names only: nothing is allocated
            return list(build(2).state_dict())
    except NotImplementedError:  # RegNets compute their widths with tensors
        return list(build(2).state_dict())


def fill(network: nn.Module, state: State, source: str) -> None:
    """Load the whole state into the network, or refuse it with what does not fit."""
    target = network.state_dict()
    missing = {name for name in target.keys() - state.keys() if not name.endswith(COUNTER)}
    unknown = state.keys() - target.keys()
    other = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(target[name].shape)}"
        for name in target.keys() & state.keys()
        if target[name].shape != state[name].shape
    ]
    problems = [
        f"{what} {list_names(sorted(names), most=3)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", other))
        if names
    ]
    if problems:
        raise UserError(
            f"weights {source} do not fit the network: {'; '.join(problems)}; "
            "name the architecture that they were trained with"
        )
    _refuse_other_numbers(state, target, source)
    target.update(state)  # keeps the versions of its modules, which MNASNet insists on
    network.load_state_dict(target)


def _refuse_other_numbers(state: State, target: State, source: str) -> None:
    """Tensors that torch would not copy into the network's, or would copy as other numbers."""
    for name, value in state.items():
        is_plain = value.layout == torch.strided and not (value.is_meta or value.is_quantized)
        if is_plain and (value.is_floating_point() or not target[name].is_floating_point()):
            continue
        kind = str(value.dtype).removeprefix("torch.")
        kind += " on the meta device, which has no numbers" if value.is_meta else ""
        kind += "" if value.layout == torch.strided else f" as {value.layout}"
        raise UserError(
            f"weights {source} hold {name} in {kind}: save the weights in float32, "
            "as they were before they were converted"
        )


def digest_of(network: nn.Module, architecture: str, source: str) -> str:
    """SHA-256 of every number of the network and of how it was built."""
    digest = hashlib.sha256(f"{architecture}\n{source}\n".encode())
    for name, value in sorted(_state_of(network).items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def _state_of(network: nn.Module) -> dict[str, Any]:
    """Every number of the network; of a function, those of the networks that it uses."""
    state: dict[str, Any] = dict(network.state_dict())
    for number, used in enumerate(network.networks if isinstance(network, FunctionNetwork) else ()):
        state |= {f"{number} {name}": value for name, value in used.state_dict().items()}
    return state
