"""What the page must know of the runs before it asks for images."""

from __future__ import annotations

from typing import Any

from flows.explorer.opened import OpenedRuns
from reports.finding import headline
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS
from tasks.storage.parquet import read_footer


def describe_runs(opened: OpenedRuns) -> dict[str, Any]:
    """The runs, the columns, and what can be shown."""
    run = opened.now.run
    finished = run.folder.summary.is_file()
    rule = run.summary().rule if finished else None
    patterns = run.summary().patterns if finished else None
    return {
        "runs": [_describe(it) for it in opened.runs],
        "rows": opened.database.rows,
        "columns": [
            {"name": it.name, "kind": it.kind, "words": it.words, "ours": it.own}
            for it in opened.database.columns.values()
        ],
        "methods": run.methods,
        "main_method": rule.method if rule is not None else next(iter(run.methods), None),
        "spaces": opened.spaces,
        "changes": bool(run.folder.stage(INTERVENTIONS).is_dir()),
        "patterns": 0 if patterns is None else len(patterns.candidates),
        "compared": opened.before is not None,
        "threshold": None if rule is None else rule.threshold,
        "headline": headline(run.summary()) if finished else None,
    }


def _describe(run: Run) -> dict[str, Any]:
    path = run.folder.path
    return {
        "name": path.name,
        "path": str(path),
        "images": read_footer(run.folder.catalog).num_rows,
        "model": run.state.model_address,
        "finished": run.state.state == "finished",
    }


def describe_patterns(run: Run) -> list[dict[str, Any]]:
    """The patterns of a run, the confirmed ones first."""
    patterns = run.summary().patterns if run.folder.summary.is_file() else None
    names = ("id", "name", "verdict", "sentence", "pulls_to", "images", "effect", "exemplars")
    return [
        {name: getattr(pattern, name) for name in (*names, "exchanged")}
        for pattern in ([] if patterns is None else patterns.candidates)
    ]
