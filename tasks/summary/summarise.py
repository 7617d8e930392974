"""From the parts to the flags, the duplicates and summary.json; no table is held in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.addresses import is_file
from tasks import schema
from tasks.compare.figures import interval_of_mean
from tasks.compare.image_results import read_images
from tasks.compare.since_last_run import compare_with_reused
from tasks.flags.estimate_quality import summarise_estimates
from tasks.flags.flags import write_flags
from tasks.flags.settings import FlagSettings
from tasks.flags.sure_estimates import estimates_of, least_confidence_of, sure_rows
from tasks.intervals.running_moments import Moments
from tasks.interventions.foreground_areas import LARGEST, SMALLEST
from tasks.interventions.pool_files import donor_digest
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run, join
from tasks.runs.stages import INTERVENTIONS, MAPS, PREDICTIONS, SCORES, Stage
from tasks.runs.state import Identity, RunState
from tasks.storage.files import write_text
from tasks.storage.parquet import read_footer, read_table
from tasks.summary.columns import GroupingColumns, find_grouping_columns, shorten_groups
from tasks.summary.cross_tables import COLUMNS, Answers, ColumnCounts, TableRows, cross_tables
from tasks.summary.duplicates import write_duplicates
from tasks.summary.groups import CLASS_GROUPS, Groups, Tally, class_group_of_each, find_worst_group
from tasks.summary.intervention_figures import measure_interventions


@dataclass
class _Counts:
    """Counts added up shard by shard."""

    table_rows: TableRows
    predicted: int = 0
    scored: int = 0
    area: float = 0.0
    flags: Counter[str] = field(default_factory=Counter)
    all_images: Tally = field(default_factory=Tally)
    right: Tally = field(default_factory=Tally)
    wrong: Tally = field(default_factory=Tally)
    groups: Groups = field(default_factory=Groups)
    crossed: dict[str, ColumnCounts] = field(default_factory=dict)

    def add(self, columns: dict[str, list[Any]], correct: list[bool | None], flags: _Flags) -> None:
        """Add one shard: the values of each grouping column, correctness and flags."""
        outcomes = list(zip(correct, flags.flag, flags.by_null, strict=True))
        for outcome in outcomes:
            self.all_images.add(*outcome)
            if outcome[0] is not None:
                (self.right if outcome[0] else self.wrong).add(*outcome)
        self.groups.add(columns, outcomes)
        self.flags.update(flags.flag)
        self.predicted += len(outcomes)
        self.scored += len(flags.area)
        self.area += sum(flags.area)


@dataclass(frozen=True)
class _Flags:
    """The flags of one shard, and whether the null score exceeds the threshold (None: unknown)."""

    flag: list[str]
    by_null: list[bool | None]
    area: list[float]  # of images that have one

    @classmethod
    def of(cls, table: pa.Table, threshold: float | None) -> _Flags:
        by_null: list[bool | None] = [None] * len(table)
        if threshold is not None:
            by_null = pc.greater(table["null_score"], threshold).to_pylist()
        area = [value for value in table["area"].to_pylist() if value is not None]
        return cls(table["flag"].to_pylist(), by_null, area)


def summarise(
    run_folder: RunFolder, settings: FlagSettings, cost: schema.CostSummary
) -> schema.Summary:
    """Write flags.parquet, duplicates.parquet and summary.json from the parts."""
    run = open_run(run_folder.path)
    rule, interval = write_flags(run_folder, settings)
    grouping = find_grouping_columns(run)
    counts = _count(run, rule, grouping)
    groups = counts.groups.summaries()
    identity, state = run.state.identity, run.state
    methods, least = state.methods, least_confidence_of(run)
    summary = schema.Summary(
        run=str(run_folder.path),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sightline=state.sightline,
        torch=torch.__version__,
        data=state.data_address,
        target=identity.target,
        numeric=identity.numeric,
        images=_images(counts, read_footer(run_folder.catalog).num_rows),
        foreground=schema.ForegroundSummary(
            source=_source(identity),
            polarity=identity.polarity,
            mean_area=counts.area / counts.scored if counts.scored else None,
            estimates=_estimates(run, rule),
        ),
        model=_model(state),
        rule=rule,
        accuracy=counts.all_images.accuracy,
        flags={flag: schema.wilson(counts.flags[flag], counts.predicted) for flag in schema.FLAGS},
        flagged=counts.all_images.rate,
        null=counts.all_images.null,
        excess=_excess(counts.all_images, interval),
        flagged_correct=counts.right.rate,
        flagged_incorrect=counts.wrong.rate,
        by_label=groups.get("label", ()),
        by_prediction=groups.get("prediction", ()),
        class_groups=state.class_groups,
        by_class_group=groups.get(CLASS_GROUPS, ()),
        by_column={name: shorten_groups(groups[name]) for name in grouping.names if name in groups},
        same_columns=dict(grouping.same),
        cross_tables=cross_tables(counts.crossed, counts.table_rows),
        worst_group=find_worst_group(groups, grouping.group, state.class_groups),
        smallest_group=schema.ENOUGH,
        evidence=_evidence(run, least),
        figures=_figures(run),
        methods=tuple(_summarise_method(run, method, least) for method in methods),
        failures=_failures(run, [PREDICTIONS, INTERVENTIONS, *map(MAPS.of, methods)]),
        duplicates=write_duplicates(run),
        cost=cost,
        warnings=state.warnings or (),
    )
    summary = summary.model_copy(update={"moved": compare_with_reused(run, summary)})
    write_text(run_folder.summary, summary.model_dump_json(indent=2) + "\n")
    return summary


def _excess(tally: Tally, interval: tuple[float, float] | None) -> schema.Excess | None:
    """The excess of all images, with the interval that includes the threshold's uncertainty."""
    excess = tally.excess
    if excess is None or interval is None:
        return None
    low, high = interval
    return excess.model_copy(
        update={"low": min(low, excess.value), "high": max(high, excess.value)}
    )


def _source(identity: Identity) -> str:
    """The source of the foregrounds: the annotations' kind, or `estimated` without annotations."""
    only_estimates = identity.foreground == "none" and identity.has_foreground
    return "estimated" if only_estimates else identity.foreground


def _estimates(run: Run, rule: schema.FlagRule) -> schema.EstimateSummary | None:
    estimates = estimates_of(run)
    return None if estimates is None else summarise_estimates(run, estimates, rule)


def _evidence(run: Run, least: float) -> schema.EvidenceSummary | None:
    """What the interventions show over all images; None where there were none."""
    if not is_file(run.folder.donors):
        return None
    images, figures = measure_interventions(run, least)
    donors = read_table(run.folder.donors, ["label"])
    return schema.EvidenceSummary(
        images=images,
        donors=len(donors),
        digest=donor_digest(run.folder) or "",
        labelled=donors["label"].null_count < len(donors),
        **figures,
    )


def _figures(run: Run) -> dict[str, schema.Interval]:
    """The figures of FIGURES that no other field of the summary holds: means over images."""
    columns = {
        name: figure.column
        for name, figure in schema.figures_of_images().items()
        if figure.in_summary and figure.column is not None
    }
    if not columns:
        return {}
    tables = pa.concat_tables(read_images(run, [*columns.values()]), promote_options="default")
    values = {
        name: tables[column].cast(pa.float64()).to_numpy() for name, column in columns.items()
    }
    return {
        name: _interval(schema.FIGURES[name], known_n)
        for name, value_N in values.items()
        if len(known_n := value_N[np.isfinite(value_N)])
    }


def _interval(figure: schema.Figure, value_n: np.ndarray) -> schema.Interval:
    mean = interval_of_mean(figure, value_n)
    return schema.Interval(value=mean.value, low=mean.low, high=mean.high, of=len(value_n))


def _images(counts: _Counts, total: int) -> schema.ImageCounts:
    return schema.ImageCounts(
        total=total,
        predicted=counts.predicted,
        failed=total - counts.predicted,
        labelled=counts.all_images.labelled,
        scored=counts.scored,
    )


def _model(state: RunState) -> schema.ModelSummary:
    identity = state.identity
    return schema.ModelSummary(
        address=state.model_address,
        digest=identity.model,
        layer=identity.layer,
        classes=state.classes,
        preprocessing=identity.preprocessing.model_dump(mode="json"),
    )


def _count(run: Run, rule: schema.FlagRule, grouping: GroupingColumns) -> _Counts:
    class_groups = run.state.class_groups
    table_rows = TableRows.of(run.state.classes, class_groups)
    crossed = {name: ColumnCounts(len(table_rows.names)) for name in grouping.few[:COLUMNS]}
    counts = _Counts(table_rows, crossed=crossed)
    flags = run.folder.open_flags()
    names = ["row_id", *grouping.names]
    group = 0
    for shard in run.shards:
        predictions = run.part(PREDICTIONS, shard, ["row_id", "label", "prediction", "correct"])
        if predictions is None:
            continue
        rows = run.folder.open_catalog().read_row_group(shard, columns=names)
        columns = join(predictions, rows).to_pydict()
        correct = columns.pop("correct")
        del columns["row_id"]
        answers = Answers.of(columns["label"], columns["prediction"], table_rows)
        for name, column in counts.crossed.items():
            column.add(columns[name], answers)
        if class_groups is not None:
            columns[CLASS_GROUPS] = class_group_of_each(
                class_groups, columns["label"], columns["prediction"]
            )
        counts.add(columns, correct, _Flags.of(flags.read_row_group(group), rule.threshold))
        group += 1
    return counts


def _summarise_method(run: Run, method: str, least: float) -> schema.MethodSummary:
    """Over foregrounds that are sure, neither too small nor too large."""
    maps = sum(read_footer(path).num_rows for path in run.folder.parts(MAPS.of(method)))
    lifts, shares, centred, pointing = Moments(), Moments(), Moments(), 0
    columns = ["row_id", "area", "share", "lift", "pointing", "centred_lift"]
    decidable = (pc.field("area") >= SMALLEST) & (pc.field("area") <= LARGEST)
    for shard in run.shards:
        scores = run.part(SCORES.of(method), shard, columns)
        if scores is not None:  # the lift of a tiny foreground is unbounded
            scores = scores.filter(decidable & pc.field("share").is_valid())
            scores = sure_rows(run, shard, scores, least)
            lifts.add(scores["lift"].to_numpy())
            shares.add(scores["share"].to_numpy())
            pointing += sum(scores["pointing"].to_pylist())
            centred.add(scores["centred_lift"].drop_null().to_numpy())
    low, high = lifts.interval()
    return schema.MethodSummary(
        method=method,
        maps=maps,
        mean_share=shares.mean,
        mean_lift=lifts.mean,
        mean_lift_low=low,
        mean_lift_high=high,
        mean_centred_lift=centred.mean,
        pointing=schema.wilson(pointing, lifts.count),
        lift=lifts.histogram(),
    )


def _failures(run: Run, stages: Sequence[Stage]) -> tuple[schema.FailureSummary, ...]:
    """Failures by stage and kind, most first; the message is that of the first row."""
    first: dict[tuple[str, str, str], dict[str, str]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for folder in filter(None, (stage.failures for stage in stages)):
        for path in run.folder.parts(folder):
            for row in read_table(path).to_pylist():
                key = (row["stage"], row["kind"], row["remedy"])
                first.setdefault(key, row)
                counts[key] += 1
    return tuple(
        schema.FailureSummary(
            stage=key[0],
            kind=key[1],
            remedy=key[2],
            message=first[key]["message"],
            row_id=first[key]["row_id"],
            count=count,
        )
        for key, count in counts.most_common()
    )
