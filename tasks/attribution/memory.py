"""How many pictures one pass may hold, found from what one picture takes and what there is."""

from __future__ import annotations

from functools import lru_cache

import psutil
import torch
from distributed import get_worker
from distributed.system import MEMORY_LIMIT  # what the container allows
from torch import Tensor, nn

from models.network.capture import as_found

SHARE = 0.5  # of the free memory: gradients and copies come on top of what is kept
MOST = 64  # pictures; more make no pass faster, on a CPU even slower
MOST_ON_A_CARD = 512


def room_of(network: nn.Module, picture: tuple[int, int], device: torch.device) -> int:
    """Pictures of this size whose gradients fit the memory that is free now."""
    most = MOST_ON_A_CARD if device.type == "cuda" else MOST
    return max(1, min(most, int(SHARE * _free(device) / max(1, kept_bytes(network, picture)))))


@lru_cache(maxsize=4)
def kept_bytes(network: nn.Module, picture: tuple[int, int]) -> int:
    """What a pass of one picture keeps for the way back to the picture."""
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weight = next(network.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    image_1CHW = torch.zeros(1, 3, *picture, device=device, requires_grad=True)
    with (
        as_found(network),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        network(image_1CHW.clone())
    return sum(kept.values()) + image_1CHW.untyped_storage().nbytes()


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    own: int = psutil.Process().memory_info().rss
    available: int = psutil.virtual_memory().available
    return max(0, min(_limit() - own, available))


def _limit() -> int:
    """Of a Dask worker, which is ended when it takes more; else what the container allows."""
    try:
        limit: int | None = get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):
        limit = None
    most: int = limit or MEMORY_LIMIT
    return most


def lacks_memory(error: Exception) -> bool:
    """Of a card (OutOfMemoryError), of Python, or of torch's allocator, which has no own error."""
    lacking = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in lacking)
