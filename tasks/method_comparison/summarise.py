"""The end of a comparison of methods: methods.json from the parts, and images for its page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from models.methods.registry import method_names
from tasks import schema
from tasks.attribution.job import has_foreground, reader_of
from tasks.method_comparison.figures import read_measurements
from tasks.method_comparison.ranking import RULE, rank
from tasks.pictures.estimator import ForegroundSettings
from tasks.pictures.samples import Sample, rows_of
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run, open_run
from tasks.schema import Column, CostSummary, GalleryRow, MethodsSummary
from tasks.storage.files import read_footer, read_table, write_text

SHOWN = 6  # images of the gallery


def summarise_methods(run_folder: RunFolder, cost: CostSummary) -> MethodsSummary:
    """From the parts to methods.json, which is returned."""
    run = open_run(run_folder.path)
    state, identity = run.state, run.state["identity"]
    methods = method_names(state["settings"]["attribution"]["methods"])
    ranking, rows = rank([read_measurements(run, method) for method in methods])
    summary = MethodsSummary(
        schema_version=schema.VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=str(run_folder.path),
        address=state["settings"]["model"]["address"],
        data=state["settings"]["data"]["path"],
        foreground=identity["foreground"] if has_foreground(identity) else "none",
        images=max((row.images for row in rows), default=0),
        tested=_tested(run, methods),
        numeric=", ".join(identity["numeric"].values()),
        workers=cost.workers,
        seconds=cost.seconds,
        recommended=None if ranking.chosen is None else ranking.chosen.method,
        sentence=ranking.sentence(),
        rule=RULE,
        methods=tuple(rows),
    )
    write_text(run_folder.methods, summary.model_dump_json(indent=1) + "\n")
    return summary


def gallery_of(run_folder: RunFolder) -> list[GalleryRow]:
    """The first images of the catalog that can be read, explained by every method."""
    run = open_run(run_folder.path)
    foreground = ForegroundSettings.model_validate(run.state["settings"]["foreground"])
    read = reader_of(run.state["identity"], foreground)
    samples = (read(row) for row in rows_of(read_table(run_folder.catalog)))
    shown = list(islice((item for item in samples if isinstance(item, Sample)), SHOWN))
    names = [sample.row.row_id for sample in shown]
    methods = method_names(run.state["settings"]["attribution"]["methods"])
    maps = {method: run.maps(names, method) for method in methods}
    predictions = dict(
        zip(*(run.table()[name].to_pylist() for name in ("row_id", "prediction")), strict=True)
    )
    return [
        GalleryRow(
            row_id=sample.row.row_id,
            prediction=predictions.get(sample.row.row_id, ""),
            label=sample.row.label,
            picture_HW3=sample.picture_CHW.permute(1, 2, 0).numpy(),
            mask_HW=None if sample.mask_HW is None else sample.mask_HW.numpy() / 255,
            columns=tuple(
                Column(method, _heat(maps[method].get(sample.row.row_id))) for method in methods
            ),
        )
        for sample in shown
    ]


def _heat(map_hw: np.ndarray | None) -> np.ndarray | None:
    """A signed map's magnitudes, which its figures are of."""
    return None if map_hw is None else abs(map_hw)


def _tested(run: Run, methods: Sequence[str]) -> int:
    return sum(read_footer(path).num_rows for path in run.folder.parts(f"trials/{methods[0]}"))
