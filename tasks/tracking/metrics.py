"""The figures of a summary as MLflow metrics."""

from __future__ import annotations

import re

from tasks import schema

REFUSED = re.compile(r"[^\w. :-]")  # by MLflow in a name: the equals signs of arguments


def metrics_of(summary: schema.Summary) -> dict[str, float]:
    """Figures of an audit and of its methods; those without a value are left out."""
    figures: dict[str, float | None] = {
        "images": summary.images.total,
        "images_failed": summary.images.failed,
        "images_per_second": summary.cost.images_per_second,
    }
    for step in summary.cost.steps:
        costs = step.model_dump(exclude={"name"})
        figures |= {f"step.{step.name}.{key}": value for key, value in costs.items()}
    if summary.patterns is not None:
        figures["patterns.confirmed"] = len(summary.patterns.confirmed)
    for name, figure in summary.by_name().items():
        figures |= _with_interval(name, figure)
    for method in summary.methods:
        name = metric_name(method.method)
        figures[f"{name}.mean_centred_lift"] = method.mean_centred_lift
        figures[f"{name}.mean_lift"] = method.mean_lift
        figures[f"{name}.mean_share"] = method.mean_share
        figures[f"{name}.pointing"] = method.pointing.value
    if summary.moved is not None:
        figures["moved.predictions"] = summary.moved.predictions_changed.value
        for move in summary.moved.figures:
            name = f"moved.{move.figure}"
            figures |= {name: move.change, f"{name}_low": move.low, f"{name}_high": move.high}
    return {name: float(value) for name, value in figures.items() if value is not None}


def metric_name(method: str) -> str:
    """A method's name as MLflow takes it: `rise:masks-200`."""
    return REFUSED.sub("-", method)


def _with_interval(
    name: str, figure: schema.Rate | schema.Interval | schema.Excess
) -> dict[str, float | None]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def metrics_of_methods(summary: schema.MethodsSummary) -> dict[str, float]:
    """Figures and costs of every method; those without a value are left out."""
    figures: dict[str, float | None] = {"images": summary.images, "seconds": summary.seconds}
    for row in summary.methods:
        name = metric_name(row.method)
        costs = row.cost.model_dump() | {"missing": row.missing, "flat": row.flat}
        figures |= {f"{name}.{key}": value for key, value in costs.items()}
        for key, figure in row.figures.items():
            if figure is not None:
                figures |= _with_interval(f"{name}.{key}", figure)
    return {name: float(value) for name, value in figures.items() if value is not None}
