"""Two runs to explore, and the page of the real command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chromium import Browser
from benchmarks.explorer.open_command import OpenExplorer, open_explorer
from tests.support.audits import perturb_head
from tests.support.explorer_page import ExplorerPage
from tests.support.pattern_audits import audit_with_patterns, write_benchmark_with_model


@pytest.fixture(scope="session")
def explored_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """With patterns, the second by another model; the explorer may write into them."""
    folder = tmp_path_factory.mktemp("explored")
    model = write_benchmark_with_model(folder)
    other = perturb_head(model, folder / "other")
    for name, of in (("now", model), ("before", other)):
        run = audit_with_patterns(folder / name, folder / "benchmark", of)
        run.update_state(state="finished")
    return folder / "now", folder / "before"


@pytest.fixture(scope="module")
def explorer(
    explored_runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenExplorer]:
    with open_explorer(tmp_path_factory.mktemp("explorer"), *explored_runs) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, explorer: OpenExplorer) -> Iterator[ExplorerPage]:
    """Whatever a test does to it: nothing complains, nothing is asked of another server."""
    opened = ExplorerPage(browser, explorer)
    yield opened
    assert opened.complaints() == []
