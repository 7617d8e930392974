"""How many pictures fit in one pass, from what one picture needs and what is free."""

from __future__ import annotations

from functools import lru_cache

import psutil
import torch
from distributed import get_worker
from distributed.system import MEMORY_LIMIT  # what the container allows
from torch import Tensor, nn

from models.classifier.classifier import Classifier
from models.network.capture import as_found

SHARE = 0.5  # of the free memory: gradients and copies come on top of what a pass keeps
MAX_PICTURES = 64  # more make no pass faster, on a CPU even slower
MAX_PICTURES_ON_GPU = 512
BATCH = 16  # pictures that are explained at once on a CPU
BATCH_ON_GPU = 64  # a quarter of a shard, so that the next are decoded meanwhile


def batch_size_of(chosen: int | None, classifier: Classifier) -> int:
    """Pictures that are explained at once: those that were chosen, else what suits the device."""
    if chosen is not None:
        return chosen
    if classifier.device.type != "cuda":
        return BATCH
    size = classifier.preprocessing.size
    return min(BATCH_ON_GPU, room_of(classifier.network, size, classifier.device))


def room_of(network: nn.Module, picture: tuple[int, int], device: torch.device) -> int:
    """Pictures of this size whose gradients fit into the memory that is free now."""
    limit = MAX_PICTURES_ON_GPU if device.type == "cuda" else MAX_PICTURES
    pictures = int(SHARE * _free_bytes(device) / max(1, kept_bytes(network, picture)))
    return max(1, min(limit, pictures))


@lru_cache(maxsize=4)
def kept_bytes(network: nn.Module, picture: tuple[int, int]) -> int:
    """What a forward pass of one picture keeps for the gradient of the picture."""
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weight = next(network.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    image_1CHW = torch.zeros(1, 3, *picture, device=device, requires_grad=True)
    with (
        as_found(network),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor),
    ):
        network(image_1CHW.clone())
    return sum(kept.values()) + image_1CHW.untyped_storage().nbytes()


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    used: int = psutil.Process().memory_info().rss
    available: int = psutil.virtual_memory().available
    return max(0, min(_process_limit() - used, available))


def _process_limit() -> int:
    """Of a Dask worker, which is killed when it uses more; else what the container allows."""
    try:
        limit: int | None = get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):
        limit = None
    allowed: int = limit or MEMORY_LIMIT
    return allowed
