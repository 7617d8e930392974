"""Foregrounds that were estimated are named, and so is how good they are."""

from __future__ import annotations

import pytest

from reports.estimated_foregrounds import lines_on_estimates
from reports.evidence_section import evidence_line
from tasks.schema import EstimateSummary, ForegroundSummary, Summary, wilson
from tests.support.audit_summaries import SPITEFUL, evidence, figure, summary
from tests.support.html_page import read


def estimated(**changes: object) -> Summary:
    ordinary: dict[str, object] = {
        "source": "estimate",
        "digest": "classical 1",
        "estimated": 300,
        "unsure": 41,
        "least": 0.62,
        "calibrated": True,
        "annotated": 880,
        "iou": figure(0.71, 880),
        "good": wilson(792, 880),
        "flagged_annotated": wilson(310, 850),
        "flagged_estimated": wilson(330, 850),
        "agreement": wilson(790, 850),
    }
    estimates = EstimateSummary.model_validate({**ordinary, **changes})
    return summary(
        foreground=ForegroundSummary(
            source="annotated", polarity="white", mean_area=0.15, estimates=estimates
        )
    )


def test_estimates_are_compared_with_annotations() -> None:
    page = read(estimated())
    assert "Foreground annotated, 15.0% of the picture on average, 300 estimated" in page.text
    assert (
        "300 images have a foreground estimated by graph cuts (estimate); 259 of them (86.3%) are "
        "sure enough to decide." in page.text
    )
    assert "rembg:NAME" not in page.text
    assert "41 images, less sure than 0.62 (calibrated on annotated images)" in page.text
    assert "Overlap (IoU), mean 0.71 (0.69 to 0.73)" in page.text
    assert "With an overlap of at least 0.5 90.0%" in page.text
    assert "Flagged alike 92.9%" in page.text
    assert "An estimated foreground may be the wrong object." in page.text
    assert ("a", {"href": "#estimates"}) in page.elements


def test_estimates_that_nobody_can_check() -> None:
    nothing = wilson(0, 0)
    rates = dict.fromkeys(("good", "flagged_annotated", "flagged_estimated", "agreement"), nothing)
    words = read(estimated(annotated=0, iou=None, calibrated=False, source=SPITEFUL, **rates)).text
    assert "it is not known how good such estimates are here" in words
    assert "(not calibrated on this data)" in words
    assert "Overlap (IoU)" not in words
    assert "<script>alert(1)</script>" in words


@pytest.mark.parametrize(
    ("source", "unsure", "said"),
    [("estimate", 150, False), ("estimate", 151, True), ("network", 151, False)],
)
def test_where_graph_cuts_are_sure_of_few_other_sources_are_named(
    source: str, unsure: int, said: bool
) -> None:
    found = estimated(source=source, unsure=unsure)
    share, *others = lines_on_estimates(found)
    assert f"{300 - unsure} of them ({(300 - unsure) / 300:.1%}) are sure enough" in share
    line = (
        "Graph cuts are sure of few: on photographs, --foreground network (pip install "
        "'sightline[photos]'), onnx:FILE or rembg:NAME find more objects."
    )
    assert others == [line] * said
    assert (line in read(found).text) == said


def test_the_words_of_one_estimate_and_of_none() -> None:
    (one,) = lines_on_estimates(estimated(estimated=1, unsure=0, source="network"))
    assert one == (
        "1 image has a foreground estimated by a pretrained network (network); 1 of them (100.0%) "
        "is sure enough to decide."
    )
    none = lines_on_estimates(estimated(estimated=0, unsure=0))
    assert none == ["No image is judged by an estimate."]


def test_flags_by_what_may_be_another_object_are_counted() -> None:
    found = estimated(other_object=wilson(12, 48))
    said = (
        "12 of 48 flags by an estimated foreground (25.0%) are of predictions that survive the "
        "removal of the estimated object, with maps that lie outside it: the foreground may be "
        "another object."
    )
    assert lines_on_estimates(found)[1:] == [said]
    assert f"{said} A model that ignores the right object does the same, so" in read(found).text
    for none in (None, wilson(0, 48)):
        assert len(lines_on_estimates(estimated(other_object=none))) == 1


def test_where_no_confidence_suffices_the_page_says_so() -> None:
    said = "41 images, since no confidence suffices (calibrated on annotated images)"
    assert said in read(estimated(least=1.000001)).text
    assert "no confidence suffices" not in read(estimated(least=1.0)).text


@pytest.mark.parametrize("unsure", [0, 41])
def test_pictures_that_do_not_count_are_not_said_to_be_unchanged(unsure: int) -> None:
    """They were changed, but figures leave estimates of too little confidence out."""
    some = estimated(unsure=unsure)
    is_unsure = unsure > 0
    ignored = "Those whose estimated foreground is too unsure do not count."
    assert (ignored in read(some).text) == is_unsure
    none = some.model_copy(update={"evidence": evidence(images=0), "figures": {}})
    words = read(none).text
    assert (
        "every estimated foreground is too unsure, or covers less than 1%" in words
    ) == is_unsure
    assert ("No picture could be changed" in words) == (not is_unsure)
    missing = evidence_line(none, "flips").missing
    assert missing.endswith("lower --foreground-confidence") == is_unsure


def test_a_donor_may_be_missing_since_no_estimate_is_sure() -> None:
    none = estimated().model_copy(update={"evidence": evidence(donors=0), "figures": {}})
    missing = evidence_line(none, "flips").missing
    assert missing.endswith("covers at most 60% of its picture, and is no unsure estimate")


def test_without_estimates_there_is_no_such_section() -> None:
    assert lines_on_estimates(summary()) == []
    page = read(summary())
    assert "Estimated foregrounds" not in page.text
    assert ("a", {"href": "#estimates"}) not in page.elements
