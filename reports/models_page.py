"""Two models on the same images as one HTML file and as Markdown: users' words are escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.audit_page import environment
from reports.changes import change_axis, change_bar, end_of
from reports.formatting import visible
from reports.heatmaps import Picture, outline, overlay, thumbnail
from reports.verdicts import MEANINGS, TURNED, by_verdict, headline, title, value
from tasks.schema import PairedExample, PairedFigure, PairedSummary

PLAIN = frozenset(
    " -./,:%+−–()'"
)  # beside letters and digits: what Markdown gives no meaning inside


def render_versus(paired: PairedSummary, examples: Sequence[PairedExample]) -> str:
    """The page of a comparison. Examples are shown in the order given, regressions first."""
    drawn = [it for it in (*paired.figures, *paired.classes) if it.figure != "lift"]
    return (
        environment()
        .get_template("models.html")
        .render(
            p=paired,
            headline=headline(paired),
            groups=by_verdict(paired.figures),
            cards=[_card(example) for example in examples],
            end=end_of(drawn),
            change_axis=change_axis,
            change_bar=change_bar,
            title=title,
            value=value,
            meanings=MEANINGS,
            turned=TURNED,
        )
    )


def as_markdown(paired: PairedSummary) -> str:
    """The verdict and a table of the figures, for a pull request."""
    lines = [
        f"**{headline(paired)}** {escaped(paired.sentence)}",
        "",
        f"{escaped(paired.before.address)} → {escaped(paired.after.address)}, "
        f"{paired.images:,} images of {escaped(paired.data)}.",
        "",
        "| figure | before | after | change |",
        "|---|---:|---:|---|",
        *map(_markdown_row, paired.figures),
        *(
            f"| {_named(it.figure, it.name)} | – | – | {escaped(it.reason)} |"
            for it in paired.missing
        ),
        "",
        *_after_table(paired),
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A user's words in Markdown: what could be markup stands as the number of its character."""
    return "".join(
        character if character.isalnum() or character in PLAIN else f"&#{ord(character)};"
        for character in visible(text)
    )


@dataclass(frozen=True)
class Card:
    """An example with its images as addresses that carry their own bytes; None: not to be had."""

    example: PairedExample
    picture: str
    before: str | None
    after: str | None
    exchanged: str | None
    width: int
    height: int
    outlined: bool


def _card(example: PairedExample) -> Card:
    picture_HW3 = outline(example.picture_HW3, example.mask_HW)
    height, width = picture_HW3.shape[:2]
    exchange = example.exchange
    return Card(
        example,
        _address(picture_HW3),
        _heat(example, example.map_before_HW),
        _heat(example, example.map_after_HW),
        None if exchange is None else _address(exchange.picture_HW3),
        width,
        height,
        outlined=example.mask_HW is not None,
    )


def _heat(example: PairedExample, map_HW: np.ndarray | None) -> str | None:
    if map_HW is None:
        return None
    return _address(overlay(example.picture_HW3, map_HW, example.mask_HW))


def _address(image_HW3: Picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(image_HW3)).decode("ascii")


def _named(figure: str, name: str | None) -> str:
    return title(figure) if name is None else f"{title(figure)}, {escaped(name)}"


def _markdown_row(it: PairedFigure) -> str:
    change = it.sentence if it.verdict == "unchanged" else f"**{it.sentence}**"
    ends = (value(it.figure, number) for number in (it.before, it.after))
    return f"| {_named(it.figure, it.name)} | {' | '.join(ends)} | {change} |"


def _after_table(paired: PairedSummary) -> Iterator[str]:
    worse = [it for it in paired.classes if it.verdict == "worse"]
    if worse:
        told = "; ".join(f"{_named(it.figure, it.name)} {it.sentence}" for it in worse)
        yield f"Classes: {told}."
        yield ""
    turns = (f"{count:,} {turn.replace('_', ' ')}" for turn, count in paired.turns.items())
    yield f"Images: {', '.join(turns)}. Intervals are 95%, paired over images."
