"""Small image classifiers of transformers, saved as their users save them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

PICTURE = 32  # rows and columns that they read
CLASSES = {0: "bird", 1: "boat", 2: "car", 3: "tree"}

_vit = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": PICTURE,
    "patch_size": 8,
}
_stages = {"hidden_sizes": [8, 16], "depths": [1, 1]}
CONFIGURATIONS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "vit": ("ViT", _vit),
    "deit": ("DeiT", _vit),
    "beit": ("Beit", _vit),
    "dinov2": ("Dinov2", {name: _vit[name] for name in _vit if name != "intermediate_size"}),
    "resnet": ("ResNet", {"embedding_size": 8, **_stages}),
    "convnext": ("ConvNext", {"num_stages": 2, **_stages}),
    "swin": (
        "Swin",
        {"image_size": PICTURE, "patch_size": 2, "embed_dim": 8}
        | {"depths": [1, 2], "num_heads": [1, 2], "window_size": 4},
    ),
}


def tiny_model(name: str, classes: Mapping[int, str] = CLASSES) -> nn.Module:
    """Random weights, the same in every test."""
    family, settings = CONFIGURATIONS[name]
    config = getattr(transformers, f"{family}Config")(
        **settings, id2label=dict(classes), label2id={label: i for i, label in classes.items()}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = getattr(transformers, f"{family}ForImageClassification")(config)
        for weight in model.parameters():  # some heads start at zero: no maps
            if weight.ndim > 1:
                nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return model.eval()


def save_model(folder: Path, name: str, processor: Callable[[], Any] | None = None) -> nn.Module:
    """The model, saved with an image processor: ViT's by default."""
    make = processor or (
        lambda: transformers.ViTImageProcessor(size={"height": PICTURE, "width": PICTURE})
    )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model: Any = tiny_model(name)
    model.save_pretrained(folder)
    make().save_pretrained(folder)
    network: nn.Module = model
    return network
