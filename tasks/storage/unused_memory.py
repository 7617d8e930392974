"""Memory of tables that a step is done with: their allocator keeps it, for the next step."""

from __future__ import annotations

import pyarrow as pa


def release_unused() -> None:
    """Give it back to the system: of a million images it is half a gigabyte."""
    pa.default_memory_pool().release_unused()
