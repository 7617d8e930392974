"""The tables of figures in docs/reference.md, between their markers.

python -m tests.support.figure_tables writes them again from tasks/schema/figures.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from tasks.schema import FIGURES, Figure

REFERENCE = Path(__file__).parents[2] / "docs/reference.md"
TABLE = re.compile(r"<!-- figures: (\w+) -->\n(.*?)<!-- end -->", flags=re.DOTALL)
HEAD = "| figure | in words | unit | interval | better | meaning |\n|---|---|---|---|---|---|\n"
BETTER = {True: "higher", False: "lower", None: "–"}


def with_tables(page: str) -> str:
    """The page, each table as the figures of its kind are now."""
    return TABLE.sub(
        lambda found: f"<!-- figures: {found[1]} -->\n{table(found[1])}<!-- end -->", page
    )


def table(kind: str) -> str:
    return HEAD + "".join(_row(figure) for figure in FIGURES.values() if figure.kind == kind)


def _row(figure: Figure) -> str:
    better = BETTER[figure.higher_is_better]
    cells = (f"`{figure.name}`", figure.words, figure.unit.name, figure.interval, better)
    return f"| {' | '.join(cells)} | {figure.meaning} |\n"


if __name__ == "__main__":
    REFERENCE.write_text(with_tables(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
