"""What axe-core finds on every view of the page, in light and in dark."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.explorer_page import ExplorerPage, view_of

pytestmark = pytest.mark.full

VERSION = "4.14.1"
INSTALL = "npm is missing: apt-get install -y npm"
GRAVE = ("serious", "critical")
READY = {  # of each view, that it is drawn
    "grid": "document.querySelector('.tile .picture.ready') !== null",
    "panel": "document.querySelector('.panel h3') !== null",
    "plot": "document.querySelector('.plot-frame').ariaBusy === 'false'",
    "patterns": "document.querySelector('.pattern') !== null",
    "scenarios": "document.querySelector('#view-scenarios .figures td.n') !== null",
    "changes": "document.querySelector('#view-changes .figures td.n') !== null",
}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script, from the registry: it is no part of the project."""
    npm = shutil.which("npm")
    assert npm, INSTALL
    folder = tmp_path_factory.mktemp("axe")
    install = [npm, "install", "--no-audit", "--no-fund", f"axe-core@{VERSION}"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    return Path(folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", READY)
def test_axe_finds_nothing_grave(page: ExplorerPage, axe: str, view: str, scheme: str) -> None:
    first = page.ask("api/rows", limit=1)["rows"][0]["row_id"]
    page.browser.prefer(scheme)
    page.visit(view_of(open=first) if view == "panel" else view_of(tab=view))
    page.browser.until(READY[view])
    page.browser.value(f"{axe}; undefined")
    found = json.loads(page.browser.value("axe.run().then(JSON.stringify)"))
    page.browser.prefer("")
    assert len(found["passes"]) > 10
    assert [
        (it["id"], node["html"][:200], node["failureSummary"])
        for it in found["violations"]
        for node in it["nodes"]
        if it["impact"] in GRAVE
    ] == []
