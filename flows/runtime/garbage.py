"""How often Python looks for garbage in reference cycles."""

from __future__ import annotations

import atexit
import gc
import sys

# Importing torch, Prefect and MLflow makes millions of objects, none of them garbage. Looking
# through them after every 700, as Python does, costs a fifth of the CPU time of the imports.
OBJECTS_BETWEEN = 50_000


def collect_rarely() -> None:
    """Must be called before the imports that it makes faster."""
    gc.set_threshold(OBJECTS_BETWEEN)
    atexit.register(_leave_objects)


def _leave_objects() -> None:
    """At its end Python would look through all of them twice more, which costs a second.

    DuckDB reports those of its own that are left as leaks, on stderr.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()
