"""Image classifiers that Hugging Face's transformers saved to a folder, with all that they say.

Nothing is downloaded, and no code of the folder's own runs. Shapes: B images, C colours, H W
pixels, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.classifier import weights as weight_files
from models.classifier.preprocessing import Preprocessing
from models.errors import UserError, describe_error, list_names

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
PICKLED = "pytorch_model.bin"  # of folders from before safetensors
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
SQUASHED = 384  # from this size on, ConvNeXt keeps the whole picture
MOST_LEVELS = 3  # grey levels by which two ways to resize may differ


class LogitsNetwork(nn.Module):
    """A model of transformers as a network: of its outputs, the logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.model(pixel_values=image_BCHW).logits
        return logits_BK


@dataclass(frozen=True)
class SavedClassifier:
    """What a folder holds; None for what it does not say."""

    network: LogitsNetwork
    config: str  # JSON, part of the model's digest
    classes: tuple[str, ...] | None
    preprocessing: Preprocessing | None


def read_folder(
    folder: str, weights: str | None = None, allow_pickle: bool = False
) -> SavedClassifier:
    """The classifier in a folder of `save_pretrained`, or its network with other weights."""
    path = Path(folder)
    config = _read_config(path)
    if config.problem_type == "multi_label_classification":
        raise UserError(
            f"transformers:{folder} gives several labels per image: "
            "only single-label classifiers can be audited"
        )
    if weights is None and not any(path.glob("*.safetensors")) and (path / PICKLED).is_file():
        weights = str(path / PICKLED)
    if weights is None:
        model = _load_model(path, config)
    else:
        model = _build_model(path, config)
        weight_files.fill(model, weight_files.read_state(weights, allow_pickle), weights)
    return SavedClassifier(
        LogitsNetwork(model), config.to_json_string(), _classes_of(config), _read_processor(path)
    )


def build_untrained(folder: str) -> nn.Module:
    """The folder's network with random weights."""
    return LogitsNetwork(_build_model(Path(folder), _read_config(Path(folder))))


def _read_config(folder: Path) -> Any:
    transformers = _import_transformers(folder)
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"transformers:{folder} is not a folder with a {CONFIG}: give one that save_pretrained "
            "wrote (nothing is downloaded)"
        )
    with _one_line_errors(folder):
        return transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )


def _import_transformers(folder: Path) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"transformers:{folder} needs transformers, which is not installed: "
            "pip install 'sightline[transformers]'"
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _build_model(folder: Path, config: Any) -> nn.Module:
    transformers = _import_transformers(folder)
    with _one_line_errors(folder):
        model: nn.Module = transformers.AutoModelForImageClassification.from_config(
            config, trust_remote_code=False, dtype=torch.float32
        )
    return model


def _load_model(folder: Path, config: Any) -> nn.Module:
    """Filled from the folder's safetensors; what is missing there would be random numbers."""
    transformers = _import_transformers(folder)
    with _one_line_errors(folder):
        model, loaded = transformers.AutoModelForImageClassification.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    missing = sorted({*map(str, loaded["missing_keys"]), *map(str, loaded["mismatched_keys"])})
    if missing:
        raise UserError(
            f"the weights in {folder} do not fit the classifier of its {CONFIG}: missing or of "
            f"another shape {list_names(missing, most=3)}; save the fine-tuned classifier"
        )
    network: nn.Module = model
    return network


def _classes_of(config: Any) -> tuple[str, ...] | None:
    """The names in the order of the logits; None for LABEL_0, LABEL_1 …, which are no names."""
    names = [str(config.id2label[index]) for index in sorted(config.id2label)]
    is_default = names == [f"LABEL_{index}" for index in range(len(names))]
    return None if is_default else tuple(names)


def _read_processor(folder: Path) -> Preprocessing | None:
    """The folder's preprocessing, if there is one and ours makes the same pictures."""
    if not (folder / PROCESSOR).is_file():
        return None
    transformers = _import_transformers(folder)
    with _one_line_errors(folder):
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    preprocessing = preprocessing_of(json.loads(processor.to_json_string()))
    if preprocessing is None or not _make_same_pictures(processor, preprocessing):
        return None
    return preprocessing


def preprocessing_of(config: Mapping[str, Any]) -> Preprocessing | None:
    """An image processor's settings as our preprocessing; None where ours has no word for one.

    Pictures are resized to height and width, or by the shorter side, of which ConvNeXt then keeps
    the share `crop_pct`. EfficientNet's `include_top` divides by the deviation twice.
    """
    size, side = config.get("size") or {}, (config.get("size") or {}).get("shortest_edge")
    resize: Any = (size["height"], size["width"]) if "height" in size else side
    crop: Any = None
    if config.get("do_center_crop"):
        crop = (config["crop_size"].get("height"), config["crop_size"].get("width"))
    elif config.get("crop_pct") and side:
        resize, crop = (side, side), None
        if side < SQUASHED:
            resize, crop = int(side / config["crop_pct"]), (side, side)
    scale = 255 * config.get("rescale_factor", 1 / 255)  # of values from 0 to 1
    mean, std = [0.0] * 3, [1.0] * 3
    if config.get("do_normalize"):
        mean, std = config["image_mean"], config["image_std"]
        std = [value**2 for value in std] if config.get("include_top") else std
    values = {
        "resize": resize,
        "crop": crop,
        "mean": [value / scale for value in mean],
        "std": [value / scale for value in std],
        "interpolation": INTERPOLATIONS.get(config.get("resample", 2)),
    }
    try:
        return Preprocessing.model_validate(values)
    except ValueError:
        return None


def _make_same_pictures(processor: Any, preprocessing: Preprocessing) -> bool:
    """Do both give the same numbers for a picture that is neither square nor smooth?"""
    rows, columns = (max(int(1.3 * side), 8) for side in preprocessing.size)
    count = 3 * rows * (columns + 5)
    picture_CHW = (torch.arange(count) * 7 // 5 % 256).to(torch.uint8).view(3, rows, columns + 5)
    try:
        theirs_BCHW = processor(images=[picture_CHW], return_tensors="pt")["pixel_values"]
    except Exception:  # a processor that needs more than a picture
        return False
    ours_BCHW = preprocessing.normalise(preprocessing.resize_and_crop(picture_CHW)[None])
    most = MOST_LEVELS / 255 / min(preprocessing.std)
    same_shape = ours_BCHW.shape == theirs_BCHW.shape
    return same_shape and bool((ours_BCHW - theirs_BCHW).abs().max() <= most)


@contextmanager
def _one_line_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers raises all kinds
        raise UserError(
            f"transformers:{folder} cannot be read ({describe_error(error)[:300]}): give a folder "
            "of an image classifier that save_pretrained wrote"
        ) from error
