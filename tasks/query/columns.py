"""The columns of the table of images, and what each means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["category", "list", "number", "text"]  # list: of values of a category

WORDS = {  # of our own columns, in the table's order
    "row_id": "what identifies the image in its run",
    "image": "its address",
    "mask": "addresses of its masks, with | between them",
    "label": "its class, as the data say",
    "prediction": "the class that the model says",
    "confidence": "the model's probability of its prediction, 0 to 1",
    "correct": "is the prediction the label?",
    "flag": "what the prediction rests on",
    "reason": "why it has that flag",
    "score": "how far the prediction rests on the background, 0 to 1",
    "null_score": "the same with its own background, moved, in place of other backgrounds",
    "kept": "its probability that is expected on other backgrounds",
    "reliance_removal": "its probability without the object, less that without the background",
    "flips_own": "share of its own backgrounds, moved, that change the prediction",
    "area": "the foreground's share of the picture, 0 to 1",
    "share": "the foreground's share of the map's energy, 0 to 1",
    "lift": "share / area: 1 is chance",
    "other_object": "may the estimated foreground be another object?",
    "foreground": "where the foreground is known from",
    "object_removed": "its probability without the object",
    "background_removed": "its probability without the background",
    "object_removed_prediction": "the class that the model says without the object",
    "background_removed_prediction": "the class that the model says without the background",
    "reliance_exchange": "what other backgrounds take from its probability",
    "flips": "share of other backgrounds, from other classes, that change the prediction",
    "reliance_own": "what its own background, moved, takes from its probability",
    "estimate_confidence": "confidence of the estimated foreground, 0 to 1",
    "width": "columns of the file's picture",
    "height": "rows of the file's picture",
    "brightness": "mean luminance, 0 to 1",
    "contrast": "deviation of the luminance",
    "sharpness": "mean Laplacian / mean gradient",
    "jpeg_quality": "quality of the JPEG, 1 to 100",
    "patterns": "patterns that it is a member of",
    "failed": "what could not be computed for it",
    "label_group": "group of its label's class",
    "prediction_group": "group of the predicted class",
    "copies": "how many images of the run have the same bytes; missing where it is alone",
    "change": "how it differs from the run before",
}
ADDRESSES = ("image", "mask")  # whose folders say nothing of an image: not searched
BEFORE = "before."  # columns of the run that it is compared with
COMPARED = (
    *("label", "prediction", "confidence", "correct", "flag", "score", "null_score", "kept"),
    "foreground",
)
CHANGES = ("broken", "fixed", "newly flagged", "no longer flagged")


@dataclass(frozen=True)
class Column:
    """A column of the table of images."""

    name: str
    kind: Kind
    words: str  # what it means
    own: bool  # Sightline's, else the user's
    has_numbers: bool = False  # of a category: its values are numbers, and have an order


def describe(name: str) -> str:
    """What one of our columns means."""
    if name.startswith(BEFORE):
        return f"{WORDS[name.removeprefix(BEFORE)]}, in the run before"
    return WORDS[name]


def searched_columns(columns: Iterable[Column]) -> list[str]:
    """Those that a search without a column looks into."""
    kinds = ("category", "text")
    return [it.name for it in columns if it.kind in kinds and it.name not in ADDRESSES]
