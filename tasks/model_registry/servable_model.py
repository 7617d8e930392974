"""A classifier as a model that MLflow loads and serves: an exported program, no code, no pickle.

B: batch, K: classes. It maps normalised pictures to logits, and has no layers to make maps from:
our bundle beside it has.
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


def save_servable_model(folder: Path, classifier: Classifier) -> None:
    """Write MLflow's own files for the classifier; raises whatever the exporter raises.

    The model takes batches of any size, or of one picture where the network cannot be exported so.
    """
    # A copy on the CPU, where it is served; the exporter corrupts other memory formats.
    network = copy.deepcopy(classifier.network).cpu().to(memory_format=torch.contiguous_format)
    random = torch.Generator().manual_seed(0)
    image_BCHW = torch.rand(3, 3, *classifier.preprocessing.size, generator=random)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # from the exporter and MLflow's imports
        try:
            _save(folder, network, torch.zeros_like(image_BCHW[:2]), fixed=False)
            _check(folder, network, image_BCHW)
        except Exception:  # the exporter raises all kinds
            shutil.rmtree(folder, ignore_errors=True)
            _save(folder, network, torch.zeros_like(image_BCHW[:1]), fixed=True)
        _check(folder, network, image_BCHW[:1])


def _save(folder: Path, network: nn.Module, example_BCHW: Tensor, *, fixed: bool) -> None:
    """From an example of one picture MLflow exports a program for one, from two for any number."""
    import mlflow.pytorch

    count = network(example_BCHW).shape[1]
    pictures = 1 if fixed else -1
    mlflow.pytorch.save_model(
        network,
        str(folder),
        signature=_signature((pictures, *example_BCHW.shape[1:]), (pictures, count)),
        input_example=example_BCHW.numpy(),
        serialization_format="pt2",
        # Otherwise MLflow loads the model in another process to see what it imports.
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
    """Raise if the saved model answers differently from the network."""
    import mlflow.pytorch

    served_BK = mlflow.pytorch.load_model(str(folder))(image_BCHW)
    torch.testing.assert_close(served_BK, network(image_BCHW), rtol=1e-3, atol=1e-4)
