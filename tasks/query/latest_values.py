"""What was asked last, kept so that it is computed once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LatestValues(Generic[Key, Value]):
    """At most so many values, or all; many threads may ask."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Two threads that ask for the same at once may both compute it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = compute()
        with self._lock:
            self._values[key] = value
            while self._most is not None and len(self._values) > self._most:
                self._values.popitem(last=False)
        return value
