"""A run and an image of it as HTML for the cell of a notebook.

A notebook keeps neither a page's style sheet nor scripts where it does not trust a cell: styles
stand on the elements, and letters have the notebook's own colours, light or dark.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.example_sentences import explain_changes
from reports.finding import finding_of
from reports.heatmaps import outline, overlay
from reports.markdown import HEADLINE
from reports.rendering import environment, picture_address, thumbnail_address
from tasks.schema import FIGURES, ChangedPicture, Example, Summary


@dataclass(frozen=True)
class Change:
    """A changed picture with its data URL and its name."""

    change: ChangedPicture
    picture: str
    words: str


def audit_as_html(run: str, summary: Summary) -> str:
    """What was audited, what was found and the headline figures."""
    figures = {name: it for name, it in summary.by_name().items() if name in HEADLINE}
    template = environment().get_template("notebook_run.html")
    return template.render(
        run=run, s=summary, sentence=finding_of(summary), figures=figures, table=FIGURES
    )


def run_as_html(run: str, sentence: str) -> str:
    """A run without the figures of an audit."""
    template = environment().get_template("notebook_run.html")
    return template.render(run=run, s=None, sentence=sentence, figures={}, table=FIGURES)


def image_as_html(example: Example, method: str | None) -> str:
    """The picture, the map of a method over it where there is one, and the changed pictures."""
    heat_HW3 = overlay(example.picture_HW3, example.map_HW, example.mask_HW)
    return (
        environment()
        .get_template("notebook_image.html")
        .render(
            e=example,
            method=method,
            picture=picture_address(outline(example.picture_HW3, example.mask_HW)),
            heat=None if method is None else picture_address(heat_HW3),
            why=explain_changes(example),
            changes=[
                Change(it, thumbnail_address(it.picture_HW3), _words(it)) for it in example.changes
            ],
        )
    )


def _words(change: ChangedPicture) -> str:
    if change.change != "exchanged":
        return change.words
    if change.donor_label is None:
        return "another background"
    own = ", its own class" if change.same_class else ""
    return f"background of {change.donor_label}{own}"
