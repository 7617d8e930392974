"""Every benchmark has its dated results, and benchmarks/README.md leads to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import EXPERIMENTS

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROW = re.compile(r"^\| `([a-z-]+)` \| [^|]+ \| \[(\w+)\]\((\w+/results\.md)#([\w-]+)\) \|$", re.M)
INDEX = {row[0]: row[1:] for row in ROW.findall((FOLDER / "README.md").read_text("utf-8"))}


def test_the_index_has_every_benchmark() -> None:
    assert set(INDEX) == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_link_leads_to_a_table_beside_the_code(name: str) -> None:
    subject, page, anchor = INDEX[name]
    assert EXPERIMENTS[name].startswith(f"{subject}.")
    sections = (FOLDER / page).read_text("utf-8").split("\n## ")[1:]
    anchors = {_anchor(section.splitlines()[0]): section for section in sections}
    assert "\n|---|" in anchors[anchor]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
