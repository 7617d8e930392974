"""The limits in docs/reference.md are those of the code."""

from __future__ import annotations

from pathlib import Path

from models import answering_servers, time_limit
from tasks.execution import cluster, scheduler_address, silence_watch

PAGE = (Path(__file__).parents[3] / "docs/reference.md").read_text(encoding="utf-8")


def test_the_page_states_every_limit() -> None:
    workers = f"{scheduler_address.TIMEOUT} seconds; its first worker, {cluster.WORKER_TIMEOUT} |"
    assert workers in PAGE
    assert f"| {answering_servers.TIMEOUT:g} seconds, also where it sends" in PAGE
    assert time_limit.PATIENCE == 60
    assert f"after a minute, stopped after {time_limit.LIMIT / 60:g} minutes |" in PAGE
    assert f"every {silence_watch.SAID_AFTER / 60:g} minutes, which says where" in PAGE
    assert f"stopped after {silence_watch.LIMIT / 3600:g} hours |" in PAGE
