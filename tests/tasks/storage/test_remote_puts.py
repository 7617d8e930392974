"""Files that are written to S3: whole or not at all, and what is small by one request."""

from __future__ import annotations

import pytest

from benchmarks.scaling.storage import count_requests, serve_s3
from models import addresses
from models.addresses import as_path, write_atomically

CONTENT = bytes(range(256)) * 50_000  # 12.8 MB: more than a piece of an upload


@pytest.mark.parametrize(("at_once", "whole"), [(32 << 20, True), (1 << 20, False)])
def test_a_file_is_put_at_once_or_in_pieces(
    at_once: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "AT_ONCE", at_once)
    with serve_s3() as bucket:
        target = as_path(f"{bucket}/a/file")
        with count_requests() as counts, write_atomically(target) as file:
            file.write(CONTENT)
        assert target.read_bytes() == CONTENT
    assert (counts == {"PutObject": 1}) is whole, counts


@pytest.mark.parametrize("at_once", [32 << 20, 1 << 20])
def test_a_file_that_fails_half_way_is_not_there(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "AT_ONCE", at_once)
    with serve_s3() as bucket:
        target = as_path(f"{bucket}/a/file")
        with pytest.raises(ZeroDivisionError), write_atomically(target) as file:
            file.write(CONTENT)
            raise ZeroDivisionError
        assert not target.exists()
