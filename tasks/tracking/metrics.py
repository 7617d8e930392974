"""The figures of a summary as MLflow metrics."""

from __future__ import annotations

from tasks import schema


def metrics_of(summary: schema.Summary) -> dict[str, float]:
    """The figures of a summary as MLflow metrics; absent where there is no value."""
    rates = {
        "accuracy": summary.accuracy,
        "flagged": summary.flagged,
        "null": summary.null,
        "flagged_correct": summary.flagged_correct,
        "flagged_incorrect": summary.flagged_incorrect,
        "undecided": summary.flags["undecided"],
    }
    figures: dict[str, float | None] = {
        "images": summary.images.total,
        "images_failed": summary.images.failed,
        "images_per_second": summary.cost.images_per_second,
    }
    for name, rate in rates.items():
        figures |= {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
    figures |= _excess(summary) | _evidence(summary)
    for method in summary.methods:
        figures[f"{method.method}.mean_centred_lift"] = method.mean_centred_lift
        figures[f"{method.method}.mean_lift"] = method.mean_lift
        figures[f"{method.method}.mean_share"] = method.mean_share
        figures[f"{method.method}.pointing"] = method.pointing.value
    if summary.moved is not None:
        figures["moved.predictions"] = summary.moved.predictions_changed.value
        for move in summary.moved.figures:
            name = f"moved.{move.figure}"
            figures |= {name: move.change, f"{name}_low": move.low, f"{name}_high": move.high}
    return {name: float(value) for name, value in figures.items() if value is not None}


def _excess(summary: schema.Summary) -> dict[str, float | None]:
    excess = summary.excess
    if excess is None:
        return {}
    return {"excess": excess.value, "excess_low": excess.low, "excess_high": excess.high}


def _evidence(summary: schema.Summary) -> dict[str, float | None]:
    """Every figure of the interventions, and the quality of estimated foregrounds."""
    evidence, estimates = summary.evidence, summary.foreground.estimates
    found = {} if evidence is None else dict(evidence)
    if evidence is not None and evidence.worst_group is not None:
        found["worst_group"] = evidence.worst_group.accuracy
    if estimates is not None:
        found["iou"] = estimates.iou
    return {
        f"evidence.{name}{end}": value
        for name, figure in found.items()
        if isinstance(figure, schema.Interval)
        for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high))
    }


def metrics_of_methods(summary: schema.MethodsSummary) -> dict[str, float]:
    """Every figure of every method, and what it costs; absent where there is no value."""
    figures: dict[str, float | None] = {"images": summary.images, "seconds": summary.seconds}
    for row in summary.methods:
        name = row.method.replace("=", "-")  # MLflow takes no equals signs
        costs = row.cost.model_dump() | {"missing": row.missing, "flat": row.flat}
        figures |= {f"{name}.{key}": value for key, value in costs.items()}
        for key, figure in row.figures.items():
            if figure is not None:
                ends = (("", figure.value), ("_low", figure.low), ("_high", figure.high))
                figures |= {f"{name}.{key}{end}": value for end, value in ends}
    return {name: float(value) for name, value in figures.items() if value is not None}
