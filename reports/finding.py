"""What an audit found, in one sentence for the head of its page and for a terminal."""

from __future__ import annotations

from markupsafe import Markup

from tasks.schema import Summary
from tasks.schema.units import percent


def headline(summary: Summary) -> str:
    """How often the model is right, and what was found about the background."""
    finding = finding_of(summary).striptags()
    if summary.accuracy.value is None:
        return finding
    return (
        f"{percent(summary.accuracy.value)} of {summary.accuracy.of:,} images with a label are "
        f"predicted right. {finding}"
    )


def finding_of(summary: Summary) -> Markup:
    """The finding, with its figure and the background emphasised."""
    flagged, null = (percent(rate.value or 0.0) for rate in (summary.flagged, summary.null))
    emphasised, background = map(_emphasise, (flagged, "background"))
    if summary.foreground.source == "none" and summary.foreground.estimates is None:
        return Markup("Nothing is flagged: this audit had no foreground.")
    if not summary.flagged.of:
        return Markup("No prediction could be decided.")
    if not summary.flagged.count:
        words = "No prediction is flagged as resting on the {}."
        return Markup(words).format(background)
    if summary.excess is None:
        words = "{} of the decided predictions are flagged: too few images to judge the excess."
        return Markup(words).format(emphasised)
    if summary.excess.low > 0:
        words = (
            "{} of the decided predictions are flagged as resting on the {}; {} would be if "
            "backgrounds did not matter."
        )
        return Markup(words).format(emphasised, background, null)
    words = (
        "No excess: {} of the decided predictions are flagged, {} would be if backgrounds did not "
        "matter."
    )
    return Markup(words).format(flagged, null)


def _emphasise(words: str) -> Markup:
    return Markup('<em class="background">{}</em>').format(words)
