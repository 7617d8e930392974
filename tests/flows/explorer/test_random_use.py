"""Two thousand random clicks, keys and steps back and forward."""

from __future__ import annotations

import pytest

from benchmarks.chromium import NARROW, WIDE
from benchmarks.explorer.random_use import RandomUse
from tests.support.explorer_page import ExplorerPage

pytestmark = pytest.mark.full

STEPS = 1000


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("width", "seed"), [(WIDE, 1), (NARROW, 2)])
def test_nothing_complains(page: ExplorerPage, width: int, seed: int) -> None:
    page.browser.call("Browser.setDownloadBehavior", behavior="deny")
    page.visit(width=width)
    use = RandomUse(page.browser, page.explorer.address, seed)
    for step in range(STEPS):
        use.step()
        assert page.complaints() == [], f"seed {seed}, step {step}"
    assert page.explorer.process.poll() is None
    page.visit(width=width)
