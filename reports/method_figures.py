"""The figures of a comparison of methods, grouped by the question that they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.schema.figures import (
    COST,
    FAITHFULNESS,
    FIGURES,
    LOCALISATION,
    RELIANCE,
    SANITY,
    Figure,
)

PASSES = ("forwards", "backwards")


@dataclass(frozen=True)
class Group:
    """Figures that answer one question, and the caveat of their answer."""

    title: str
    question: str
    caveat: str
    figures: tuple[Figure, ...]


def _figures(names: Sequence[str]) -> tuple[Figure, ...]:
    return tuple(FIGURES[name] for name in names)


GROUPS = (
    Group(
        "Localisation",
        "Is the heat on the object?",
        "These figures assume that the model looks at the object. An honest map of a model that "
        "goes by the background gets low figures here.",
        _figures(LOCALISATION),
    ),
    Group(
        "Faithfulness",
        "Does the prediction depend on the hot pixels?",
        "Pixels are replaced to find out, and a picture changed like this is unlike any that the "
        "model knows, which accounts for part of the loss. Disagreement between the figures from "
        "a blur and from the mean colour is a sign of that.",
        _figures(FAITHFULNESS),
    ),
    Group(
        "Sanity",
        "Does the map depend on this model at all?",
        "A map that changes may still be wrong; one that does not change cannot be about what the "
        "model learned. Rank correlations, from −1 to 1.",
        _figures(SANITY),
    ),
    Group(
        "Reliance",
        "Does heat on the background show that the prediction needs it?",
        "Only pictures whose background could be changed count, and the changed ones are cut and "
        "pasted.",
        _figures(RELIANCE),
    ),
    Group(
        "Cost",
        "What does a map cost?",
        "Times hold for this machine, this model and this size of picture; the numbers of passes "
        "hold elsewhere, too.",
        _figures(COST),
    ),
)
