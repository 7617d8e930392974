"""The tables of docs/notebook.md, between their markers.

python -m tests.support.column_tables writes them again from the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from flows.notebook.run_tables import ROWS
from tasks.query.columns import WORDS

PAGE = Path(__file__).parents[2] / "docs/notebook.md"
TABLE = re.compile(r"<!-- (tables|columns) -->\n(.*?)<!-- end -->", flags=re.DOTALL)
OF_ONE_RUN = {name: words for name, words in WORDS.items() if name != "change"}
KINDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "tables": ("table | a row is", ROWS),
    "columns": ("column | meaning", OF_ONE_RUN),
}


def with_tables(page: str) -> str:
    """The page, each table as the code is now."""
    return TABLE.sub(
        lambda found: f"<!-- {found[1]} -->\n{table(*KINDS[found[1]])}<!-- end -->", page
    )


def table(head: str, rows: Mapping[str, str]) -> str:
    lines = [
        f"| `{name}` | {words.replace('|', chr(92) + '|')} |\n" for name, words in rows.items()
    ]
    return f"| {head} |\n|---|---|\n" + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
