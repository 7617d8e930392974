"""Values that are costly to make, kept while they fit into a number of bytes; for many threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """The values that were asked for last. Each is made once, however many threads ask for it."""

    def __init__(self, most: int, size_of: Callable[[Value], int]) -> None:
        """`most` bytes are kept, by what `size_of` says of each value."""
        self._most, self._size_of = most, size_of
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()  # the last asked for at the end
        self._making: dict[Hashable, Future[Value]] = {}
        self._bytes = 0
        self._lock = Lock()

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not kept; an error is raised and not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            made = self._making.get(key)
            if made is None:
                mine: Future[Value] = Future()
                self._making[key] = mine
        return self._make(key, make, mine) if made is None else made.result()

    def _make(self, key: Hashable, make: Callable[[], Value], mine: Future[Value]) -> Value:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, value)
        mine.set_result(value)
        return value

    def _keep(self, key: Hashable, value: Value) -> None:
        self._kept[key] = value
        self._bytes += self._size_of(value)
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= self._size_of(oldest)
