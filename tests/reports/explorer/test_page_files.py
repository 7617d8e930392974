"""The explorer's page keeps its own rules: no markup from data, no inline script, no framework."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

PAGE = Path(str(files("reports") / "explorer"))
MODULES = sorted(PAGE.glob("*.js"))
IMPORT = re.compile(r'^(?:import|export) (?:\{([^}]*)\} from )?"([^"]+)";', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
FROM_TEXT = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tags() -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed((PAGE / "index.html").read_text())
    return parser.found


def test_the_page_holds_no_script_or_style_of_its_own(
    tags: list[tuple[str, dict[str, str | None]]],
) -> None:
    assert not [tag for tag, attributes in tags if tag == "style" or "style" in attributes]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [it["src"] for it in scripts] == ["static/main.js"]


def test_every_address_of_the_page_is_relative_and_there(
    tags: list[tuple[str, dict[str, str | None]]],
) -> None:
    addresses = [attributes.get("src") or attributes.get("href") for _, attributes in tags]
    own = [it for it in addresses if it and not it.startswith("data:")]
    assert own
    for address in own:
        assert (PAGE / address.removeprefix("static/")).is_file(), address


@pytest.mark.parametrize("module", MODULES, ids=lambda it: it.name)
def test_a_module_makes_no_markup_of_text(module: Path) -> None:
    assert not re.findall(FROM_TEXT, module.read_text())


@pytest.mark.parametrize("module", MODULES, ids=lambda it: it.name)
def test_a_module_imports_what_others_export_and_uses_it(module: Path) -> None:
    text = module.read_text()
    for names, address in IMPORT.findall(text):
        exported = EXPORT.findall((module.parent / address).read_text())
        for entry in filter(None, (it.strip() for it in names.split(","))):
            name, _, alias = entry.partition(" as ")
            assert name in exported, f"{module.name}: {address} exports no {name}"
            assert len(re.findall(rf"\b{alias or name}\b", text)) > 1, f"{module.name}: {entry}"


def test_no_module_is_left_over() -> None:
    imported = {Path(it).name for module in MODULES for _, it in IMPORT.findall(module.read_text())}
    assert {module.name for module in MODULES} - imported == {"main.js"}
