"""Maps of a network by any method: from the one pass, or from the method's own passes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.errors import UserError
from models.methods import user_method
from models.methods.registry import CAPTUM, Method, NetworkMethod, PassMethod, UserMethod
from models.network.bias_terms import biased_layers
from models.network.capture import Capture, as_found, capture
from models.network.explain_request import ExplainRequest
from models.network.grid import Grid
from models.time_limit import limit_time


def pass_methods(methods: Sequence[Method]) -> list[PassMethod]:
    """Those whose maps are made from the one pass."""
    return [method for method in methods if isinstance(method, PassMethod)]


def network_methods(methods: Sequence[Method]) -> list[NetworkMethod]:
    """Those that run the network themselves."""
    return [method for method in methods if isinstance(method, NetworkMethod)]


def reads_image(methods: Sequence[Method]) -> bool:
    """Must the backward of the one pass go back to the image for these methods?"""
    return any(method.reads != "layer" for method in pass_methods(methods))


def reads_biases(methods: Sequence[Method]) -> bool:
    """Must the one pass keep the gradients of all layers with a bias?"""
    return any(method.reads == "biases" for method in pass_methods(methods))


def capture_for(
    methods: Sequence[Method],
    network: nn.Module,
    grid: Grid | None,
    image_BCHW: Tensor,
    target_B: Tensor | None = None,
) -> Capture:
    """The one pass, with all that these methods read."""
    return capture(
        network,
        grid,
        image_BCHW,
        target_B,
        to_image=reads_image(methods),
        biases=reads_biases(methods),
    )


def explain(method: Method, request: ExplainRequest) -> Tensor:
    """The maps of one method alone, for comparisons and sanity checks."""
    if isinstance(method, PassMethod):
        network, grid = request.network, request.grid
        captured = capture_for([method], network, grid, request.image_BCHW, request.target_B)
        return method.map_Bhw(captured)
    assert isinstance(method, NetworkMethod)
    with as_found(request.network):
        return method.map_Bhw(request)


def needs_default_layer(method: Method) -> bool:
    """Does it need the classifier's layer?"""
    if isinstance(method, PassMethod):
        return method.reads == "layer"
    return isinstance(method, NetworkMethod) and method.needs_layer and not method.layer


def check_methods(
    methods: Sequence[Method], network: nn.Module, grid: Grid | None, image_BCHW: Tensor
) -> None:
    """Refuse methods that do not work on the network; costs a pass or two."""
    for method in methods:
        if grid is None and needs_default_layer(method):
            raise UserError(
                f"method {method.name} needs a layer with cells, and none was found in the model: "
                "name one with --layer, or --methods that need none, such as ibisa or rise"
            )
    if reads_biases(methods) and not biased_layers(network):
        raise UserError(
            "method full_grad needs layers with a bias, and none was found in the model: "
            "choose other --methods, such as saliency or ibisa"
        )
    captured = capture_for(methods, network, grid, image_BCHW)
    request = ExplainRequest(network, image_BCHW, captured.target_B, grid=grid)
    with as_found(network):
        if any(method.needs_gradient for method in network_methods(methods)):
            request.gradient_of(image_BCHW, captured.target_B)
        for method in network_methods(methods):
            if isinstance(method, UserMethod):
                with limit_time(f"trying method {method.address}"):
                    user_method.check(request, method.address)
            elif method.name.startswith(CAPTUM):  # only a trial tells
                method.map_Bhw(request)
