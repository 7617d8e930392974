"""Running third-party methods on a network: the network is restored afterwards, and their random
numbers are the same each time."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

SEED = 0


@contextmanager
def restoring(network: nn.Module) -> Iterator[None]:
    """Restore every module's hooks and attributes and every tensor's numbers afterwards."""
    states = [(module, vars(module), _snapshot(vars(module))) for module in network.modules()]
    tensors = [(tensor, tensor.data) for tensor in (*network.parameters(), *network.buffers())]
    try:
        yield
    finally:
        for _, now, before in states:
            for name in set(now) - set(before):
                del now[name]
            for name, (value, content) in before.items():
                now[name] = value
                if content is not None:  # in place: the handles of hooks refer to these
                    value.clear()
                    value.update(content)
        for tensor, numbers in tensors:
            if tensor.data_ptr() != numbers.data_ptr():
                tensor.data = numbers


def _snapshot(attributes: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each attribute, and a copy of its content if it is a dictionary or a set."""
    return {
        name: (value, copy.copy(value) if isinstance(value, dict | set) else None)
        for name, value in attributes.items()
    }


@contextmanager
def fixed_seed(device: torch.device) -> Iterator[None]:
    """The same random numbers in every block; the global generators are restored afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(SEED)
        np.random.seed(SEED)
        random.seed(SEED)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(SEED)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
