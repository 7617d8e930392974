"""Do flags find the predictions that rest on the background, and no others?

    python -m benchmarks.audit.flags [--quick] [--json] [--cells NAME ...]

Cell by cell, each kept in the machine's temporary folder, so that a stopped run goes on. Score and
weights were chosen on the first look with seeds of 100 and more; nothing of that is judged here.
Shapes: N images.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyarrow import csv

from benchmarks.audit.known_classifiers import Known, World, known
from benchmarks.measure import Figure, make_parser, print_figures
from models import interventions
from models.classifier.architectures import ModelSettings
from tasks import schema
from tasks.attribution.job import AttributionSettings, AuditRequest, count_shards, identity_of
from tasks.attribution.shard import attribute_shard
from tasks.catalog.catalog import DataSettings, make_catalog
from tasks.execution.cluster import ComputeSettings, move_to_device
from tasks.execution.prepare import keep_donors
from tasks.execution.run_shards import job_of
from tasks.flags import background_score
from tasks.flags.flags import FlagSettings
from tasks.interventions import intervene
from tasks.interventions.donors import InterventionSettings
from tasks.pictures import segmentation
from tasks.pictures.estimator import ForegroundSettings
from tasks.runs.folder import RunFolder
from tasks.runs.reader import open_run
from tasks.schema import CostSummary
from tasks.summary.summarise import summarise

VERSION = 1  # of what a cell measures
METHOD = "grad_cam_pp"
SEEDS = (1, 2, 3)
MIX = 1.0
DRAWS = 500  # of the bootstrap
COLUMNS = ("flag", "score", "null_score", "share", "drop")

Cell = dict[str, float]


@dataclass(frozen=True)
class Answers:
    """What one audit says of N images, and what is true of them."""

    truth_N: np.ndarray
    prediction_N: np.ndarray
    scores: dict[str, np.ndarray]  # by name, the larger the more on the background
    decided_N: np.ndarray


def run(quick: bool) -> list[Figure]:
    """Every cell that is not there is measured first."""
    worlds = _worlds(quick)
    cells = {world: measured(world) for world in worlds}
    return _figures(cells)


def measured(world: World) -> Cell:
    """The figures of one world, from the machine's temporary folder or measured now."""
    versions = (
        VERSION,
        background_score.VERSION,
        intervene.VERSION,
        interventions.VERSION,
        segmentation.VERSION,
    )
    folder = "-".join(map(str, ("sightline-evidence", *versions)))
    kept = Path(tempfile.gettempdir()) / folder / f"{world.name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    sys.stderr.write(f"evidence: {world.name}\n")
    cell = _measure(world)
    kept.parent.mkdir(exist_ok=True)
    kept.with_suffix(".tmp").write_text(json.dumps(cell, indent=1))
    kept.with_suffix(".tmp").replace(kept)
    return cell


def auroc(score_N: np.ndarray, truth_N: np.ndarray) -> float:
    """How often a true image scores above one that is not; ties count half. NaN for one kind."""
    order = np.argsort(score_N, kind="stable")
    _, inverse, counts = np.unique(score_N[order], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank_N = np.empty(len(score_N))
    rank_N[order] = (last - (counts - 1) / 2)[inverse]
    positive, negative = int(truth_N.sum()), int((~truth_N).sum())
    if not positive or not negative:
        return float("nan")
    return float((rank_N[truth_N].sum() - positive * (positive + 1) / 2) / positive / negative)


def auroc_within(score_N: np.ndarray, truth_N: np.ndarray, group_N: np.ndarray) -> float:
    """The same among images of one predicted class, weighted by their pairs."""
    found, pairs = [], []
    for group in np.unique(group_N):
        own_N = group_N == group
        count = int(truth_N[own_N].sum()) * int((~truth_N[own_N]).sum())
        if count:
            found.append(auroc(score_N[own_N], truth_N[own_N]))
            pairs.append(count)
    return float(np.average(found, weights=pairs)) if pairs else float("nan")


def _worlds(quick: bool) -> list[World]:
    if quick:
        return [World("first", "small", 0.95, 1)]
    plain = [(strength, seed) for strength in (0.9, 0.25) for seed in SEEDS]
    plain += [(0.95, 1), (0.8, 1), (0.5, 1)]
    looks = ("first", "second")
    worlds = [World(look, "small", strength, seed) for look in looks for strength, seed in plain]
    worlds += [World(look, "default", 0.95, 1) for look in looks]
    return worlds + [World(look, "small", 0.25, 1, MIX) for look in looks]


def _measure(world: World) -> Cell:
    """Audits with masks and without; on the first seed also with other donors, and with both."""
    truths = known(world)
    by_estimates = ForegroundSettings(source="estimate")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        masks = _audit(truths, folder / "masks")
        unmarked = _without_masks(truths.table, folder)
        estimated = _audit(truths, folder / "estimates", by=by_estimates, table=unmarked)
        cell = _judged("masks", masks, truths.flips) | _judged("estimates", estimated, truths.flips)
        cell |= _excess("", masks) | _excess("estimates ", estimated)
        if truths.carried is not None:
            cell |= _judged("carried", masks, truths.carried)
        if world.seed == SEEDS[0]:
            other = InterventionSettings(donor_seed=1)
            cell |= _again(masks, _audit(truths, folder / "again", other))
            cell |= _quality(_audit(truths, folder / "both", by=by_estimates))
    cell["prevalence"] = float(np.mean(list(truths.flips.values())))
    return cell | {"truth flips within": truths.flips_within}


def _audit(
    truths: Known,
    folder: Path,
    interventions: InterventionSettings = InterventionSettings(),
    by: ForegroundSettings = ForegroundSettings(),
    table: Path | None = None,
) -> RunFolder:
    """The stages of an audit in this process, of a classifier that is in memory."""
    data = DataSettings(
        path=str(table or truths.table), images=str(truths.table.parent), split="test"
    )
    asked = AuditRequest(data, AttributionSettings(methods=(METHOD,)), interventions, by)
    classifier, run = truths.classifier, RunFolder.at(str(folder))
    catalog = make_catalog(data, classifier.classes)
    identity = identity_of(catalog, classifier, asked)
    model = ModelSettings(address="generated").model_dump()
    settings = asked.sections() | {"model": model}
    run.update_state(
        schema_version=schema.VERSION,
        identity=identity,
        settings=settings,
        model=model,
        classes=classifier.classes,
        sightline=version("sightline"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(catalog, str(run.catalog), row_group_size=256)
    keep_donors(run, asked)
    move_to_device(classifier, "cpu", asked.attribution.memory_format)
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


def _judged(name: str, run: RunFolder, truth: dict[str, bool]) -> Cell:
    """AUROCs of the score and of what needs no intervention, and what the flags do."""
    answers = _answers(run, truth)
    cell: Cell = {"decided": float(answers.decided_N.mean())}
    known_N = np.isfinite(answers.scores["score"])  # the same images for all
    for score, score_N in answers.scores.items():
        own = score_N[known_N], answers.truth_N[known_N], answers.prediction_N[known_N]
        cell[f"{score}"] = auroc(*own[:2])
        cell[f"{score} within"] = auroc_within(*own)
        if score != "score":
            cell[f"score over {score}"] = cell["score"] - cell[score]
        if score == "score":
            cell |= {f"score {end}": value for end, value in _interval(*own).items()}
    return {f"{name}: {figure}": value for figure, value in cell.items()}


def _interval(score_N: np.ndarray, truth_N: np.ndarray, group_N: np.ndarray) -> Cell:
    """95% bootstrap intervals over images; none where all images are of one kind."""
    if truth_N.all() or not truth_N.any():
        return {}
    generator = np.random.default_rng(0)
    drawn = [generator.integers(len(score_N), size=len(score_N)) for _ in range(DRAWS)]
    overall = [auroc(score_N[row_N], truth_N[row_N]) for row_N in drawn]
    within = [auroc_within(score_N[row_N], truth_N[row_N], group_N[row_N]) for row_N in drawn]
    low, high = np.nanquantile(overall, [0.025, 0.975])
    low_within, high_within = np.nanquantile(within, [0.025, 0.975])
    return {"low": low, "high": high, "within low": low_within, "within high": high_within}


def _answers(run: RunFolder, truth: dict[str, bool]) -> Answers:
    flags = pq.read_table(str(run.flags))
    reader = open_run(run.path)
    parts = [reader.part("predictions", shard) for shard in reader.shards]
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
        decided_N=np.array(flags["flag"].to_pylist()) != "undecided",
    )


def _picture(row_id: str, truth: dict[str, bool]) -> str:
    """Truths are kept by the picture's address, whose end is the row's key."""
    return next(iter(truth)).partition("images/")[0] + row_id[row_id.index("images/") :]


def _again(run: RunFolder, again: RunFolder) -> Cell:
    """Do other donors say the same?"""
    flags = [pq.read_table(str(own.flags))["flag"].to_pylist() for own in (run, again)]
    same = float(np.mean([one == other for one, other in zip(*flags, strict=True)]))
    return _excess("other donors ", again) | {"other donors same flag": same}


def _quality(run: RunFolder) -> Cell:
    """Of estimates, where the masks are known."""
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


def _excess(name: str, run: RunFolder) -> Cell:
    summary = open_run(run.path).summary()
    if summary.excess is None or summary.evidence is None:
        return {}
    across, within = summary.evidence.flips_across, summary.evidence.flips_within
    found = {
        "flagged": summary.flagged.value,
        "excess": summary.excess.value,
        "excess low": summary.excess.low,
        "excess high": summary.excess.high,
        "flips across": across.value if across else None,
        "flips within": within.value if within else None,
    }
    return {f"{name}{figure}": value for figure, value in found.items() if value is not None}


def _figures(cells: dict[World, Cell]) -> list[Figure]:
    figures = []
    families = sorted({(w.look, w.size, w.strength, w.mix or 0.0) for w in cells})
    for look, size, strength, mix in families:
        own = [
            cell
            for world, cell in cells.items()
            if (world.look, world.size, world.strength, world.mix or 0.0)
            == (look, size, strength, mix)
        ]
        composed = f", composed with weight {mix:g}" if mix else ""
        figures += _family(f"{look} look, {size} objects, strength {strength}{composed}", own)
    return figures


def _family(name: str, cells: Sequence[Cell]) -> list[Figure]:
    """All figures of some seeds: their mean, the lowest and the highest."""
    goals = _goals(name)
    found = []
    for figure in cells[0]:
        values = [cell[figure] for cell in cells if np.isfinite(cell.get(figure, math.nan))]
        if not values:
            continue
        goal = goals.get(figure)
        mean = float(np.mean(values))
        judged = values if figure == "flagged" else [mean]  # false alarms: on every seed
        holds = None if goal is None else all(goal[0] <= value <= goal[1] for value in judged)
        told = "" if goal is None else f"{goal[0]:g} to {goal[1]:g}"
        found.append(Figure(f"{name}: {figure}", mean, min(values), max(values), told, holds))
    return found


def _goals(name: str) -> dict[str, tuple[float, float]]:
    if "composed" in name:
        return {}
    if "small" in name and any(strength in name for strength in ("0.95", "0.9")):
        return {
            "masks: score": (0.95, 1.0),
            "masks: score within": (0.92, 1.0),
            "estimates: score": (0.88, 1.0),
            "estimates: score within": (0.84, 1.0),
        }
    if "strength 0.25" in name:
        return {"flagged": (0.02, 0.08), "estimates flagged": (0.02, 0.08)}
    rivals = ("attention", "low confidence")
    return {f"masks: score over {rival}": (0.05, 1.0) for rival in rivals}


def main() -> None:
    """Named cells alone, or all figures."""
    parser = make_parser()
    parser.add_argument("--cells", nargs="+", help="measure these alone: look-size-strength-seed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cells:
        for world in _worlds(False):
            if world.name in arguments.cells:
                measured(world)
    else:
        print_figures(run(arguments.quick), arguments)


if __name__ == "__main__":
    main()
