"""What moved between two runs: from their summaries, and from the images that both have.

The figures are those of the summaries, so that they can be read beside each other; the tables are
only asked how the shared images answered then and now, on which the intervals depend.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.errors import UserError
from tasks import schema
from tasks.compare.match import Shared, match_images, other_rows
from tasks.intervals.change import PLAIN, POINTS, Change, describe_change
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.intervals.paired_means import Mean, change_of_mean
from tasks.intervals.paired_rates import Crossing, Rates, change_of_rate
from tasks.runs.reader import Run, open_run
from tasks.schema.figures import quantile

log = logging.getLogger("sightline")

# Of a run's identity. Its rows are counted instead, its shards change no figure.
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


def compare_runs(now: Run, summary: schema.Summary, before: Run) -> schema.Comparison:
    """What moved since the run before; `summary` is the later run's."""
    first = before.summary()
    classes = sorted({*first.model.classes, *summary.model.classes})
    added, removed = other_rows(before, now)
    shared = match_images(before, now, classes)
    looked_at = _classes_with_enough(
        first, summary, dict(zip(classes, shared.by_class, strict=True))
    )
    confidence = simultaneous_confidence(len(looked_at))
    by_class = [_rate_move("flagged", looked_at[name], name, confidence) for name in looked_at]
    return schema.Comparison(
        before=str(before.folder.path),
        created=first.created,
        differs=tuple(_differences(before, first, now, summary)),
        same=shared.same,
        changed=shared.changed,
        added=added,
        removed=removed,
        predictions_changed=schema.wilson(shared.other_prediction, shared.same),
        figures=tuple(_headline(first, summary, shared)),
        classes=tuple(sorted(by_class, key=lambda move: (not move.moved, -abs(move.change)))),
        confidence=confidence,
    )


def compare_with_reused(now: Run, summary: schema.Summary) -> schema.Comparison | None:
    """What moved since the run that rows were taken from; None where there is none to read."""
    reused = now.state.reuse
    if reused is None:
        return None
    try:
        return compare_runs(now, summary, open_run(reused))
    except (UserError, OSError) as error:  # its audit may be unfinished, or from another version
        log.warning("not compared with the run before: %s", error)
        return None


def _headline(before: schema.Summary, now: schema.Summary, shared: Shared) -> Iterator[schema.Move]:
    """The figures of all images that both runs have."""
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
    """Predicted classes whose flagged rate stands on enough decided images in both runs."""
    first = {row.name: row.flagged for row in before.by_prediction}
    last = {row.name: row.flagged for row in now.by_prediction}
    return {
        name: Rates(first[name], last[name], crossings[name])
        for name in sorted(first.keys() & last.keys())
        if min(first[name].of, last[name].of) >= schema.ENOUGH
    }


@dataclass(frozen=True)
class _Side:
    """A figure in one of the runs, and the images that it stands on."""

    value: float
    of: int


def _move(figure: str, sides: tuple[_Side, _Side], change: Change, shared: int) -> schema.Move:
    """A figure of all images in both runs; rates are told in points, the lift as it is."""
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
            change,
            PLAIN if figure == "mean_lift" else POINTS,
            "moved" if change.excludes_zero else None,
        ),
    )


def _rate_move(
    figure: str, rates: Rates, name: str | None = None, confidence: float = 0.95
) -> schema.Move:
    before, now = (_Side(rate.count / rate.of, rate.of) for rate in (rates.before, rates.now))
    change = change_of_rate(rates, confidence)
    move = _move(figure, (before, now), change, rates.crossing.shared)
    return move.model_copy(update={"name": name})


def _excess_move(before: schema.Summary, now: schema.Summary, shared: Shared) -> schema.Move:
    """As if no image were shared, which makes the interval too wide rather than too narrow."""
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
    """Of the method whose maps decide; its error is read from its interval."""
    for row in summary.methods:
        if row.method == summary.rule.method and row.mean_lift_low is not None:
            assert row.mean_lift is not None
            error = (row.mean_lift - row.mean_lift_low) / quantile(0.95)
            return Mean(row.pointing.of, row.mean_lift, error)
    return None


def _differences(
    before: Run, first: schema.Summary, now: Run, summary: schema.Summary
) -> Iterator[schema.Difference]:
    """What else than the images may be why a figure moved, the model first."""
    then, today = _described(before, first), _described(now, summary)
    for key in then:
        if then[key] != today[key]:
            yield schema.Difference(field=key, before=then[key], now=today[key])


def _described(run: Run, summary: schema.Summary) -> dict[str, str]:
    identity = run.state.identity
    address = run.state.model_origin.get("address", summary.model.address)
    return {
        "model": f"{identity.model[:12]} of {address}",
        "data": summary.data,
        **{name: _plain(value) for name, value in identity.as_json(*FIELDS).items()},
        "flag method": summary.rule.method,
        "estimated foregrounds": _estimator(summary),
        "false alarm rate": f"{summary.rule.false_alarm:g}",
        "donor pool": summary.evidence.digest[:12] if summary.evidence else "none",
        "sightline": summary.sightline,
        "torch": summary.torch,
    }


def _estimator(summary: schema.Summary) -> str:
    estimates = summary.foreground.estimates
    return "none" if estimates is None else f"{estimates.source} ({estimates.digest[:24]})"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
