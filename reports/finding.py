"""What an audit found, in one sentence for the head of its page and for a terminal."""

from __future__ import annotations

from markupsafe import Markup

from reports.class_groups import describe_class_groups
from tasks.schema import Interval, Summary
from tasks.schema.units import percent, points

MATTERS = 0.02  # probability that other backgrounds take, beyond the own, moved
MANY = 0.1  # of the predictions, that other backgrounds change beyond the own, moved


def headline(summary: Summary) -> str:
    """How often the model is right, and what was found about the background."""
    groups = class_groups_of(summary).striptags()
    finding = f"{finding_of(summary).striptags()} {groups}".rstrip()
    if summary.accuracy.value is None:
        return finding
    return (
        f"{percent(summary.accuracy.value)} of {summary.accuracy.of:,} images with a label are "
        f"predicted right. {finding}"
    )


def class_groups_of(summary: Summary) -> Markup:
    """The groups of classes that stand out; not by flags that are said to say nothing."""
    return describe_class_groups(summary, with_flags=negligible_effect(summary) is None)


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
    if summary.foreground.source == "none" and summary.foreground.estimates is None:
        return Markup("Nothing is flagged: this audit had no foreground.")
    if not summary.flagged.of:
        return Markup("No prediction could be decided.")
    if not summary.flagged.count:
        words = "No prediction is flagged as resting on the {}."
        return Markup(words).format(_emphasise("background"))
    return _flags_of(summary)


def _flags_of(summary: Summary) -> Markup:
    """What they are worth, where some predictions are flagged."""
    flagged, null = percent(summary.flagged.value), percent(summary.null.value)
    if summary.excess is not None and summary.excess.low <= 0:
        words = (
            "No excess: {} of the decided predictions are flagged, {} would be if backgrounds did "
            "not matter."
        )
        return Markup(words).format(flagged, null)
    effect = negligible_effect(summary)
    if effect is not None:
        return _no_finding(flagged, effect)
    if summary.excess is None:
        words = "{} of the decided predictions are flagged: too few images to judge the excess."
        return Markup(words).format(_emphasise(flagged))
    words = (
        "{} of the decided predictions are flagged as resting on the {}; {} would be if "
        "backgrounds did not matter."
    )
    return Markup(words).format(_emphasise(flagged), _emphasise("background"), null)


def _no_finding(flagged: str, effect: Interval) -> Markup:
    words = (
        "No finding about the background: in place of their own, other backgrounds take {} points "
        "of probability, where {:.0f} would matter. The {} that are flagged say nothing."
    )
    return Markup(words).format(points(effect.value), 100 * MATTERS, flagged)


def negligible_effect(summary: Summary) -> Interval | None:
    """The probability that other backgrounds take beyond the own, moved, where it is surely too
    little to matter.

    A score ranks the images of any network, also of one that backgrounds hardly touch. Where many
    predictions change with little probability, that matters, unless they are guesses.
    """
    if summary.evidence is None:
        return None
    lost, changed = summary.evidence.reliance_effect, summary.evidence.flips_effect
    if lost is None or lost.high >= MATTERS:
        return None
    changes = changed is not None and changed.high >= MANY
    return None if changes and not _is_at_chance(summary) else lost


def few_other_donors(summary: Summary) -> str:
    """A sentence where most images had no donor that the model predicts otherwise; else nothing."""
    if summary.evidence is None or not summary.evidence.donors:
        return ""
    across, images = summary.evidence.flips_across, summary.evidence.images
    count = 0 if across is None else across.of
    if count >= images / 2:
        return ""
    return (
        f"Only {count:,} of {images:,} images were put on the background of a picture that is "
        "predicted otherwise; for the rest, backgrounds of pictures predicted alike had to do."
    )


def _emphasise(words: str) -> Markup:
    return Markup('<em class="background">{}</em>').format(words)
