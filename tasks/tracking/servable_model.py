"""A classifier as a model that MLflow loads and serves: an exported program, no code, no pickle.

B: pictures at once, K: classes. It answers normalised pictures with logits, and has no layers that
maps could be made of: that is what our bundle, which lies beside it, is for.
"""

from __future__ import annotations

import copy
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.classifier.classifier import Classifier

if TYPE_CHECKING:  # importing MLflow takes seconds
    from mlflow.models import ModelSignature


def save_serving(folder: Path, classifier: Classifier) -> None:
    """Write MLflow's own files for the classifier; raises whatever refuses to export it.

    It takes any number of pictures at once, or one where the network has its number built in.
    """
    # A copy on the CPU, where it is served; the exporter stores other memory formats wrongly.
    network = copy.deepcopy(classifier.network).cpu().to(memory_format=torch.contiguous_format)
    random = torch.Generator().manual_seed(0)
    image_BCHW = torch.rand(3, 3, *classifier.preprocessing.size, generator=random)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter and of MLflow's imports
        try:
            _save(folder, network, torch.zeros_like(image_BCHW[:2]), fixed=False)
            _check(folder, network, image_BCHW)
        except Exception:  # of all kinds, from inside the exporter
            shutil.rmtree(folder, ignore_errors=True)
            _save(folder, network, torch.zeros_like(image_BCHW[:1]), fixed=True)
        _check(folder, network, image_BCHW[:1])


def _save(folder: Path, network: nn.Module, example_BCHW: Tensor, *, fixed: bool) -> None:
    """Of an example of one picture MLflow makes a program for one; of two it leaves it open."""
    import mlflow.pytorch

    count = network(example_BCHW).shape[1]
    pictures = 1 if fixed else -1
    mlflow.pytorch.save_model(
        network,
        str(folder),
        signature=_signature((pictures, *example_BCHW.shape[1:]), (pictures, count)),
        input_example=example_BCHW.numpy(),
        serialization_format="pt2",
        # Else MLflow loads the model in another process to see what it imports.
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
    )


def _signature(image: tuple[int, ...], logits: tuple[int, ...]) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    kind = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, image)]), outputs=Schema([TensorSpec(kind, logits)])
    )


def _check(folder: Path, network: nn.Module, image_BCHW: Tensor) -> None:
    """What was saved answers as the network does."""
    import mlflow.pytorch

    served_BK = mlflow.pytorch.load_model(str(folder))(image_BCHW)
    torch.testing.assert_close(served_BK, network(image_BCHW), rtol=1e-3, atol=1e-4)
