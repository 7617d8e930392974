"""One sentence about what changing a picture did to its prediction."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from markupsafe import Markup

from reports.formatting import rounded_percent, short
from reports.visible_text import visible
from tasks.schema import ChangedPicture, Example

NAMED = 2  # classes that a prediction became


def explain_changes(example: Example) -> Markup:
    """The prediction, what other backgrounds leave of it, and what remains without the object.

    Empty for a picture that was not changed.
    """
    if not example.changes:
        return Markup()
    start = Markup("Predicted {} with {}").format(
        isolate_name(example.prediction), rounded_percent(example.confidence)
    )
    others = [
        change
        for change in example.changes
        if change.change == "exchanged" and not change.same_class
    ]
    removed = next((it for it in example.changes if it.change == "object_removed"), None)
    exchanged = _describe_exchanges(example, others) if others else Markup()
    return start + exchanged + (_describe_removal(example, removed) if removed else Markup()) + "."


def breakable_name(text: str, longest: int = 48) -> Markup:
    """A method's name for narrow columns: a line may break between its parts."""
    parts = re.split(r"(?<=[_:=,.+-])(?=[^_:=,.+-])", short(visible(text), longest))
    name = Markup("<wbr>").join(parts) if text.strip() else "(empty)"
    return Markup('<bdi class="name">{}</bdi>').format(name)


def isolate_name(text: str, longest: int = 40) -> Markup:
    """A user's name inside our text: escaped, and its writing direction isolated."""
    name = short(visible(text), longest) if text.strip() else "(empty)"
    return Markup('<bdi class="name">{}</bdi>').format(name)


def _describe_exchanges(example: Example, others: Sequence[ChangedPicture]) -> Markup:
    kept = fmean(it.probability for it in others)
    several = len(others) > 1
    return Markup("; on {} it {} {}{} and {}").format(
        _backgrounds(example, others),
        "keeps" if kept < example.confidence else "has",
        rounded_percent(kept),
        " on average" if several else "",
        _describe_prediction(example, others),
    )


def _backgrounds(example: Example, others: Sequence[ChangedPicture]) -> str:
    """Without labels the class of a background is not known."""
    of_classes = example.label is not None and all(it.donor_label is not None for it in others)
    if len(others) > 1:
        return "backgrounds of other classes" if of_classes else "other backgrounds"
    return "a background of another class" if of_classes else "another background"


def _describe_prediction(example: Example, others: Sequence[ChangedPicture]) -> Markup:
    """`becomes balloon or cactus on 2 of 3`, the most frequent first."""
    predictions = Counter(it.prediction for it in others if it.prediction != example.prediction)
    if not predictions:
        return (
            Markup("stays ")
            + isolate_name(example.prediction)
            + _on_how_many(len(others), len(others))
        )
    names = [isolate_name(name) for name, _ in predictions.most_common(NAMED)]
    if len(predictions) > NAMED:
        last, separator = Markup(" or another class"), Markup(", ")
    else:
        last, separator = Markup(), Markup(" or ")
    return (
        Markup("becomes ")
        + separator.join(names)
        + last
        + _on_how_many(predictions.total(), len(others))
    )


def _on_how_many(count: int, of: int) -> str:
    """`on 2 of 3`, `on all 3`, and nothing where there was only one."""
    if of == 1:
        return ""
    return f" on all {of}" if count == of else f" on {count} of {of}"


def _describe_removal(example: Example, removed: ChangedPicture) -> Markup:
    """`still` or `even` where most of the confidence, or more than all of it, needs no object."""
    kept = removed.probability
    surprise = "still " if kept >= example.confidence / 2 else ""
    if kept > example.confidence:
        surprise = "even "
    removal = "estimated object" if example.foreground == "estimated" else "object"
    words = Markup(", while without the {} it {}has {}")
    return words.format(removal, surprise, rounded_percent(kept))
