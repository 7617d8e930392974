"""What the pages point to is there, and what they say of the packages is what the tests hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.test_extending import steps_of
from tests.test_imports import ALLOWED, FLOORS

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md"))
    if path.name != "CHANGELOG.md"  # which names what was
)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(rf"`((?:{'|'.join(ALLOWED)}|benchmarks|docs|examples|tests)/[\w./-]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for address, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in address:
            continue
        target = page.parent / address if address else page
        assert target.exists(), address
        assert not anchor or anchor in anchors(target), f"{address}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    made = {step.path for step in steps_of(text) if step.kind != "diff"}  # by its reader
    assert not {name for name in NAMED.findall(text) if not (ROOT / name).exists()} - made


def test_the_index_has_every_page() -> None:
    linked = {address for address, _ in LINK.findall(text_of("docs/README.md"))}
    assert linked >= {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert linked >= {"../README.md", "../CONTRIBUTING.md", "../SECURITY.md"}


@pytest.mark.parametrize("role", ["models", "tasks"])
def test_the_page_of_the_architecture_has_the_floors_of_the_test(role: str) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text_of("docs/architecture.md"), flags=re.MULTILINE)
    names = [set(re.findall(r"`(\w+)`", row)) for _, row in rows]
    floors = [set(floor) for floor in reversed(FLOORS[role])]
    assert any(names[at : at + len(floors)] == floors for at in range(len(names)))


def test_the_glossary_says_each_word_once() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*", text_of("docs/glossary.md"), flags=re.MULTILINE)
    assert len(words) > 40
    assert len(words) == len(set(words))


def test_the_workflow_goes_through_the_same_door_as_everybody() -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/check.yml"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make check"]


def test_the_citation_names_the_papers() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert {"cff-version", "title", "message", "authors", "references"} <= citation.keys()
    assert [paper["year"] for paper in citation["references"]] == [2025, 2022, 2025]
    assert all(paper["authors"] and paper["title"] for paper in citation["references"])


def test_types_are_shipped() -> None:
    setuptools = tomllib.loads(text_of("pyproject.toml"))["tool"]["setuptools"]
    for role in ALLOWED:
        assert (ROOT / role / "py.typed").is_file()
        assert "py.typed" in setuptools["package-data"][role]
