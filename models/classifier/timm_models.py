"""timm's networks by name, and what timm says of their pictures."""

from __future__ import annotations

import json
import math
from typing import Any

from torch import nn

from models.addresses import as_path, read_text
from models.classifier.preprocessing import Preprocessing
from models.errors import UserError

STATED = ("input_size", "mean", "std")


def import_timm(name: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"timm:{name} needs timm, which is not installed: pip install 'sightline[timm]'"
        ) from error
    return timm


def build_untrained(name: str, num_classes: int) -> nn.Module:
    import timm

    network: Any = timm.create_model(name, pretrained=False, num_classes=num_classes)
    heads = network.pretrained_cfg["classifier"] or ()
    heads = (heads,) if isinstance(heads, str) else heads
    state = network.state_dict()
    if not heads or not all(f"{head}.weight" in state for head in heads):
        raise UserError(f"timm:{name} is not a classifier: it has no head that gives classes")
    classifier: nn.Module = network
    return classifier


def preprocessing_of(pretrained_cfg: Any) -> Preprocessing | None:
    """timm's transform for evaluation as our preprocessing; None where ours cannot do the same, or
    where the configuration, which may be of a file, says too little or makes no sense."""
    import timm

    try:
        if not all(pretrained_cfg.get(key) for key in STATED):
            return None  # timm would fill in ImageNet's
        return _of_data_config(timm.data.resolve_data_config(pretrained_cfg=pretrained_cfg))
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError, AssertionError):
        return None


def _of_data_config(config: dict[str, Any]) -> Preprocessing | None:
    """`crop_pct` is the share of the resized picture that the crop keeps. `squash` does not keep
    the picture's proportions; `border` pads, which ours cannot do."""
    _, rows, columns = config["input_size"]
    whole = tuple(math.floor(side / config["crop_pct"]) for side in (rows, columns))
    resize: int | tuple[int, int] = (whole[0], whole[1])
    if config["crop_mode"] == "center" and rows == columns:
        resize = whole[0]
    elif config["crop_mode"] != "squash":
        return None
    return Preprocessing(
        resize=resize,
        crop=(rows, columns),
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
    )


def read_config(weights: str) -> dict[str, Any]:
    """The config.json that timm saves beside weights, and others too; empty if there is none."""
    try:
        text = read_text(as_path(weights).with_name("config.json"))
        config = json.loads(text or "{}")
    except (UserError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}
