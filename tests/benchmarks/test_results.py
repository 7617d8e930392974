"""Every benchmark has its dated results, and benchmarks/README.md leads to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import EXPERIMENTS, OF_PHOTOGRAPHS

ALL = EXPERIMENTS | OF_PHOTOGRAPHS
FOLDER = Path(__file__).parents[2] / "benchmarks"
ROW = re.compile(r"^\| `([a-z-]+)` \| [^|]+ \| \[(\w+)\]\((\w+/\w+\.md)#([\w-]+)\) \|$", re.M)
INDEX = {row[0]: row[1:] for row in ROW.findall((FOLDER / "README.md").read_text("utf-8"))}


def test_the_index_has_every_benchmark() -> None:
    assert INDEX.keys() == ALL.keys()


@pytest.mark.parametrize("name", ALL)
def test_a_link_leads_to_a_table_beside_the_code(name: str) -> None:
    subject, page, anchor = INDEX[name]
    assert ALL[name].startswith(f"{subject}.")
    sections = re.split(r"^##? ", (FOLDER / page).read_text("utf-8"), flags=re.M)[1:]
    anchors = {_anchor(section.splitlines()[0]): section for section in sections}
    assert re.search(r"^\|---\|", anchors[anchor], re.M)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
