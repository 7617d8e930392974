"""The gradient of every objective against central differences, in double precision."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from models.network.layers import find_grid
from models.objectives import ibsgl, sib_robust
from models.objectives.registry import find_objective
from models.objectives.step import Loss
from tests.support.networks import tiny_transformer
from tests.support.smooth_training_step import (
    LAST,
    STEM,
    batch_of,
    by_differences,
    by_graph,
    held,
    learner_of,
    smooth_net,
    terms_of,
)

Held = tuple[tuple[ModuleType, str], ...]
OWN_MASK: Held = ((sib_robust, "derive_mask"),)
FIRST_ORDER: Held = ((ibsgl, "gradient_of"),)
CONSTANT_GOAL: Held = (*FIRST_ORDER, (ibsgl, "step_down"))
# Each objective, and the functions whose results it treats as constants.
OBJECTIVES: dict[str, Held] = {
    "erm": (),
    "swap": (),
    "dfr": (),
    "sib": (),
    "sib:share=0.5": (),
    "sib:form=feature": (),
    "sib:form=paper": (),
    "sib:form=robust": (),
    "sib:form=robust:mask=self": OWN_MASK,
    "ibsgl": FIRST_ORDER,
    "ibsgl:suppress=always:maps=rows:beta=2": FIRST_ORDER,
    "ibsgl:suppress=wrong": FIRST_ORDER,
    "ibsgl:form=paper": CONSTANT_GOAL,
    "ibsgl:form=paper:suppress=always:mu=3": CONSTANT_GOAL,
}


def check_agreement(graph: Tensor, differences: Tensor) -> None:
    size = float(graph.abs().max())
    assert size > 0
    torch.testing.assert_close(graph, differences, rtol=1e-4, atol=1e-5 * size)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_is_the_slope(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = smooth_net(), batch_of()
    learner, objective = learner_of(network), find_objective(name).objective

    def judge() -> Loss:
        return objective.loss(learner, batch)

    graph = by_graph(judge(), network)
    for module, function in OBJECTIVES[name]:
        held(monkeypatch, module, function, judge)
    differences = by_differences(judge, network)
    assert "total" in graph
    for term, slopes in graph.items():
        check_agreement(slopes, differences[term])


def test_several_layers_give_one_gradient() -> None:
    network, batch = smooth_net(), batch_of()
    learner = learner_of(network, STEM, LAST)
    objective = find_objective("sib:form=feature:layer=stem+last").objective

    def judge() -> Loss:
        return objective.loss(learner, batch)

    check_agreement(
        by_graph(judge(), network)["background"], by_differences(judge, network)["background"]
    )


@pytest.mark.parametrize("network_name", ["vit", "vit_average", "swin"])
@pytest.mark.parametrize("name", ["sib:form=paper", "sib:form=robust", "sib:form=feature"])
def test_attention_is_differentiated_twice(name: str, network_name: str) -> None:
    """In training mode, in which fused attention would run."""
    network, batch = tiny_transformer(network_name).double(), batch_of(4, 32, 4)
    grid = find_grid(network, batch.image_BCHW)
    for module in network.modules():
        module.training = not isinstance(module, (nn.Dropout, StochasticDepth))
    learner, objective = learner_of(network, grid, count=4), find_objective(name).objective
    loss = objective.loss(learner, batch)
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    gradients = torch.autograd.grad(loss.parts["background"], weights, allow_unused=True)
    lengths = [0.0 if slope is None else float(slope.norm()) for slope in gradients]
    length = torch.tensor(lengths).norm().item()
    assert length > 0
    ends = []
    for stride in (1e-6, -2e-6):
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    weight.add_(gradient, alpha=stride / length)
        ends.append(objective.loss(learner, batch).parts["background"].item())
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_parts_are_finite_numbers_that_can_be_kept(name: str) -> None:
    network = smooth_net()
    loss = find_objective(name).objective.loss(learner_of(network), batch_of())
    kept = {part: value.detach() for part, value in loss.parts.items()}
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert all(value.ndim == 0 and value.isfinite() for value in kept.values())
    assert all(value.dtype == torch.double for value in terms_of(loss).values())
    assert all(weight.grad is not None for weight in network.parameters())
