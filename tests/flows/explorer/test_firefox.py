"""The page in Firefox: the grid is shown, and a filter works."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.explorer.open_command import OpenExplorer
from tests.support.firefox import start_firefox
from tests.support.waiting import wait_until

pytestmark = pytest.mark.full

VALUES = "[...document.querySelectorAll('.value')]"
COUNT = "document.querySelector('#count').textContent"


def test_the_grid_is_shown_and_a_filter_works(explorer: OpenExplorer, tmp_path: Path) -> None:
    wrong = f"{VALUES}.find(e => e.textContent.includes('wrong'))"
    with start_firefox(tmp_path) as firefox:
        firefox.open(explorer.address)
        ready = "document.querySelectorAll('.tile .picture.ready').length"
        assert wait_until(lambda: firefox.value(ready) > 10)
        assert firefox.value(COUNT) == "192 images"
        assert wait_until(lambda: firefox.value(f"{wrong} !== undefined"))
        count = firefox.value(f"{wrong}.querySelector('.n').textContent")
        firefox.value(f"{wrong}.click()")
        assert wait_until(lambda: firefox.value(COUNT) == f"{count} of 192 images")
        assert firefox.events == []
    assert explorer.complaints() == []
