"""What the figures of a comparison of methods mean, in plain words, in the order that they have."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.schema import FAITHFULNESS, LOCALISATION, LOWER_IS_BETTER, RELIANCE, SANITY

PASSES = ("forwards", "backwards")
COST = ("times_forward", "seconds", "images_per_second", *PASSES)
CHEAP = frozenset(COST) - {"images_per_second"}

WORDS: dict[str, tuple[str, str]] = {
    "share": ("Share", "The part of the map's heat that lies on the object."),
    "lift": ("Lift", "The share, divided by the object's part of the picture: an even map gets 1."),
    "pointing": ("Pointing", "How often the map's hottest place lies on the object."),
    "top_k": ("Top k", "Of the hottest pixels, as many as the object has: the part that is on it."),
    "heat_ratio": (
        "Heat ratio",
        "Heat on the object for each pixel above a threshold of heat, on average over thresholds.",
    ),
    "faithfulness": (
        "Faithfulness",
        "Insertion into a blur less deletion to the mean colour, of each image: do the places "
        "that the map calls important carry the prediction?",
    ),
    "insertion_blur": (
        "Insertion, blur",
        "The picture comes back out of a blur, hottest pixels first: the probability on the way.",
    ),
    "insertion_mean": ("Insertion, mean", "The same, out of the mean colour."),
    "deletion_blur": (
        "Deletion, blur",
        "The picture goes under in a blur, hottest pixels first: the probability on the way.",
    ),
    "deletion_mean": ("Deletion, mean", "The same, under the mean colour."),
    "degradation": (
        "Degradation",
        "Tiles are removed: probability with the coldest first, less that with the hottest first. "
        "A map at random gets 0.",
    ),
    "kept_30": ("Kept, 30%", "The probability left without the hottest 30% of the pixels."),
    "kept_60": ("Kept, 60%", "The probability left without the hottest 60%."),
    "kept_90": ("Kept, 90%", "The probability left without the hottest 90%."),
    "average_drop": (
        "Average drop",
        "The part of the probability that is lost when the picture fades as its map is cold. A map "
        "that is hot everywhere loses nothing.",
    ),
    "increase": ("Increase", "How often the probability rises instead when the picture so fades."),
    "head": (
        "Head random",
        "How alike the map ranks the picture's places after the weights of the last layer were "
        "drawn again. A map that stays the same is not of the model.",
    ),
    "half": ("Half random", "The same after those of its upper half were."),
    "whole": ("All random", "The same after all were."),
    "stability": (
        "Stability",
        "How alike the map ranks the places once the picture has a little noise.",
    ),
    "reliance": (
        "Reliance",
        "Rank correlation, over images, of the heat's share on the background with the reliance "
        "that changing the background has shown.",
    ),
    "times_forward": ("Times forward", "Time of a map, divided by that of a bare forward pass."),
    "seconds": ("Seconds", "An image by this method alone, on one worker."),
    "images_per_second": ("Images a second", "By this method alone, on one worker."),
    "forwards": ("Forwards", "Passes of the whole network for a map, as the method declares."),
    "backwards": ("Backwards", "Passes back through it, as the method declares."),
}


@dataclass(frozen=True)
class Figure:
    """One column of the tables."""

    name: str
    title: str
    meaning: str
    lower_is_better: bool


@dataclass(frozen=True)
class Group:
    """Figures that answer one question, and what their answer leaves open."""

    title: str
    question: str
    blind: str
    figures: tuple[Figure, ...]


def _figures(names: tuple[str, ...]) -> tuple[Figure, ...]:
    lower = LOWER_IS_BETTER | CHEAP
    return tuple(Figure(name, *WORDS[name], name in lower) for name in names)


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
        _figures((RELIANCE,)),
    ),
    Group(
        "Cost",
        "What does a map take?",
        "Times are of this machine, this model and this size of picture; the numbers of passes "
        "hold elsewhere too.",
        _figures(COST),
    ),
)
