"""Where a preprocessing comes from: a word or file of the user's, three short forms, a checkpoint.

Nothing here guesses: what is not given and not found is asked for.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from models.addresses import read_text
from models.classifier.preprocessing import Preprocessing
from models.errors import UserError, find_position, suggest

IMAGENET = Preprocessing(
    resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
WORDS = {"imagenet": IMAGENET}
# Entries of a checkpoint that may say how its pictures were prepared, beside the checkpoint itself.
PLACES = ("hyper_parameters", "datamodule_hyper_parameters", "hparams", "config", "args", "meta")
WHOLE = "preprocessing"
MEANS, STDS = ("mean", "image_mean"), ("std", "image_std")
SIZES = ("size", "image_size", "img_size", "input_size", "crop_size")


def read_preprocessing(text: str) -> Preprocessing | dict[str, Any]:
    """What `--preprocessing` says: a word, or the content of a JSON file, also of a bundle's."""
    if text in WORDS:
        return WORDS[text]
    content = read_text(text)
    if content is None:
        raise UserError(
            f"{text!r} is neither a file nor a known preprocessing{suggest(text, WORDS)}: give "
            f"{' or '.join(WORDS)}, or a JSON file with resize, crop, mean and std"
        )
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:  # also numbers too long to read
        raise UserError(
            f"{text} is not JSON{find_position(error)}: give a file such as "
            '{"resize": 256, "crop": [224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{text} holds no object with resize, crop, mean and std")
    inner = values.get(WHOLE)
    return inner if isinstance(inner, dict) else values


def geometry_of(size: Sequence[int]) -> dict[str, Any]:
    """Resize and crop: one number is the side of the square in the middle, whose shorter side is
    resized; two are rows and columns, to which the whole picture is resized."""
    if len(size) == 1:
        return {"resize": size[0], "crop": (size[0], size[0])}
    return {"resize": tuple(size), "crop": None}


def find_preprocessing(content: Mapping[str, object]) -> Preprocessing | None:
    """What a checkpoint holds beside its tensors; None if that is nothing, or not usable."""
    for place in (content, *(_as_mapping(content.get(name)) for name in PLACES)):
        if (found := _in_place(place)) is not None:
            try:
                return Preprocessing.model_validate(found)
            except ValidationError:
                return None
    return None


def may_hold_preprocessing(names: Collection[str]) -> bool:
    """Could a checkpoint in which these names occur hold one?"""
    return WHOLE in names or all(set(names) & set(keys) for keys in (MEANS, STDS, SIZES))


def _in_place(place: Mapping[str, object]) -> Mapping[str, object] | None:
    whole = _plain(place.get(WHOLE))
    if isinstance(whole, Mapping) and {"mean", "std"} <= whole.keys():
        return whole
    mean, std, size = (
        next((_plain(place[key]) for key in keys if place.get(key) is not None), None)
        for keys in (MEANS, STDS, SIZES)
    )
    sides = [size] if isinstance(size, int) else size
    if mean is None or std is None or not isinstance(sides, list | tuple) or not sides:
        return None
    if len(sides) == 3:  # channels, rows, columns
        sides = sides[1:]
    return {**geometry_of(sides[:1] if len(set(sides)) == 1 else sides), "mean": mean, "std": std}


def _as_mapping(value: object) -> Mapping[str, object]:
    plain = vars(value) if isinstance(value, Namespace) else _plain(value)
    return plain if isinstance(plain, Mapping) else {}


def _plain(value: Any) -> Any:
    """Of a tensor or an array its numbers; of text, as in safetensors, the JSON in it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return None
    return value
