"""Names that users give to patterns; the next runs keep them (known_patterns.py)."""

from __future__ import annotations

import pyarrow as pa

from models.errors import UserError, list_names, printable, suggest
from tasks import schema
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import PatternSummary
from tasks.storage.files import write_text
from tasks.storage.parquet import read_table, write_table

LONGEST = 80  # characters


def name_pattern(run: RunFolder, identity: str, name: str) -> None:
    """In the run's summary and its table of patterns."""
    summary = open_run(run.path).summary()
    found = summary.patterns
    if found is None:
        raise UserError(f"{run.path} looked for no patterns: sightline discover does")
    known = [it.id for it in found.candidates]
    if identity not in known:
        has = f"it has {list_names(known)}" if known else "it has none"
        raise UserError(
            f"{run.path} has no pattern {printable(identity)}{suggest(identity, known)}; {has}"
        )
    name = name.strip()
    if not 0 < len(name) <= LONGEST:
        raise UserError(f"a name of {len(name)} characters: give 1 to {LONGEST}")
    summary = summary.model_copy(update={"patterns": _rename(found, identity, name)})
    _rename_row(run, identity, name)
    write_text(run.summary, summary.model_dump_json(indent=2) + "\n")


def _rename(found: PatternSummary, identity: str, name: str) -> PatternSummary:
    given = {"name": name, "named": True}
    renamed = (it.model_copy(update=given) if it.id == identity else it for it in found.candidates)
    return found.model_copy(update={"candidates": tuple(renamed)})


def _rename_row(run: RunFolder, identity: str, name: str) -> None:
    rows = read_table(run.patterns, expected=schema.PATTERNS).to_pylist()
    renamed = [row | {"name": name} if row["pattern"] == identity else row for row in rows]
    write_table(run.patterns, pa.Table.from_pylist(renamed, schema=schema.PATTERNS))
