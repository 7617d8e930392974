"""Pooled and projected activations."""

from __future__ import annotations

import numpy as np
import torch

from models.network.features import WIDTH, pool, project


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_pool_is_the_mean_over_cells_by_their_weight() -> None:
    activation_BDhw, weight_Bhw = draw(2, 3, 4, 5), draw(2, 4, 5).abs()
    pooled_BD = pool(activation_BDhw, weight_Bhw)
    for b in range(2):
        for d in range(3):
            expected = np.average(activation_BDhw[b, d].numpy(), weights=weight_Bhw[b].numpy())
            np.testing.assert_allclose(pooled_BD[b, d], expected, rtol=1e-4, atol=1e-6)


def test_pool_without_a_weight_gives_all_cells_the_same() -> None:
    activation_BDhw = draw(2, 3, 4, 5)
    torch.testing.assert_close(pool(activation_BDhw), pool(activation_BDhw, torch.ones(2, 4, 5)))


def test_pool_is_nan_where_the_weights_are_zero() -> None:
    weight_Bhw = torch.zeros(2, 4, 5)
    weight_Bhw[1] = 1
    pooled_BD = pool(draw(2, 3, 4, 5), weight_Bhw)
    assert pooled_BD[0].isnan().all()
    assert pooled_BD[1].isfinite().all()


def test_object_and_background_add_up_to_the_whole() -> None:
    activation_BDhw, mask_Bhw = draw(2, 3, 4, 5), draw(2, 4, 5).sigmoid()
    area_B1 = mask_Bhw.mean((1, 2))[:, None]
    both = area_B1 * pool(activation_BDhw, mask_Bhw)
    both += (1 - area_B1) * pool(activation_BDhw, 1 - mask_Bhw)
    torch.testing.assert_close(both, pool(activation_BDhw))


def test_few_numbers_stay_as_they_are() -> None:
    features_BD = draw(4, WIDTH)
    assert project(features_BD) is features_BD


def test_the_projection_keeps_distances_roughly() -> None:
    features_BD = draw(30, 512)
    ratio = torch.pdist(project(features_BD)) / torch.pdist(features_BD)
    assert project(features_BD).shape == (30, WIDTH)
    assert 0.6 < ratio.min() <= ratio.max() < 1.4
    assert abs(ratio.mean() - 1) < 0.05


def test_the_projection_does_not_depend_on_the_random_state() -> None:
    features_BD = draw(2, 512)
    first = project(features_BD)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        torch.testing.assert_close(project(features_BD), first, rtol=0, atol=0)
        assert torch.equal(torch.random.get_rng_state(), before)
