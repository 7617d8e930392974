"""IB-SGL against its formulas in loops, and the bottleneck's maps that it remembers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.iba import iba
from models.methods.settings import IbaSettings
from models.network.capture import Capture, as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.network.statistics import Moments
from models.objectives import ibsgl
from models.objectives.erm import Erm
from models.objectives.ibsgl import IbsglCode, IbsglPaper, recall_maps, step_down
from models.objectives.step import Batch, Learner
from tests.support import objective_oracles as oracles
from tests.support.networks import random_images, tiny_net
from tests.support.smooth_training_step import (
    LAST,
    batch_of,
    gradient_of,
    learner_of,
    smooth_net,
    sweep_of,
)

ALWAYS = IbsglCode(suppress="always")


def rivals(network: nn.Module, batch: Batch) -> list[int]:
    """The class that is the most probable when the target is left out."""
    classes = []
    logits_BK = network(batch.image_BCHW).tolist()
    for logits_K, target in zip(logits_BK, batch.target_B.tolist(), strict=True):
        classes.append(max((k for k in range(3) if k != target), key=logits_K.__getitem__))
    return classes


def capture_both(network: nn.Module, batch: Batch) -> tuple[Capture, Capture]:
    """For the target class and for its rival."""
    rival_B = torch.tensor(rivals(network, batch))
    return tuple(  # type: ignore[return-value]
        capture(network, LAST, batch.image_BCHW, class_B) for class_B in (batch.target_B, rival_B)
    )


def expected_terms(learner: Learner, batch: Batch, settings: IbsglCode) -> tuple[float, float]:
    """Cross entropy of maps and suppression, image by image."""
    own, rival = capture_both(learner.network, batch)
    reference_Bhw = recall_maps(learner, batch).numpy()
    correct_B = own.logits_BK.argmax(1) == batch.target_B
    counts = {"always": [True] * 5, "correct": correct_B.tolist(), "wrong": (~correct_B).tolist()}
    match, suppression = [], []
    for b, reference_hw in enumerate(reference_Bhw):
        own_hw, rival_hw = (
            oracles.guided_map(side.activation_BDhw[b].numpy(), side.gradient_BDhw[b].numpy())
            for side in (own, rival)
        )
        if settings.maps == "spatial":
            match.append(oracles.spatial_cross_entropy(own_hw, reference_hw, ibsgl.TEMPERATURE))
        else:
            match.append(oracles.row_cross_entropy(own_hw, reference_hw))
        overlap = oracles.suppression(own_hw, rival_hw, reference_hw)
        suppression.append(overlap if counts[settings.suppress][b] else 0.0)
    return float(np.mean(match)), float(np.mean(suppression))


@pytest.mark.parametrize(
    "settings",
    [
        IbsglCode(),
        IbsglCode(suppress="always", maps="rows", beta=2, mu=0.5),
        IbsglCode(suppress="wrong"),
    ],
)
def test_the_codes_loss_is_its_formula(settings: IbsglCode) -> None:
    network, batch = smooth_net(), batch_of()
    learner = learner_of(network)
    loss = settings.loss(learner, batch)
    match, suppression = expected_terms(learner, batch, settings)
    cross_entropy = Erm().loss(learner, batch).total.item()
    assert loss.parts["maps"].item() == pytest.approx(match, rel=1e-6)
    assert loss.parts["overlap"].item() == pytest.approx(suppression, rel=1e-6)
    expected = cross_entropy + settings.mu * (match + settings.beta * suppression)
    assert loss.total.item() == pytest.approx(expected, rel=1e-6)


def test_the_papers_loss_is_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = smooth_net(), batch_of()
    learner, goals = learner_of(network), []

    def note(activation_BDhw: Tensor, loss: Tensor) -> Tensor:
        goals.append(step_down(activation_BDhw, loss))
        return goals[-1]

    monkeypatch.setattr(ibsgl, "step_down", note)
    loss = IbsglPaper(mu=3).loss(learner, batch)
    activation_BDhw = capture(network, LAST, batch.image_BCHW).activation_BDhw
    pairs = zip(activation_BDhw.numpy(), goals[0].numpy(), strict=True)
    distance = np.mean([oracles.cell_divergence(*pair) for pair in pairs])
    match, suppression = expected_terms(learner, batch, IbsglCode())
    assert loss.parts["distance"].item() == pytest.approx(distance, rel=1e-6)
    assert loss.parts["maps"].item() == pytest.approx(match, rel=1e-6)
    assert loss.parts["overlap"].item() == pytest.approx(suppression, rel=1e-6)
    cross_entropy = loss.parts["cross_entropy"].item()
    assert loss.total.item() == pytest.approx(cross_entropy + 3 * distance, rel=1e-9)
    moved_BDhw = goals[0] - activation_BDhw
    torch.testing.assert_close(
        moved_BDhw.flatten(1).norm(dim=1), 0.1 * activation_BDhw.flatten(1).norm(dim=1)
    )


def test_the_step_goes_down() -> None:
    value_BDhw = torch.randn(2, 3, 4, 4, dtype=torch.double).requires_grad_(True)
    goal_BDhw = step_down(value_BDhw, value_BDhw.square().sum())
    torch.testing.assert_close(goal_BDhw, 0.9 * value_BDhw.detach())
    assert not goal_BDhw.requires_grad
    unmoved_BDhw = step_down(value_BDhw, (0 * value_BDhw).sum())
    torch.testing.assert_close(unmoved_BDhw, value_BDhw.detach())


@pytest.mark.parametrize("kind", [IbsglCode, IbsglPaper])
def test_layers_behind_the_activation_learn_from_labels_alone(kind: type[IbsglCode]) -> None:
    """METHODS 2.3: the gradient in the maps is a constant."""
    network, batch = smooth_net(), batch_of()
    learner, names = learner_of(network), [name for name, _ in network.named_parameters()]
    gradients = (
        dict(zip(names, gradient_of(objective.loss(learner, batch).total, network), strict=True))
        for objective in (kind(mu=100, suppress="always"), Erm())
    )
    guided, plain = gradients
    same = {name for name in names if torch.allclose(guided[name], plain[name])}
    # A shift of a whole channel moves no probability among its cells: no distance in the paper.
    shifts = {"last.bias"} if kind is IbsglPaper else set()
    assert same == {"after.weight", "after.bias", "fc.weight", "fc.bias"} | shifts


def test_the_rival_is_never_the_target() -> None:
    logits_BK = torch.tensor([[5.0, 1.0, 2.0], [5.0, 1.0, 2.0]])
    assert ibsgl.rival_class(logits_BK, torch.tensor([0, 1])).tolist() == [2, 0]


def test_a_flat_map_adds_nothing() -> None:
    network, batch = smooth_net(), batch_of()
    learner = learner_of(network)
    learner.memory["ib_map_Nhw"].zero_()
    loss, expected = ALWAYS.loss(learner, batch), Erm().loss(learner, batch)
    assert loss.parts["maps"].item() == loss.parts["overlap"].item() == 0
    torch.testing.assert_close(
        gradient_of(loss.total, network), gradient_of(expected.total, network)
    )
    unit_Bhw, varies_B = ibsgl.scale_to_unit(torch.full((1, 2, 2), 3.0))
    assert not unit_Bhw.any()
    assert not varies_B.any()


def training_step() -> tuple[Learner, Batch]:
    """A network with BatchNorm, dropout and a ReLU in place, in training mode."""
    network, batch = tiny_net(), batch_of()
    network.train()
    network.fc.bias.requires_grad_(False)
    image_BCHW = random_images(5, 16)
    learner = Learner(network, (Grid("last", 8, 8),))
    return learner, replace(batch, image_BCHW=image_BCHW, soft_label_BK=batch.soft_label_BK.float())


def state_of(network: nn.Module) -> list[object]:
    flags = [weight.requires_grad for weight in network.parameters()]
    modes = [module.training for module in network.modules()]
    values = {name: value.clone() for name, value in network.state_dict().items()}
    return [flags, modes, values]


def bottleneck_of(learner: Learner, batch: Batch) -> Tensor:
    """IBA's map of each image at the network in evaluation mode, from 0 to 1."""
    network, (grid,) = learner.network, learner.grids
    with as_found(network):
        activation_BDhw = capture(network, grid, batch.image_BCHW).activation_BDhw
        statistics = Moments.of(activation_BDhw).statistics()
        request = ExplainRequest(
            network, batch.image_BCHW, batch.target_B, grid=grid, statistics=statistics
        )
        map_Bhw = iba(request, IbaSettings())
    low_B11, high_B11 = map_Bhw.amin((1, 2), keepdim=True), map_Bhw.amax((1, 2), keepdim=True)
    return (map_Bhw - low_B11) / (high_B11 - low_B11)


def test_the_maps_of_all_images_are_remembered_by_row() -> None:
    learner, batch = training_step()
    before = state_of(learner.network)
    IbsglCode().prepare(learner, sweep_of(batch), epoch=0)
    torch.testing.assert_close(state_of(learner.network), before, rtol=0, atol=0)
    assert batch.row_B is not None
    torch.testing.assert_close(
        learner.memory["ib_map_Nhw"][batch.row_B], bottleneck_of(learner, batch)
    )
    assert all(isinstance(value, Tensor) for value in learner.memory.values())


def test_a_mirrored_image_has_its_map_mirrored() -> None:
    learner, batch = learner_of(smooth_net()), batch_of()
    map_Nhw = learner.memory["ib_map_Nhw"]
    for b, map_hw in enumerate(recall_maps(learner, batch)):
        kept_hw = map_Nhw[4 - b]
        expected_hw = torch.stack(kept_hw.unbind(1)[::-1], 1) if b % 2 else kept_hw
        assert torch.equal(map_hw, expected_hw)


def test_the_map_of_the_mirrored_image_is_the_mirrored_map() -> None:
    """Nearly: the network cannot tell left from right, but the noise is not mirrored."""
    learner, batch = training_step()
    for module in learner.network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = (module.weight.data + module.weight.data.flip(3)) / 2
            module.stride = (1, 1)
    learner = Learner(learner.network, (Grid("last", 16, 16),))
    objective = IbsglCode()
    whole = replace(batch, image_BCHW=torch.cat([batch.image_BCHW, batch.image_BCHW.flip(3)]))
    whole = replace(whole, row_B=torch.arange(10), soft_label_BK=batch.soft_label_BK.repeat(2, 1))
    objective.prepare(learner, sweep_of(whole), epoch=0)
    map_Nhw = learner.memory["ib_map_Nhw"]
    away = (map_Nhw[5:] - map_Nhw[:5].flip(2)).abs().mean((1, 2))
    unmirrored = (map_Nhw[5:] - map_Nhw[:5]).abs().mean((1, 2))
    assert (away < 0.3 * unmirrored).all()


def test_the_maps_are_made_anew_as_often_as_asked() -> None:
    for refresh, moves in (("never", False), ("epoch", True)):
        learner, batch = training_step()
        objective, maps = IbsglCode(refresh=refresh), []
        for epoch in range(2):
            objective.prepare(learner, sweep_of(batch), epoch)
            maps.append(learner.memory["ib_map_Nhw"])
            with torch.no_grad():
                learner.network.get_parameter("fc.weight").neg_()
        assert torch.equal(*maps) != moves


def test_maps_made_in_each_step_are_those_made_between_epochs() -> None:
    matches = []
    for refresh in ("epoch", "step"):
        learner, batch = training_step()
        unmoved = replace(batch, flipped_B=torch.zeros(5, dtype=torch.bool))
        objective = IbsglCode(refresh=refresh)
        objective.prepare(learner, sweep_of(batch), epoch=0)
        torch.manual_seed(0)
        matches.append(objective.loss(learner, unmoved).parts["maps"])
        assert ("ib_map_Nhw" in learner.memory) == (refresh == "epoch")
    torch.testing.assert_close(*matches)
    assert matches[1].requires_grad


def test_making_maps_in_a_step_leaves_flags_and_modes() -> None:
    learner, batch = training_step()
    objective = IbsglPaper(refresh="step")
    objective.prepare(learner, sweep_of(batch), epoch=0)
    flags, modes, _ = state_of(learner.network)
    objective.loss(learner, batch).total.backward()  # type: ignore[no-untyped-call]
    assert state_of(learner.network)[:2] == [flags, modes]
    assert learner.network.get_parameter("fc.bias").grad is None
    assert learner.network.get_parameter("last.weight").grad is not None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("maps", "row", r"ibsgl: maps=row \(did you mean 'rows'\?\): it is one of 'spatial', "),
        ("suppress", "never", "ibsgl: suppress=never"),
        ("refresh", "steps", r"ibsgl: refresh=steps \(did you mean 'step'\?\)"),
    ],
)
def test_an_unknown_choice_is_one_line(name: str, value: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        IbsglPaper(**{name: value})  # type: ignore[arg-type]
