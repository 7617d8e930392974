"""What an audit found, in one sentence for the head of its page and for a terminal."""

from __future__ import annotations

from markupsafe import Markup

from reports.class_groups import describe_class_groups
from tasks.schema import Interval, Summary
from tasks.schema.units import percent

MATTERS = 0.02  # of the predicted class's probability, on average over the images
MANY = 0.1  # of the exchanges with backgrounds of another kind, that change the prediction


def headline(summary: Summary) -> str:
    """How often the model is right, and what was found about the background."""
    groups = describe_class_groups(summary).striptags()
    finding = f"{finding_of(summary).striptags()} {groups}".rstrip()
    if summary.accuracy.value is None:
        return finding
    return (
        f"{percent(summary.accuracy.value)} of {summary.accuracy.of:,} images with a label are "
        f"predicted right. {finding}"
    )


def finding_of(summary: Summary) -> Markup:
    """The finding, with its figure and the background emphasised, after what qualifies it."""
    return Markup("{}{}").format(_at_chance(summary), _background_of(summary))


def _at_chance(summary: Summary) -> str:
    """A sentence where naming any class at random might be right as often; else nothing.

    Such a model may be untrained, or its classes in another order: its flags say little.
    """
    if not _is_at_chance(summary):
        return ""
    return f"The model is not clearly better than chance ({percent(_chance(summary))}). "


def _is_at_chance(summary: Summary) -> bool:
    lowest = summary.accuracy.low
    return lowest is not None and lowest <= _chance(summary) < 1


def _chance(summary: Summary) -> float:
    return 1 / max(1, len(summary.model.classes))


def _background_of(summary: Summary) -> Markup:
    emphasised, background = map(_emphasise, (percent(summary.flagged.value), "background"))
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
        return _clear_excess(summary)
    words = (
        "No excess: {} of the decided predictions are flagged, {} would be if backgrounds did not "
        "matter."
    )
    return Markup(words).format(percent(summary.flagged.value), percent(summary.null.value))


def _clear_excess(summary: Summary) -> Markup:
    """A finding where the effect may matter."""
    flagged, effect = percent(summary.flagged.value), negligible_effect(summary)
    if effect is not None:
        words = (
            "{} of the decided predictions are flagged, but to no effect: other backgrounds take "
            "{:.1f} points of probability, where {:.0f} would matter."
        )
        return Markup(words).format(flagged, 100 * effect.value, 100 * MATTERS)
    words = (
        "{} of the decided predictions are flagged as resting on the {}; {} would be if "
        "backgrounds did not matter."
    )
    emphasised, background = map(_emphasise, (flagged, "background"))
    return Markup(words).format(emphasised, background, percent(summary.null.value))


def negligible_effect(summary: Summary) -> Interval | None:
    """The probability lost on backgrounds of another kind, where it is surely too little to matter.

    A score ranks the images of any network, also of one that backgrounds hardly touch. Where many
    predictions change with little probability, that matters, unless they are guesses.
    """
    if summary.evidence is None:
        return None
    lost, flips = summary.evidence.reliance_across, summary.evidence.flips_across
    if lost is None or lost.high >= MATTERS:
        return None
    changes = flips is not None and flips.high >= MANY
    return None if changes and not _is_at_chance(summary) else lost


def _emphasise(words: str) -> Markup:
    return Markup('<em class="background">{}</em>').format(words)
