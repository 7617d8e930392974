"""Imported by each worker of a local cluster, before it works."""

from __future__ import annotations

import logging
import sys
from typing import Any


def dask_setup(_: Any) -> None:
    """Keep lines of other libraries from stderr, where Python's warnings are kept from it, too."""
    if "ignore" in sys.warnoptions:
        logging.getLogger().addHandler(logging.NullHandler())
