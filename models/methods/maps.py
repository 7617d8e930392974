"""Maps from methods and a network: from the one pass, from passes of a method's own, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.errors import UserError
from models.methods import user_method
from models.methods.registry import CAPTUM, Method, NetworkMethod, PassMethod, UserMethod
from models.network.bias_terms import biased_layers
from models.network.capture import Capture, as_found, capture
from models.network.grid import Grid
from models.network.question import Question


def pass_methods(methods: Sequence[Method]) -> list[PassMethod]:
    """Those that follow from the one pass."""
    return [method for method in methods if isinstance(method, PassMethod)]


def network_methods(methods: Sequence[Method]) -> list[NetworkMethod]:
    """Those that run the network by themselves."""
    return [method for method in methods if isinstance(method, NetworkMethod)]


def reads_image(methods: Sequence[Method]) -> bool:
    """Does the pass for these methods have to go back to the image?"""
    return any(method.reads != "layer" for method in pass_methods(methods))


def reads_biases(methods: Sequence[Method]) -> bool:
    """Does the pass have to keep the gradients of all layers with a bias?"""
    return any(method.reads == "biases" for method in pass_methods(methods))


def capture_for(
    methods: Sequence[Method],
    network: nn.Module,
    grid: Grid | None,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
) -> Capture:
    """The one pass with all that these methods read of it."""
    return capture(
        network,
        grid,
        image_BCHW,
        target_B,
        to_image=reads_image(methods),
        biases=reads_biases(methods),
    )


def explain(method: Method, asked: Question) -> Tensor:
    """The method's maps alone, of any network: what a comparison and a sanity check ask."""
    if isinstance(method, PassMethod):
        network, grid = asked.network, asked.grid
        seen = capture_for([method], network, grid, asked.image_BCHW, asked.target_B)
        return method.map_Bhw(seen)
    assert isinstance(method, NetworkMethod)
    with as_found(asked.network):
        return method.map_Bhw(asked)


def _needs_layer(method: Method) -> bool:
    if isinstance(method, PassMethod):
        return method.reads == "layer"
    return isinstance(method, NetworkMethod) and method.looks_inside and not method.layer


def check_methods(
    methods: Sequence[Method], network: nn.Module, grid: Grid | None, image_BCHW: Tensor
) -> None:
    """Refuse methods that the network cannot serve; a pass or two."""
    for method in methods:
        if grid is None and _needs_layer(method):
            raise UserError(
                f"method {method.name} needs a layer with cells, and none was found in the model: "
                f"name one with --layer, or --methods that need none, such as ibisa or rise"
            )
    if reads_biases(methods) and not biased_layers(network):
        raise UserError(
            "method full_grad needs layers with a bias, and none is seen in the model: "
            "choose other --methods, such as saliency or ibisa"
        )
    seen = capture_for(methods, network, grid, image_BCHW)
    asked = Question(network, image_BCHW, seen.target_B, grid=grid)
    with as_found(network):
        if any(method.follows for method in network_methods(methods)):
            asked.gradient_of(image_BCHW, seen.target_B)
        for method in network_methods(methods):
            if isinstance(method, UserMethod):
                user_method.check(asked, method.address)
            elif method.name.startswith(CAPTUM):  # nobody knows beforehand
                method.map_Bhw(asked)
