"""Do flags find the predictions that rest on the background, and no others?

    python -m benchmarks.audit.flags [--quick] [--json] [--cells NAME ...]

A cell is one classifier, audited by masks and by estimates. Both are kept in the machine's
temporary folder, so that a stopped run goes on. Score and weights were chosen on the first look
with seeds of 100 and more; nothing of that is used here.
Shapes: N images.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyarrow import csv

from benchmarks.audit.auroc import auroc, auroc_intervals, auroc_within
from benchmarks.audit.flag_figures import Cell, figures_of
from benchmarks.audit.flag_specs import SEEDS, flag_specs
from benchmarks.audit.known_classifiers import (
    ClassifierSpec,
    KnownClassifier,
    load_known_classifier,
)
from benchmarks.measure import Figure, make_parser, print_figures
from models import interventions
from models.classifier.settings import ModelSettings
from reports.finding import negligible_effect
from tasks import schema
from tasks.attribution.fingerprints import identity_of
from tasks.attribution.job import count_shards
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.attribution.shard import attribute_shard
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import job_of
from tasks.execution.cluster import move_to_device
from tasks.execution.prepare import keep_donors
from tasks.execution.settings import ComputeSettings
from tasks.flags import background_score
from tasks.flags.settings import FlagSettings
from tasks.interventions import intervene
from tasks.interventions.settings import InterventionSettings
from tasks.pictures import segmentation
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.runs.state import RunState
from tasks.schema import CostSummary
from tasks.summary.summarise import summarise

VERSION = 4  # of what a cell measures
METHOD = "grad_cam_pp"
BY_ESTIMATE = ForegroundSettings(source="estimate")


Measure = Callable[[KnownClassifier, Path, bool], Cell]


@dataclass(frozen=True)
class Answers:
    """What one audit says of N images, and what is true of them."""

    truth_N: np.ndarray
    prediction_N: np.ndarray
    scores: dict[str, np.ndarray]  # by name, the larger the more on the background


def run(quick: bool) -> list[Figure]:
    """Every cell that is not there is measured first."""
    return figures_of({spec: load_cell(spec) for spec in flag_specs(quick)})


def load_cell(spec: ClassifierSpec) -> Cell:
    """The figures of one classifier; what is not kept is measured now."""
    return _load(spec, "masks", measure_masks) | _load(spec, "estimates", measure_estimates)


def _load(spec: ClassifierSpec, audits: str, measure: Measure) -> Cell:
    versions = (
        VERSION,
        background_score.VERSION,
        intervene.VERSION,
        interventions.VERSION,
        segmentation.VERSION,
    )
    folder = "-".join(map(str, ("sightline-flags", *versions)))
    kept = Path(tempfile.gettempdir()) / folder / f"{spec.name}.{audits}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    sys.stderr.write(f"flags: {spec.name}, {audits}\n")
    known = load_known_classifier(spec)
    with tempfile.TemporaryDirectory() as name:
        cell = measure(known, Path(name), _is_audited_twice(spec))
    kept.parent.mkdir(exist_ok=True)
    kept.with_suffix(".tmp").write_text(json.dumps(cell, indent=1))
    kept.with_suffix(".tmp").replace(kept)
    return cell


def _is_audited_twice(spec: ClassifierSpec) -> bool:
    """Also with other donors, and with masks and estimates of the same images."""
    return spec.has_truth and spec.seed == SEEDS[0] and spec.look != "third"


def measure_masks(known: KnownClassifier, folder: Path, twice: bool) -> Cell:
    run, truths = _audit(known, folder / "masks"), known.truths
    cell = _flagged("", run)
    if truths is None:
        return cell
    cell |= _compare("masks", run, truths.flips)
    if truths.carried is not None:
        cell |= _compare("carried", run, truths.carried)
    if twice:
        other = _audit(known, folder / "again", InterventionSettings(donor_seed=1))
        cell |= _compare_donors(run, other)
    cell["prevalence"] = float(np.mean(list(truths.flips.values())))
    return cell | {"truth flips within": truths.flips_within}


def measure_estimates(known: KnownClassifier, folder: Path, twice: bool) -> Cell:
    unmarked = _without_masks(known.table, folder)
    run = _audit(known, folder / "estimates", by=BY_ESTIMATE, table=unmarked)
    cell = _flagged("estimates ", run)
    if known.truths is not None:
        cell |= _compare("estimates", run, known.truths.flips)
    if twice:
        cell |= _estimate_quality(_audit(known, folder / "both", by=BY_ESTIMATE))
    return cell


def _audit(
    known: KnownClassifier,
    folder: Path,
    interventions: InterventionSettings = InterventionSettings(),
    by: ForegroundSettings = ForegroundSettings(),
    table: Path | None = None,
) -> RunFolder:
    """The stages of an audit in this process, of a classifier that is in memory."""
    data = DataSettings(
        path=str(table or known.table), images=str(known.table.parent), split="test"
    )
    request = AuditRequest(data, AttributionSettings(methods=(METHOD,)), interventions, by)
    classifier, run = known.classifier, RunFolder.at(str(folder))
    catalog = make_catalog(data, classifier.classes)
    identity = identity_of(catalog, classifier, request)
    model = ModelSettings(address="generated")
    run.write_state(
        RunState(
            sightline=version("sightline"),
            settings=request.sections() | {"model": model.model_dump()},
            classes=classifier.classes,
            schema_version=schema.VERSION,
            identity=identity,
            model=model,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(catalog, str(run.catalog), row_group_size=256)
    keep_donors(run, request, identity, catalog)
    move_to_device(classifier, "cpu", request.attribution.memory_format)
    job = job_of(run, ComputeSettings(workers=1, batch_size=64))
    for shard in range(count_shards(run)):
        attribute_shard(job, shard, classifier)
    cost = CostSummary(
        seconds=1, images_per_second=None, computed=0, reused=0, workers=1, devices=("cpu",)
    )
    summarise(run, FlagSettings(method=METHOD), cost)
    return run


def _without_masks(table: Path, folder: Path) -> Path:
    """The benchmark's table as somebody without annotations would have it."""
    unmarked = folder / "metadata.csv"
    csv.write_csv(csv.read_csv(str(table)).drop_columns(["mask"]), str(unmarked))
    return unmarked


def _compare(name: str, run: RunFolder, truth: dict[str, bool]) -> Cell:
    """With a truth: AUROCs of the score and of what needs no intervention."""
    answers = _answers(run, truth)
    cell: Cell = {}
    known_N = np.isfinite(answers.scores["score"])  # the same images for all
    for score, score_N in answers.scores.items():
        own = score_N[known_N], answers.truth_N[known_N], answers.prediction_N[known_N]
        cell[score] = auroc(*own[:2])
        cell[f"{score} within"] = auroc_within(*own)
        if score == "score":
            cell |= {f"score {end}": value for end, value in auroc_intervals(*own).items()}
        else:
            cell[f"score over {score}"] = cell["score"] - cell[score]
    return {f"{name}: {figure}": value for figure, value in cell.items()}


def _answers(run: RunFolder, truth: dict[str, bool]) -> Answers:
    flags = pq.read_table(str(run.flags))
    reader = open_run(run.path)
    parts = [reader.part(PREDICTIONS, shard) for shard in reader.shards]
    predictions = pa.concat_tables(part for part in parts if part is not None)
    assert flags["row_id"].to_pylist() == predictions["row_id"].to_pylist()
    names = predictions["row_id"].to_pylist()
    numbers = {name: flags[name].to_numpy().astype(float) for name in ("score", "share")}
    return Answers(
        truth_N=np.array([truth[_picture(name, truth)] for name in names]),
        prediction_N=np.array(predictions["prediction"].to_pylist()),
        scores={
            "score": numbers["score"],
            "attention": 1 - numbers["share"],
            "low confidence": 1 - predictions["confidence"].to_numpy(),
        },
    )


def _picture(row_id: str, truth: dict[str, bool]) -> str:
    """Truths are kept by the picture's address, whose end is the row's key."""
    return next(iter(truth)).partition("images/")[0] + row_id[row_id.index("images/") :]


def _compare_donors(run: RunFolder, other: RunFolder) -> Cell:
    """Do other donors say the same?"""
    flags = [pq.read_table(str(own.flags))["flag"].to_pylist() for own in (run, other)]
    same = float(np.mean([first == second for first, second in zip(*flags, strict=True)]))
    return _flagged("other donors ", other) | {"other donors same flag": same}


def _estimate_quality(run: RunFolder) -> Cell:
    """Of estimated foregrounds, where the masks are known."""
    quality = open_run(run.path).summary().foreground.estimates
    assert quality is not None
    assert quality.iou is not None
    found = {
        "iou": quality.iou.value,
        "iou of at least half": quality.good.value,
        "flagged by masks": quality.flagged_annotated.value,
        "flagged by estimates": quality.flagged_estimated.value,
        "flagged alike": quality.agreement.value,
        "unsure": quality.least,
    }
    return {f"estimates {name}": value for name, value in found.items() if value is not None}


def _flagged(name: str, run: RunFolder) -> Cell:
    """How many are flagged, with what excess, and whether the page calls that a finding."""
    summary = open_run(run.path).summary()
    excess, evidence = summary.excess, summary.evidence
    undecided = summary.flags["undecided"].value
    found: dict[str, float | None] = {
        "decided": None if undecided is None else 1 - undecided,
        "accuracy": summary.accuracy.value,
        "finding": 0.0,
    }
    if evidence is not None:
        intervals = {
            "flips across": evidence.flips_across,
            "flips within": evidence.flips_within,
            "flips own": summary.figures.get("flips_own"),
            "lost beyond own": evidence.reliance_effect,
            "changed beyond own": evidence.flips_effect,
        }
        found |= {figure: own.value for figure, own in intervals.items() if own}
    if excess is not None:
        found |= {
            "flagged": summary.flagged.value,
            "excess": excess.value,
            "excess low": excess.low,
            "excess high": excess.high,
            "finding": float(excess.low > 0 and negligible_effect(summary) is None),
        }
    return {f"{name}{figure}": value for figure, value in found.items() if value is not None}


def main() -> None:
    """Named cells alone, or all figures."""
    parser = make_parser()
    specs = {spec.name: spec for spec in flag_specs(quick=False)}
    parser.add_argument(
        "--cells", nargs="+", choices=specs, metavar="NAME", help="measure these alone, in order"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cells:
        for name in arguments.cells:
            load_cell(specs[name])
    else:
        print_figures(run(arguments.quick), arguments)


if __name__ == "__main__":
    main()
