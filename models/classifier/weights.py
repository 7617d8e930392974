"""Reading weights from files without running code, and their digests."""

from __future__ import annotations

import hashlib
import logging
import pickle
import warnings
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.addresses import local_copy
from models.classifier.weights_format import read_metadata, refuse_programs
from models.errors import UserError, describe_error, list_names
from models.function_network import FunctionNetwork

State = dict[str, Tensor]
# Under which training scripts keep a state dict; where there are several, the first is taken.
KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
COUNTER = "num_batches_tracked"  # only training uses it; old files have none
NESTED = 3  # dictionaries that may be around a state dict

log = logging.getLogger("sightline")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, where they were in a weights file, and what else it holds."""

    state: State
    keys: tuple[str, ...] = ()  # under which the state dict was; empty: it was bare
    content: Mapping[str, Any] = field(default_factory=dict)  # the other entries


def read_state(address: str | Path, allow_pickle: bool = False) -> State:
    """The tensors of a weights file by name; never runs code unless allowed."""
    return read_checkpoint(address, allow_pickle).state


def read_checkpoint(address: str | Path, allow_pickle: bool = False) -> Checkpoint:
    """Safetensors, a state dict or a training's checkpoint; never runs code unless allowed."""
    with local_copy(address) as path:
        if path is None:
            raise UserError(
                f"weights {address} not found: give a .safetensors file or a state dict"
            )
        name = f"weights {address}"
        if refuse_programs(path, str(address), allow_pickle=allow_pickle).kind == "safetensors":
            return _load_safetensors(path, name)
        checkpoint = _find_state(_load_torch(path, name, allow_pickle), name)
    if checkpoint.keys:
        beside = list_names(checkpoint.content, most=4)
        under = ", ".join(map(repr, checkpoint.keys))
        log.info("%s: took what is under %s%s", name, under, f" and left {beside}" * bool(beside))
    return checkpoint


def _load_safetensors(path: Path, name: str) -> Checkpoint:
    try:
        return Checkpoint(dict(load_file(path)), content=read_metadata(path))
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise UserError(
            f"{name} ({path.stat().st_size} bytes) are not readable safetensors ({reason}): write "
            "or copy the file again"
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
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([Namespace]):
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


def _find_state(loaded: object, name: str, keys: tuple[str, ...] = ()) -> Checkpoint:
    if isinstance(loaded, nn.Module):  # only with allow_pickle
        return Checkpoint(dict(loaded.state_dict()), keys)
    if not isinstance(loaded, Mapping):
        raise _no_state(f"a {type(loaded).__name__}", name)
    if is_state(loaded):
        return Checkpoint(dict(loaded), keys)
    key = _key_of_state(loaded)
    if key is None or len(keys) == NESTED:
        raise _no_state(list_names(map(str, loaded)) or "nothing", name)
    found = _find_state(loaded[key], name, (*keys, key))
    content = {str(other): value for other, value in loaded.items() if other != key}
    return replace(found, content={**found.content, **content})


def is_state(value: object) -> bool:
    """Is it a state dict: tensors by name?"""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
        and all(isinstance(entry, Tensor) for entry in value.values())
    )


def _key_of_state(loaded: Mapping[str, object]) -> str | None:
    """One of the usual keys, else the only entry that is a state dict."""
    usual = [key for key in KEYS if isinstance(loaded.get(key), Mapping | nn.Module)]
    others = [key for key, value in loaded.items() if is_state(value)]
    return next(iter(usual), others[0] if len(others) == 1 else None)


def _no_state(content: str, name: str) -> UserError:
    return UserError(
        f"{name} hold {content}, not a state dict: save one, bare or under one of "
        f"{list_names(KEYS)}"
    )


def select(state: State, names: Collection[str]) -> tuple[State, str]:
    """The tensors of the network with these names, without the prefix that a wrapper gave them.

    DataParallel, Lightning and torch.compile put `module.`, `model.` or `_orig_mod.` before each
    name, and beside them may be those of a loss or an average.
    """
    needed = [name for name in names if not name.endswith(COUNTER)]
    ends = tuple(f".{name}" for name in (*needed[:1], *needed[-1:]))
    found = [key[: -len(end)] + "." for key in state for end in ends if key.endswith(end)]
    prefix = max(
        ["", *sorted(set(found), key=len)],  # the first of those with most names
        key=lambda prefix: sum(prefix + name in state for name in needed),
    )
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }, prefix


def count_classes(build: Callable[[int], nn.Module], state: State, source: str) -> int:
    """The number of classes in the weights: rows of the head, the last tensor."""
    names = _names(build)
    selected, _ = select(state, names)
    if names[-1] not in selected:
        raise UserError(
            f"weights {source} do not fit the network: missing {names[-1]!r}; "
            "name the architecture that they were trained with"
        )
    return int(selected[names[-1]].shape[0])


def _names(build: Callable[[int], nn.Module]) -> list[str]:
    try:
        with torch.device("meta"):  # names only: nothing is allocated
            return list(build(2).state_dict())
    except NotImplementedError:  # RegNets compute their widths with tensors
        return list(build(2).state_dict())


def fill(network: nn.Module, state: State, source: str) -> None:
    """Load the whole state into the network, or refuse it with what does not fit."""
    target = network.state_dict()
    selected, prefix = select(state, target)
    missing = {name for name in target.keys() - selected.keys() if not name.endswith(COUNTER)}
    unknown = selected.keys() - target.keys()
    other = [
        f"{name} {tuple(selected[name].shape)} instead of {tuple(target[name].shape)}"
        for name in target.keys() & selected.keys()
        if target[name].shape != selected[name].shape
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
    _refuse_other_numbers(selected, target, source)
    if prefix:
        _log_prefix(state, selected, prefix, source)
    target.update(selected)  # keeps the versions of its modules, which MNASNet insists on
    network.load_state_dict(target)


def _log_prefix(state: State, selected: State, prefix: str, source: str) -> None:
    others = [key for key in state if not key.startswith(prefix)]
    rest = f"; left out {list_names(others, most=3)}" if others else ""
    log.info("weights %s: took %d tensors without their %r%s", source, len(selected), prefix, rest)


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
