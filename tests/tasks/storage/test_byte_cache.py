"""A cache of bytes: bounded, each value made once, also when several threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.storage.byte_cache import ByteCache

MOST = 100


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 120)), max_size=60))
def test_it_never_keeps_more_and_always_gives_what_was_made(
    asked: Sequence[tuple[int, int]],
) -> None:
    cache: ByteCache[bytes] = ByteCache(MOST, len)
    for key, size in asked:
        value = cache.get((key, size), lambda size=size: bytes(size))  # type: ignore[misc]
        assert value == bytes(size)
        assert cache.bytes <= MOST


@given(st.lists(st.integers(0, 9), max_size=60))
def test_it_forgets_what_was_asked_for_longest_ago(keys: Sequence[int]) -> None:
    cache: ByteCache[int] = ByteCache(3, lambda value: 1)
    made: list[int] = []
    last: list[int] = []  # an oracle: at most three keys, the last asked for at the end
    for key in keys:
        before = len(made)
        cache.get(key, lambda key=key: made.append(key) or key)  # type: ignore[misc,func-returns-value]
        assert (len(made) == before) == (key in last)
        last = [*(other for other in last if other != key), key][-3:]


def test_a_value_is_made_once_for_threads_that_ask_at_the_same_time() -> None:
    cache: ByteCache[int] = ByteCache(MOST, lambda value: 1)
    all_ask = threading.Barrier(8)
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 7

    def ask(_: int) -> int:
        all_ask.wait()
        return cache.get("key", make)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [7] * 8
    assert made == [1]


def test_an_error_is_raised_and_the_next_try_is_a_new_one() -> None:
    cache: ByteCache[int] = ByteCache(MOST, lambda value: 1)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0)
    assert cache.get("key", lambda: 5) == 5
