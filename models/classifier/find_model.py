"""Which settings the model in a folder needs: its architecture, classes and preprocessing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.classifier.model_files import WEIGHTS
from models.errors import UserError

BUNDLE = "model.json"
CLASS_FILES = ("classes.txt", "class_names.txt", "labels.txt")
LARGEST_CLASS_FILE = 1 << 22  # bytes
FOLDERS = (".", "model", "models", "weights", "checkpoints")  # where weights may lie
TRAINING = "num_batches_tracked"  # a counter that old files lack


if TYPE_CHECKING:
    from models.classifier.weights import State


@dataclass(frozen=True)
class FoundModel:
    """What stands in the section [model], what is to be said of it, and what is still to be given.

    `preprocessing` is only proposed: the weights do not hold it.
    """

    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    preprocessing: Mapping[str, Any] | None = None


def find_model(folders: Sequence[Path]) -> FoundModel:
    """The first bundle in the folders, or else the first file of weights."""
    places = [folder / name for folder in folders for name in FOLDERS]
    for place in places:
        if (place / BUNDLE).is_file():
            return FoundModel(
                {"address": str(place)}, ["A bundle: it holds classes and preprocessing itself."]
            )
    for place in places:
        files = sorted(place.iterdir()) if place.is_dir() else []
        for file in files:
            if file.suffix.lower() in WEIGHTS and file.is_file():
                return describe_weights(file, folders)
    return FoundModel(
        {},
        ["No weights were found: name a model and its weights, or your own code as"],
        ["name the model (address, weights) in [model], or start again with --weights FILE"],
    )


def describe_weights(file: Path, folders: Sequence[Path]) -> FoundModel:
    """Recognise the architecture of a file of weights by the names and shapes in it."""
    timm = _read_timm_config(file)
    if timm is not None:
        return _with_classes({"address": f"timm:{timm}", "weights": str(file)}, folders, None)
    try:
        from models.classifier.weights import read_state

        state = read_state(str(file))
    except UserError as error:
        return FoundModel(
            {"weights": str(file)}, [str(error)], ["name the model (address) in [model]"]
        )
    for address in _candidates(file.stem):
        if (count := _count_classes(address, state)) is not None:
            settings = {"address": address, "weights": str(file)}
            return _with_classes(settings, folders, count, _usual_preprocessing(address))
    return FoundModel(
        {"weights": str(file)},
        [
            f"The weights fit none of torchvision's networks (they begin with {next(iter(state))})"
            ": name timm's with timm:NAME, or your own code with path/to/file.py:function."
        ],
        ["name the model (address) in [model]"],
    )


def _with_classes(
    settings: dict[str, Any],
    folders: Sequence[Path],
    count: int | None,
    preprocessing: Mapping[str, Any] | None = None,
) -> FoundModel:
    library, _, name = settings["address"].partition(":")
    has = "" if count is None else f", with {count} classes"
    notes, missing = [f"The weights are {library}'s {name}{has}."], []
    file = _find_classes(folders, count)
    if file is not None:
        settings["classes"] = str(file)
    else:
        missing.append(
            "name a file of classes in [model], one a line in the order of the logits "
            "(torchvision's ImageFolder took the folders in alphabetical order)"
        )
    if preprocessing is not None:
        missing.append(
            "give the preprocessing that the weights were trained with in [model.preprocessing]"
        )
    return FoundModel(settings, notes, missing, preprocessing)


def _find_classes(folders: Sequence[Path], count: int | None) -> Path | None:
    """A file of class names that has as many lines as the weights have classes; one with another
    name only where no second one has as many."""
    for path in (folder / name for folder in folders for name in CLASS_FILES):
        lines = _count_lines(path)
        if lines and count in (None, lines):
            return path
    texts = [path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*.txt"))]
    fitting = [path for path in texts if count is not None and _count_lines(path) == count]
    return fitting[0] if len(fitting) == 1 else None


def _count_lines(path: Path) -> int:
    """How many lines of a small text are not empty; 0 where it cannot be read."""
    try:
        is_small = path.is_file() and path.stat().st_size <= LARGEST_CLASS_FILE
        lines = path.read_text(encoding="utf-8").split("\n") if is_small else []
    except (OSError, ValueError):
        return 0
    return len([line for line in lines if line.strip()])


def _read_timm_config(file: Path) -> str | None:
    """The architecture in the config.json that timm writes beside its weights."""
    path = file.parent / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return None
    name = config.get("architecture") if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _candidates(stem: str) -> Iterator[str]:
    """Networks that the file's name contains, the longest first, then all others of torchvision."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    named = sorted((name for name in names if name in stem.lower()), key=len, reverse=True)
    yield from (f"torchvision:{name}" for name in named)
    yield from (f"timm:{name}" for name in _timm_names(stem))
    others = [name for name in names if name not in named]
    yield from (f"torchvision:{name}" for name in sorted(others, key=_rarity))


def _timm_names(stem: str) -> list[str]:
    try:
        import timm
    except ImportError:
        return []
    named = [name for name in timm.list_models() if name in stem.lower()]
    return sorted(named, key=len, reverse=True)[:5]


def _rarity(name: str) -> tuple[bool, str]:
    return not name.startswith("resnet"), name


def _count_classes(address: str, state: State) -> int | None:
    """The number of classes of weights that fit the network in all but that, below any prefix of a
    wrapper; else None."""
    import torch

    from models.classifier.architectures import build_fresh
    from models.classifier.weights import select

    try:
        with torch.device("meta"):  # names and shapes: nothing is allocated
            network = build_fresh(address, 2)
    except (NotImplementedError, RuntimeError, UserError):  # RegNets compute with their widths
        return None
    own = _shapes(network.state_dict())
    shapes = _shapes(select(state, own)[0])
    if own.keys() != shapes.keys():
        return None
    *trunk, head = own
    rows = shapes[head][0] if shapes[head] else 0
    fits = all(own[name] in (shapes[name], _of_two(shapes[name], rows)) for name in trunk)
    return rows if fits else None


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(TRAINING)
    }


def _of_two(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """The shape of a head's tensor if it had two classes."""
    return (2, *shape[1:]) if shape[:1] == (rows,) else shape


def _usual_preprocessing(address: str) -> Mapping[str, Any] | None:
    """What torchvision's own weights of this network were trained with."""
    import torchvision

    library, _, name = address.partition(":")
    if library != "torchvision":
        return None
    usual = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return {
        "resize": usual.resize_size[0],
        "crop": [usual.crop_size[0], usual.crop_size[-1]],
        "mean": list(usual.mean),
        "std": list(usual.std),
    }
