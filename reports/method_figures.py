"""The figures of a comparison of methods by the question that they answer, in its page's order."""

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
    """Figures that answer one question, and what their answer leaves open."""

    title: str
    question: str
    blind: str
    figures: tuple[Figure, ...]


def _figures(names: Sequence[str]) -> tuple[Figure, ...]:
    return tuple(FIGURES[name] for name in names)


GROUPS = (
    Group(
        "Localisation",
        "Is the heat on the object?",
        "That the model looks at the object is supposed, not known: an honest map of a model that "
        "goes by the background gets low figures here.",
        _figures(LOCALISATION),
    ),
    Group(
        "Faithfulness",
        "Does the prediction go where the heat goes?",
        "Pixels are replaced to find out, and a picture so changed is unlike any that the model "
        "knows: part of what is lost is due to that. Figures from a blur and from the mean colour "
        "that disagree are a sign of it.",
        _figures(FAITHFULNESS),
    ),
    Group(
        "Sanity",
        "Is the map of this model at all?",
        "A map that changes may still be wrong; one that does not change is surely not about what "
        "the model learned. Correlations of ranks, from −1 to 1.",
        _figures(SANITY),
    ),
    Group(
        "Reliance",
        "Does heat on the background tell that the prediction needs it?",
        "Only pictures with a foreground whose background could be changed say something, and the "
        "changed ones are cut and pasted.",
        _figures(RELIANCE),
    ),
    Group(
        "Cost",
        "What does a map take?",
        "Times are of this machine, this model and this size of picture; the numbers of passes "
        "hold elsewhere too.",
        _figures(COST),
    ),
)
