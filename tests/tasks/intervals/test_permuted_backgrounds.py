"""The unit of the test is the background: exchanges on one are not independent."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from tasks.intervals.permuted_backgrounds import bootstrap_difference, permutation_p

KIND = np.arange(24) < 12


def outcomes(effect: float, seed: int, own: float = 0.5) -> np.ndarray:
    """Log-odds of 24 backgrounds, each with an effect of its own, under 32 recipients."""
    generator = np.random.default_rng(seed)
    own_M1 = own * generator.standard_normal((24, 1))
    return own_M1 + generator.standard_normal((24, 32)) + effect * KIND[:, None]


def naive_p(outcome_MR: np.ndarray) -> float:
    """Every exchange as if independent: what must not be done."""
    of_kind, others = outcome_MR[KIND].ravel(), outcome_MR[~KIND].ravel()
    return float(stats.ttest_ind(of_kind, others, alternative="greater").pvalue)


def rejections(p_values: list[float]) -> float:
    return float(np.mean(np.array(p_values) <= 0.05))


def test_the_null_is_held_where_backgrounds_have_effects_of_their_own() -> None:
    made = [outcomes(0, seed) for seed in range(300)]
    held = rejections([permutation_p(it, KIND, draws=400) for it in made])
    assert held <= 0.09  # 3.8 standard errors above 5%: what 300 tries may show
    assert rejections([naive_p(it) for it in made]) > 3 * held  # the mutation is seen


def test_an_effect_is_found() -> None:
    p_values = [permutation_p(outcomes(1.0, seed), KIND, draws=400) for seed in range(40)]
    assert rejections(p_values) >= 0.95


def test_p_is_that_of_all_permutations() -> None:
    generator = np.random.default_rng(5)
    value_M, kind_M = generator.standard_normal(8), np.arange(8) < 4
    differences = [
        np.mean(value_M[list(chosen)]) - np.mean(np.delete(value_M, list(chosen)))
        for chosen in combinations(range(8), 4)
    ]
    measured = value_M[kind_M].mean() - value_M[~kind_M].mean()
    exact = float(np.mean(np.array(differences) >= measured - 1e-12))
    assert permutation_p(value_M[:, None], kind_M) == pytest.approx(exact, abs=0.02)


def test_the_interval_covers_the_effect() -> None:
    changes = [bootstrap_difference(outcomes(1.0, seed), KIND) for seed in range(200)]
    covered = np.mean([change.low <= 1.0 <= change.high for change in changes])
    assert 0.86 <= covered <= 0.99  # a bootstrap of twelve is a little narrow


def best_of_random_groups(effect_M: np.ndarray, group_M: np.ndarray) -> int:
    """The group whose backgrounds, without their objects, are taken for the class most often."""
    is_class_M = effect_M > 1.0
    return int(np.argmax([is_class_M[group_M == group].mean() for group in range(12)]))


def p_of_group(
    effect_M: np.ndarray, group_M: np.ndarray, group: int, generator: np.random.Generator
) -> float:
    """Twelve of the group against twelve others, under 32 recipients."""
    members, others = np.flatnonzero(group_M == group)[:12], np.flatnonzero(group_M != group)[:12]
    own_M1 = effect_M[[*members, *others], None]
    outcome_MR = own_M1 + generator.standard_normal((24, 32))
    return permutation_p(outcome_MR, KIND, draws=400)


def test_a_half_that_proposed_must_not_confirm() -> None:
    """Backgrounds pull to the class one by one, and no group does. The group that looks strongest
    in a half is confirmed there again and again; the other half does not."""
    honest: list[float] = []
    naive: list[float] = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        effect_M, group_M = generator.standard_normal(480), np.arange(480) % 12
        proposing_M = np.arange(480) < 240
        group = best_of_random_groups(effect_M[proposing_M], group_M[proposing_M])
        for p_values, half_M in ((naive, proposing_M), (honest, ~proposing_M)):
            p_values.append(p_of_group(effect_M[half_M], group_M[half_M], group, generator))
    assert rejections(honest) <= 0.105  # 3.6 standard errors above 5%
    assert rejections(naive) > 3 * rejections(honest)
