"""What moved between two runs, from their summaries and from the images that both have.

The figures are those of the two summaries, so that they can be compared by eye. The tables give
the answers for the shared images, on which the intervals depend; they are read block by block.
"""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import UserError
from tasks import schema
from tasks.compare.paired_images import keep_same_bytes, match_images
from tasks.compare.pattern_changes import compare_patterns
from tasks.intervals.change import Change, describe_change
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.intervals.paired_means import Covariance, Mean, change_of_mean
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate
from tasks.runs import open_run
from tasks.runs.reader import Run
from tasks.schema.values import quantile
from tasks.storage.parquet import read_table

log = logging.getLogger("sightline")

# The parts of a run's identity that are compared. Rows are counted; shards change no figure.
FIELDS = (
    "classes",
    "preprocessing",
    "layer",
    "target",
    "foreground",
    "polarity",
    "orientation",
    "numeric",
)

ANSWERS = ("row_id", "content_id", "prediction", "correct", "flag", "lift")


@dataclass
class SharedImages:
    """Counts over the images that both runs predicted."""

    same: int = 0  # of the same bytes; everything below is of these
    changed: int = 0  # of other bytes
    other_prediction: int = 0
    correct: Crossing = field(default_factory=Crossing)  # where labelled in both
    undecided: Crossing = field(default_factory=Crossing)
    flagged: Crossing = field(default_factory=Crossing)  # where decided in both
    by_class: dict[str, Crossing] = field(  # flagged, where both predictions are the same
        default_factory=lambda: defaultdict(Crossing)
    )
    lift: Covariance = field(default_factory=Covariance)

    @classmethod
    def of(cls, before: Run, now: Run) -> SharedImages:
        shared = cls()
        for then, today in match_images(before, now, ANSWERS):
            shared.add(then, today)
        return shared

    def add(self, before: pa.Table, now: pa.Table) -> None:
        """Add images, in the same order on both sides."""
        images = len(now)
        before, now = keep_same_bytes(before, now)
        self.same += len(now)
        self.changed += images - len(now)
        alike = _booleans(pc.equal(before["prediction"], now["prediction"]))
        self.other_prediction += int((~alike).sum())
        labelled = _booleans(pc.and_(before["correct"].is_valid(), now["correct"].is_valid()))
        right = [_booleans(side["correct"].fill_null(False))[labelled] for side in (before, now)]
        self.correct += Crossing.of(*right)
        undecided = [_booleans(pc.equal(side["flag"], "undecided")) for side in (before, now)]
        self.undecided += Crossing.of(*undecided)
        decided = pa.array(~(undecided[0] | undecided[1]))
        self._add_decided(before.filter(decided), now.filter(decided))

    def _add_decided(self, before: pa.Table, now: pa.Table) -> None:
        flags = [_booleans(pc.equal(side["flag"], "rests_on_background")) for side in (before, now)]
        self.flagged += Crossing.of(*flags)
        self.lift.add(*(side["lift"].cast(pa.float64()).to_numpy() for side in (before, now)))
        alike = _booleans(pc.equal(before["prediction"], now["prediction"]))
        predicted = now["prediction"].combine_chunks().dictionary_encode()
        names, number = predicted.dictionary.to_pylist(), predicted.indices.to_numpy()
        then, today, number = (values[alike] for values in (*flags, number))
        crossings = Crossing.of_groups(then, today, number, len(names))
        for name, crossing in zip(names, crossings, strict=True):
            self.by_class[name] += crossing


def compare_runs(now: Run, summary: schema.Summary, before: Run) -> schema.Comparison:
    """What moved since the run before; `summary` is the later run's."""
    first = before.summary()
    added, removed = _count_other_rows(before, now)
    shared = SharedImages.of(before, now)
    classes = _classes_with_enough(first, summary, shared.by_class)
    confidence = simultaneous_confidence(len(classes))
    by_class = [_rate_move("flagged", rates, name, confidence) for name, rates in classes.items()]
    return schema.Comparison(
        before=str(before.folder.path),
        created=first.created,
        differs=tuple(_differences(before, first, now, summary)),
        same=shared.same,
        changed=shared.changed,
        added=added,
        removed=removed,
        predictions_changed=schema.wilson(shared.other_prediction, shared.same),
        figures=tuple(_moves_of_all_images(first, summary, shared)),
        classes=tuple(sorted(by_class, key=lambda move: (not move.moved, -abs(move.change)))),
        confidence=confidence,
        patterns=compare_patterns(before, first.patterns, now, summary.patterns),
    )


def compare_with_reused(now: Run, summary: schema.Summary) -> schema.Comparison | None:
    """What moved since the run that rows were reused from; None where there is none to read."""
    reused = now.state.reuse
    if reused is None:
        return None
    try:
        return compare_runs(now, summary, open_run(reused))
    except (UserError, OSError) as error:  # its audit may be unfinished, or from another version
        log.warning("not compared with the previous run: %s", error)
        return None


def _count_other_rows(before: Run, now: Run) -> tuple[int, int]:
    """How many rows are only in the later catalog, and how many only in the earlier."""
    tables = (
        read_table(it.folder.catalog, ["row_id"], expected=schema.CATALOG) for it in (before, now)
    )
    old, new = (table["row_id"].combine_chunks() for table in tables)
    if new.equals(old):
        return 0, 0
    added: int = pc.index_in(new, old).null_count
    return added, len(old) - (len(new) - added)


def _booleans(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy().astype(bool)
    return values


def _moves_of_all_images(
    before: schema.Summary, now: schema.Summary, shared: SharedImages
) -> Iterator[schema.Move]:
    """The figures of all images, where both runs have them."""
    undecided = (before.flags["undecided"], now.flags["undecided"])
    rates = {
        "accuracy": Rates(before.accuracy, now.accuracy, shared.correct),
        "flagged": Rates(before.flagged, now.flagged, shared.flagged),
        "undecided": Rates(*undecided, shared.undecided),
    }
    if "none" in (before.foreground.source, now.foreground.source):
        del rates["flagged"], rates["undecided"]
    for figure, pair in rates.items():
        if pair.before.of and pair.now.of:
            yield _rate_move(figure, pair)
    if before.excess is not None and now.excess is not None:
        yield _excess_move(before, now, shared)
    then, today = _mean_lift(before), _mean_lift(now)
    if before.rule.method == now.rule.method and then is not None and today is not None:
        yield _lift_move(then, today, change_of_mean(then, today, shared.lift), shared.lift.count)


def _classes_with_enough(
    before: schema.Summary, now: schema.Summary, crossings: Mapping[str, Crossing]
) -> dict[str, Rates]:
    """Predicted classes with enough decided images in both runs."""
    first = {row.name: row.flagged for row in before.by_prediction}
    last = {row.name: row.flagged for row in now.by_prediction}
    return {
        name: Rates(first[name], last[name], crossings.get(name, Crossing()))
        for name in sorted(first.keys() & last.keys())
        if min(first[name].of, last[name].of) >= schema.ENOUGH
    }


@dataclass(frozen=True)
class _Side:
    """A figure in one of the runs, and how many images it is based on."""

    value: float
    of: int


def _move(figure: str, sides: tuple[_Side, _Side], change: Change, shared: int) -> schema.Move:
    """A figure of all images in both runs, and its change."""
    before, now = sides
    return schema.Move(
        figure=figure,
        name=None,
        before=before.value,
        now=now.value,
        change=change.value,
        low=change.low,
        high=change.high,
        of_before=before.of,
        of=now.of,
        shared=shared,
        moved=change.excludes_zero,
        sentence=describe_change(
            change, schema.FIGURES[figure].unit, "moved" if change.excludes_zero else None
        ),
    )


def _rate_move(
    figure: str, rates: Rates, name: str | None = None, confidence: float = 0.95
) -> schema.Move:
    before, now = (_Side(rate.count / rate.of, rate.of) for rate in (rates.before, rates.now))
    change = change_of_rate(rates, confidence)
    move = _move(figure, (before, now), change, rates.crossing.shared)
    return move.model_copy(update={"name": name})


def _excess_move(before: schema.Summary, now: schema.Summary, shared: SharedImages) -> schema.Move:
    """As if no image were shared: the interval is too wide rather than too narrow."""
    first, last = before.excess, now.excess
    assert first is not None
    assert last is not None
    value = last.value - first.value
    down = math.hypot(last.value - last.low, first.high - first.value)
    up = math.hypot(last.high - last.value, first.value - first.low)
    sides = _Side(first.value, before.null.of), _Side(last.value, now.null.of)
    return _move("excess", sides, Change(value, value - down, value + up), shared.flagged.shared)


def _lift_move(before: Mean, now: Mean, change: Change, shared: int) -> schema.Move:
    sides = _Side(before.value, before.count), _Side(now.value, now.count)
    return _move("mean_lift", sides, change, shared)


def _mean_lift(summary: schema.Summary) -> Mean | None:
    """The mean lift of the method that the flags use; its error is derived from its interval."""
    for row in summary.methods:
        if row.method == summary.rule.method and row.mean_lift_low is not None:
            assert row.mean_lift is not None
            error = (row.mean_lift - row.mean_lift_low) / quantile(0.95)
            return Mean(row.pointing.of, row.mean_lift, error)
    return None


def _differences(
    before: Run, first: schema.Summary, now: Run, summary: schema.Summary
) -> Iterator[schema.Difference]:
    """What other than the images may have moved a figure, the model first."""
    then, today = _describe_run(before, first), _describe_run(now, summary)
    if before.state.identity.model == now.state.identity.model:
        today["model"] = then["model"]  # to the last number: its address is all that changed
    for key in then:
        if then[key] != today[key]:
            yield schema.Difference(field=key, before=then[key], now=today[key])


def _describe_run(run: Run, summary: schema.Summary) -> dict[str, str]:
    identity = run.state.identity
    address = run.state.model_origin.get("address", summary.model.address)
    return {
        "model": f"{identity.model[:12]} of {address}",
        "data": summary.data,
        **{name: _as_text(value) for name, value in identity.as_json(*FIELDS).items()},
        "flag method": summary.rule.method,
        "version of the flag rule": str(summary.rule.version),
        "estimated foregrounds": _describe_estimates(summary),
        "false alarm rate": f"{summary.rule.false_alarm:g}",
        "donor pool": summary.evidence.digest[:12] if summary.evidence else "none",
        "sightline": summary.sightline,
        "torch": summary.torch,
    }


def _describe_estimates(summary: schema.Summary) -> str:
    estimates = summary.foreground.estimates
    if estimates is None:
        return "none"
    least = "" if estimates.calibrated else f", at least {estimates.least:g} sure"
    return f"{estimates.source} ({estimates.digest[:24]}){least}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
