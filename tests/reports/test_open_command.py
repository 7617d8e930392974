"""What a reader copies from an audit's page opens the run, whatever its folder is called."""

from __future__ import annotations

import html
import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.audit_page import render_page
from reports.markdown import audit_as_markdown
from reports.open_command import open_command
from tests.support.audit_summaries import summary

RUNS = (
    "/runs/look",
    "s3://bucket/runs/night",
    "/runs/it's; rm -rf ~ && echo $HOME `id` | cat > x",
    "/runs/<b>&amp;</code></style>",
    "/runs/```\u05d0",
)


@pytest.mark.parametrize("run", RUNS)
def test_a_shell_reads_one_word(run: str) -> None:
    command = open_command(run)
    assert command is not None
    shown = command.replace("sightline open", "printf %s", 1)
    done = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout == run


@given(st.text(st.characters(exclude_categories=()), min_size=1))
def test_any_other_address_is_one_word_or_is_not_shown(run: str) -> None:
    command = open_command(run)
    assert command is None or shlex.split(command) == ["sightline", "open", run]
    assert command is None or "\n" not in command


@pytest.mark.parametrize("run", RUNS)
def test_the_page_has_the_whole_command_in_one_element(run: str) -> None:
    page = render_page(summary(run=run), [])
    (shown,) = re.findall(r'<code class="command"[^>]*>([^<]*)</code>', page)
    assert html.unescape(shown) == open_command(run)
    assert re.search(r"\.command \{[^}]*(?<!-)user-select: all;", page)


@pytest.mark.parametrize("run", RUNS)
def test_markdown_has_it_as_code(run: str) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(audit_as_markdown(summary(run=run)))
    (shown,) = re.findall(r'<pre><code class="language-sh">([^<]*)</code></pre>', page)
    assert html.unescape(shown) == f"{open_command(run)}\n"


def test_of_an_address_with_hidden_characters_there_is_none() -> None:
    found = summary(run="/runs/a\nrm -rf ~")
    assert 'class="command"' not in render_page(found, [])
    assert "sightline open" not in audit_as_markdown(found)
