"""Verdicts from the pictures of trials. Shapes: M backgrounds, R recipients."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tasks.discover.trial import CHECK, FIRST, MAIN
from tasks.discover.verdicts import Measured, TrialResult, judge
from tasks.schema.patterns import LEAST_EFFECT, PATTERN_TRIALS

EXEMPLARS, CONTROLS, RECIPIENTS = 20, 6, 20
LABELS: dict[str, str | None] = {f"b{number}": "cat" for number in range(EXEMPLARS + CONTROLS)}


def outcomes(effect: float, seed: int = 0, recipients: int = RECIPIENTS) -> np.ndarray:
    """(M, R) log-odds: each background has an effect of its own, and so has each recipient."""
    generator = np.random.default_rng(seed)
    own_M1 = 0.5 * generator.standard_normal((EXEMPLARS + CONTROLS, 1))
    own_1R = generator.standard_normal((1, recipients))
    own_M1[:EXEMPLARS] += effect
    return own_M1 + own_1R


def rows(log_odds_MR: np.ndarray, recipients: range, check: str = MAIN) -> pa.Table:
    """As a worker writes them: every recipient on one background, then on the next."""
    made = [
        {
            "background": f"b{background}",
            "of_pattern": background < EXEMPLARS,
            "recipient": f"r{recipient}",
            "check": check,
            "log_odds": log_odds_MR[background, recipient],
            "prediction": "dog" if log_odds_MR[background, recipient] > 0 else "cat",
        }
        for background in range(len(log_odds_MR))
        for recipient in recipients
    ]
    return pa.Table.from_pylist(made, schema=PATTERN_TRIALS)


def trial(log_odds_MR: np.ndarray) -> pa.Table:
    """The first recipients on all backgrounds, the others, and the check."""
    count = log_odds_MR.shape[1]
    parts = (range(FIRST), range(FIRST, count))
    main = [rows(log_odds_MR, part) for part in parts]
    return pa.concat_tables([*main, rows(log_odds_MR, range(FIRST), CHECK)])


def result(log_odds_MR: np.ndarray, labels: dict[str, str | None] = LABELS) -> TrialResult:
    made = trial(log_odds_MR)
    main, check = (Measured.of(made, it, "dog", labels) for it in (MAIN, CHECK))
    return TrialResult(main, check)


def test_every_picture_counts_for_its_own_background() -> None:
    log_odds_MR = outcomes(2.0)
    labels = LABELS | {"b1": "dog", "b25": None}
    measured = result(log_odds_MR, labels).main
    np.testing.assert_allclose(measured.log_odds_MR, log_odds_MR, rtol=1e-6)
    np.testing.assert_array_equal(measured.predicted_MR, log_odds_MR > 0)
    assert measured.of_pattern_M.tolist() == [True] * EXEMPLARS + [False] * CONTROLS
    others = np.flatnonzero(~measured.other_label_M)
    assert others.tolist() == [1, 25]


def test_a_recipient_that_the_network_fails_on_counts_nowhere() -> None:
    log_odds_MR = outcomes(2.0)
    log_odds_MR[3, 10] = np.nan
    measured = result(log_odds_MR).main
    np.testing.assert_allclose(measured.log_odds_MR, np.delete(log_odds_MR, 10, axis=1), rtol=1e-6)


def test_the_interval_over_a_rate_is_that_of_backgrounds() -> None:
    """Half of the backgrounds always pull, half never: as many pictures that were independent would
    give a fifth of the width."""
    log_odds_MR = np.where(np.arange(EXEMPLARS + CONTROLS) % 2, 1.0, -1.0)[:, None]
    change = result(log_odds_MR.repeat(RECIPIENTS, 1)).main.effect_over(0.1)
    assert change.value == pytest.approx(0.4)
    half = 1.96 * (0.25 / EXEMPLARS) ** 0.5
    assert change.high - change.low == pytest.approx(2 * half, rel=0.15)


def test_an_effect_is_confirmed() -> None:
    (judgement,) = judge([result(outcomes(3.0))])
    assert (judgement.verdict, judgement.reason) == ("confirmed", "")
    assert judgement.measured is not None
    assert judgement.q == judgement.measured.p


def test_p_is_corrected_for_every_candidate() -> None:
    """A single one is confirmed; beside a hundred without an effect, as large a p is chance."""
    seed = next(it for it in range(100) if 0.01 < result(outcomes(0.8, it)).main.p < 0.05)
    one = result(outcomes(0.8, seed))
    assert judge([one])[0].q <= 0.05
    first, *others = judge([one, *[None] * 100])
    assert first.verdict == "not confirmed"
    assert first.reason == "which chance may explain"
    assert {it.verdict for it in others} == {"too few"}


def test_a_sure_effect_of_few_predictions_is_not_confirmed() -> None:
    (judgement,) = judge([result(outcomes(3.0) - 20)])  # the class is never predicted
    assert judgement.measured is not None
    assert judgement.measured.p <= 0.05
    assert judgement.verdict == "not confirmed"
    assert judgement.reason == "which may be less than 5%"


def test_an_effect_of_whole_objects_alone_is_confounded() -> None:
    """It is gone once their surroundings are cut away."""
    main, without = result(outcomes(3.0)).main, result(outcomes(-3.0)).main
    (judgement,) = judge([TrialResult(main, without)])
    assert judgement.verdict == "confounded"
    assert "surroundings" in judgement.reason


@pytest.mark.parametrize("label", ["dog", None])
def test_without_members_of_other_labels_it_is_confounded(label: str | None) -> None:
    labels = LABELS | {f"b{number}": label for number in range(15)}
    (judgement,) = judge([result(outcomes(3.0), labels)])
    assert judgement.verdict == "confounded"
    assert judgement.reason.startswith("but too few of its members are known to have another label")


def test_an_effect_of_members_of_the_class_alone_is_confounded() -> None:
    """The fourteen of the class pull to it, the six others away from it."""
    log_odds_MR = outcomes(4.0) - 1.5
    log_odds_MR[14:EXEMPLARS] -= 5.0
    labels = LABELS | {f"b{number}": "dog" for number in range(14)}
    (judgement,) = judge([result(log_odds_MR, labels)])
    assert judgement.verdict == "confounded"
    assert judgement.reason.startswith("but not members of other labels")


def test_what_is_too_small_to_be_confirmed_does_not_make_the_others_easier_to_confirm() -> None:
    """Log-odds that move without a prediction that changes have a small p and no effect."""
    moved = result(outcomes(1.0) - 9.0)
    assert moved.main.p < 0.01
    strong = result(outcomes(2.0))
    alone = judge([strong, None, None, None])[0].q
    beside = judge([strong, moved, moved, moved])
    assert beside[0].q == alone
    assert beside[1].verdict == "not confirmed"
    assert "may be less than" in beside[1].reason


@pytest.mark.parametrize("confounded", ["its label", "its surroundings"])
def test_what_is_confounded_does_not_make_the_others_easier_to_confirm(confounded: str) -> None:
    drawn = (result(outcomes(0.8, seed)) for seed in range(1000))
    weak = next(it for it in drawn if it.main.effect.low >= LEAST_EFFECT and it.main.p > 0.0125)
    assert judge([weak])[0].verdict == "confirmed"
    strong = result(outcomes(3.0))
    doubted = (
        result(outcomes(3.0), dict.fromkeys(LABELS, "dog"))
        if confounded == "its label"
        else TrialResult(strong.main, result(outcomes(-3.0)).main)
    )
    judged, *others = judge([weak, *[doubted] * 3])
    assert judged.verdict == "not confirmed"
    assert judged.reason == "which chance may explain"
    assert judged.q == pytest.approx(4 * weak.main.p)
    assert {it.verdict for it in others} == {"confounded"}
    assert [it.q for it in others] == pytest.approx([4 / 3 * doubted.main.p] * 3)
