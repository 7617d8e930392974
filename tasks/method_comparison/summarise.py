"""The end of a comparison of methods: methods.json, and the images for its page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from tasks import schema
from tasks.attribution.shown_images import ShownImages, magnitudes, picture_of
from tasks.method_comparison.figures import read_measurements
from tasks.method_comparison.ranking import RULE, rank_methods
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.runs.stages import PREDICTIONS, SANITY
from tasks.schema import Column, CostSummary, GalleryRow, MethodsSummary
from tasks.storage.files import write_text
from tasks.storage.parquet import read_footer

SHOWN = 6  # images of the gallery


def summarise_methods(run_folder: RunFolder, cost: CostSummary) -> MethodsSummary:
    """Write methods.json from the parts, and return it."""
    run = open_run(run_folder.path)
    state, identity = run.state, run.state.identity
    methods = state.methods
    ranking, rows = rank_methods([read_measurements(run, method) for method in methods])
    summary = MethodsSummary(
        schema_version=schema.VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=str(run_folder.path),
        address=state.model_address,
        data=state.data_address,
        foreground=identity.foreground if identity.has_foreground else "none",
        images=max((row.images for row in rows), default=0),
        tested=_tested(run, methods),
        numeric=", ".join(identity.numeric.values()),
        workers=cost.workers,
        seconds=cost.seconds,
        recommended=ranking.recommended.method if ranking.recommended else None,
        sentence=ranking.sentence(),
        rule=RULE,
        methods=tuple(rows),
    )
    write_text(run_folder.methods, summary.model_dump_json(indent=1) + "\n")
    return summary


def gallery_of(run_folder: RunFolder) -> list[GalleryRow]:
    """The first readable images of the catalog, explained by every method."""
    run = open_run(run_folder.path)
    samples = list(islice(ShownImages(run).samples(), SHOWN))
    row_ids = [sample.row.row_id for sample in samples]
    methods = run.state.methods
    maps = {method: run.maps(row_ids, method) for method in methods}
    predictions = ShownImages(run, row_ids=row_ids).part_rows(PREDICTIONS)
    return [
        GalleryRow(
            row_id=row_id,
            prediction=predictions[row_id]["prediction"] if row_id in predictions else "",
            label=sample.row.label,
            picture_HW3=picture_of(sample),
            mask_HW=None if sample.mask_HW is None else sample.mask_HW.numpy() / 255,
            columns=tuple(
                Column(method, magnitudes(maps[method].get(row_id))) for method in methods
            ),
        )
        for row_id, sample in zip(row_ids, samples, strict=True)
    ]


def _tested(run: Run, methods: Sequence[str]) -> int:
    return sum(read_footer(path).num_rows for path in run.folder.parts(SANITY.of(methods[0])))
