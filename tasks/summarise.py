"""From the parts to the flags, the duplicates and summary.json: no table is held whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from tasks import schema
from tasks.compare import compare_with_reused
from tasks.duplicates import write_duplicates
from tasks.flag import LARGEST, SMALLEST, FlagSettings, flag_rows, rule_of
from tasks.moments import Moments
from tasks.places import open_parquet, read_footer, read_table, write_text, writing
from tasks.reader import Run, open_run
from tasks.store import RunFolder


@dataclass
class _Counts:
    """What is added up while the shards go by. Names end in what they are counted by."""

    predicted: int = 0
    labelled: int = 0
    correct: int = 0
    scored: int = 0
    area: float = 0.0
    flags: Counter[str] = field(default_factory=Counter)
    flags_by_correct: Counter[tuple[bool, str]] = field(default_factory=Counter)
    correct_by_label: Counter[tuple[str, bool]] = field(default_factory=Counter)
    correct_by_prediction: Counter[tuple[str, bool]] = field(default_factory=Counter)
    flags_by_label: Counter[tuple[str, str]] = field(default_factory=Counter)
    flags_by_prediction: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, predictions: dict[str, list[Any]], flags: pa.Table) -> None:
        """Add one shard: predictions and flags in the same order."""
        found = flags["flag"].to_pylist()
        columns = (predictions["label"], predictions["prediction"], predictions["correct"])
        for label, prediction, correct, flag in zip(*columns, found, strict=True):
            self.flags[flag] += 1
            self.flags_by_prediction[prediction, flag] += 1
            if label is not None:
                self.correct_by_label[label, correct] += 1
                self.correct_by_prediction[prediction, correct] += 1
                self.flags_by_label[label, flag] += 1
                self.flags_by_correct[correct, flag] += 1
        self.predicted += len(found)
        self.labelled += sum(label is not None for label in columns[0])
        self.correct += sum(correct is True for correct in columns[2])
        areas = [area for area in flags["area"].to_pylist() if area is not None]
        self.scored += len(areas)
        self.area += sum(areas)


def write_flags(run_folder: RunFolder, settings: FlagSettings) -> None:
    """Write flags.parquet: a row for each prediction, a row group a shard."""
    run = open_run(run_folder.path)
    with (
        writing(run_folder.flags) as file,
        pq.ParquetWriter(file, schema.FLAGS_TABLE, compression="zstd") as writer,
    ):
        for shard in run.shards:
            predictions = run.part("predictions", shard, ["row_id"])
            if predictions is None:
                continue
            scores = run.part(f"scores/{settings.method}", shard)
            by_row = {row["row_id"]: row for row in scores.to_pylist()} if scores else {}
            table = flag_rows(predictions["row_id"].to_pylist(), by_row, settings)
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def summarise(
    run_folder: RunFolder, settings: FlagSettings, cost: schema.CostSummary
) -> schema.Summary:
    """Write summary.json from the parts and flags.parquet, and return it."""
    run = open_run(run_folder.path)
    counts = _count(run)
    identity, state = run.state["identity"], run.state
    asked = state["settings"]["attribution"]["methods"]
    source: schema.ForegroundSource = identity["foreground"]
    summary = schema.Summary(
        run=str(run_folder.path),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sightline=state["sightline"],
        torch=torch.__version__,
        data=state["settings"]["data"]["path"],
        target=identity["target"],
        numeric=identity["numeric"],
        images=_images(counts, read_footer(run_folder.catalog).num_rows),
        foreground=schema.ForegroundSummary(
            source=source,
            polarity=identity["polarity"],
            mean_area=counts.area / counts.scored if counts.scored else None,
        ),
        model=_model(state),
        rule=rule_of(settings, source, identity["target"]),
        accuracy=schema.wilson(counts.correct, counts.labelled),
        flags={flag: schema.wilson(counts.flags[flag], counts.predicted) for flag in schema.FLAGS},
        flagged=_flagged(counts.flags),
        flagged_correct=_flagged(_of(counts.flags_by_correct, True)),
        flagged_incorrect=_flagged(_of(counts.flags_by_correct, False)),
        by_label=_by_class(counts.correct_by_label, counts.flags_by_label),
        by_prediction=_by_class(counts.correct_by_prediction, counts.flags_by_prediction),
        methods=tuple(_method(run, method) for method in asked),
        failures=_failures(run, ("predictions", *asked)),
        duplicates=write_duplicates(run),
        cost=cost,
    )
    summary = summary.model_copy(update={"moved": compare_with_reused(run, summary)})
    write_text(run_folder.summary, summary.model_dump_json(indent=2) + "\n")
    return summary


def _images(counts: _Counts, total: int) -> schema.ImageCounts:
    return schema.ImageCounts(
        total=total,
        predicted=counts.predicted,
        failed=total - counts.predicted,
        labelled=counts.labelled,
        scored=counts.scored,
    )


def _model(state: dict[str, Any]) -> schema.ModelSummary:
    identity = state["identity"]
    return schema.ModelSummary(
        address=state["settings"]["model"]["address"],
        digest=identity["model"],
        layer=identity["layer"],
        classes=tuple(state["classes"]),
        preprocessing=identity["preprocessing"],
    )


def _count(run: Run) -> _Counts:
    counts = _Counts()
    flags = open_parquet(run.folder.flags)
    group = 0
    for shard in run.shards:
        predictions = run.part("predictions", shard, ["label", "prediction", "correct"])
        if predictions is None:
            continue
        counts.add(predictions.to_pydict(), flags.read_row_group(group))
        group += 1
    return counts


def _of(counter: Counter[tuple[Any, str]], key: object) -> Counter[str]:
    """The flags of one class, or of the correct ones."""
    return Counter({flag: count for (name, flag), count in counter.items() if name == key})


def _flagged(flags: Counter[str]) -> schema.Rate:
    """rests_on_background among the images that could be decided."""
    return schema.wilson(flags["rests_on_background"], flags.total() - flags["undecided"])


def _by_class(
    correct: Counter[tuple[str, bool]], flags: Counter[tuple[str, str]]
) -> tuple[schema.ClassSummary, ...]:
    return tuple(
        schema.ClassSummary(
            name=name,
            accuracy=schema.wilson(correct[name, True], correct[name, True] + correct[name, False]),
            flagged=_flagged(_of(flags, name)),
        )
        for name in sorted({name for name, _ in flags})
    )


def _method(run: Run, method: str) -> schema.MethodSummary:
    maps = sum(read_footer(path).num_rows for path in run.folder.parts(f"maps/{method}"))
    lifts, shares, pointing = Moments(), Moments(), 0
    columns = ["area", "share", "lift", "pointing"]
    decidable = (pc.field("area") >= SMALLEST) & (pc.field("area") <= LARGEST)
    for shard in run.shards:
        scores = run.part(f"scores/{method}", shard, columns)
        if scores is not None:  # a tiny foreground has a lift without bounds
            scores = scores.drop_null().filter(decidable)
            lifts.add(scores["lift"].to_numpy())
            shares.add(scores["share"].to_numpy())
            pointing += sum(scores["pointing"].to_pylist())
    low, high = lifts.interval()
    return schema.MethodSummary(
        method=method,
        maps=maps,
        mean_share=shares.mean,
        mean_lift=lifts.mean,
        mean_lift_low=low,
        mean_lift_high=high,
        pointing=schema.wilson(pointing, lifts.count),
        lift=lifts.histogram(),
    )


def _failures(run: Run, folders: Sequence[str]) -> tuple[schema.FailureSummary, ...]:
    """Failures by stage and kind, most first; the message is that of the first row."""
    first: dict[tuple[str, str, str], dict[str, str]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for folder in folders:
        for path in run.folder.parts(f"failures/{folder}"):
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
