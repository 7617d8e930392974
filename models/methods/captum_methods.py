"""Captum's attribution methods by name, image by image like our own methods.

Captum is an optional extra, imported where it is used. The network is restored after each call:
Captum's methods hook layers, set attributes and some replace weights, and may fail half-way.
Shapes: B images, C colours, H W pixels, h w cells of a layer.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import UserError, describe_error, list_names, printable, suggest
from models.network.explain_request import ExplainRequest
from models.network.isolation import fixed_seed, restoring

Value = int | float | bool | str | tuple[int, ...]
ONE_IMAGE_PER_CALL = frozenset(  # so that maps do not depend on the batch
    {"GradientShap", "LayerGradientShap", "Lime", "KernelShap", "ShapleyValueSampling"}  # random
    | {"FeatureAblation", "Occlusion", "LayerFeatureAblation"}  # subtract nearly equal logits
    | {"LRP", "LayerLRP"}  # divide by what may be nearly zero
)
ALL_SAMPLES_AT_ONCE = frozenset({"GradientShap", "LayerGradientShap"})  # in one batch
MOST_SAMPLES = 64
NEED_PLANES = frozenset({"LayerGradCam", "GuidedGradCam"})  # average over rows and columns
BASE_CLASSES = frozenset(  # of other methods
    {"Attribution", "LimeBase"}
    | {f"{kind}Attribution" for kind in ("Gradient", "Internal", "Layer", "Neuron", "Perturbation")}
)
REFUSED = {
    "Neuron*": "explains a neuron, not a class",
    "*LLM*": "explains texts, not images",
    "NoiseTunnel": "wraps another method: smooth_grad does so with the gradient",
    "DataLoaderAttribution": "wraps another method",
    "FeaturePermutation": "mixes the images of a batch: take FeatureAblation",
    "LayerFeaturePermutation": "mixes the images of a batch: take LayerFeatureAblation",
    "DeepLiftShap": "needs several pictures to compare with: take DeepLift",
    "LayerDeepLiftShap": "needs several pictures to compare with: take LayerDeepLift",
    "LayerActivation": "does not ask for a class",
    "ShapleyValues": "passes every order of the features: take ShapleyValueSampling",
}
NOT_ARGUMENTS = frozenset(  # set from the request, or not expressible as text
    {"self", "inputs", "target", "forward_func", "model", "layer", "device_ids", "layer_mask"}
    | {"internal_batch_size", "perturbations_per_eval", "additional_forward_args", "grad_kwargs"}
    | {"show_progress", "verbose", "return_convergence_delta", "return_input_shape"}
    | {"custom_attribution_func", "interpretable_model", "similarity_func", "perturb_func"}
    | {"attribute_to_layer_input", "attr_dim_summation", "memory_efficient"}
)
REQUIRED = {"sliding_window_shapes": "3x8x8", "feature_mask": "7x7"}  # with examples
# For arguments that we use ourselves: is the value valid, and what is allowed.
VALUE_RULES: dict[str, tuple[Callable[[str, Value], bool], str]] = {
    "feature_mask": (
        lambda _, value: isinstance(value, tuple) and len(value) == 2 and min(value) > 0,
        "rows and columns of cells, such as 7x7",
    ),
    "baselines": (lambda _, value: isinstance(value, int | float), "one number for all pixels"),
    "n_samples": (
        lambda name, value: (
            isinstance(value, int)
            and 1 <= value <= (MOST_SAMPLES if name in ALL_SAMPLES_AT_ONCE else math.inf)
        ),
        f"1 or more, for methods that make one batch of them up to {MOST_SAMPLES}",
    ),
}


@dataclass(frozen=True)
class CaptumMethod:
    """A method of Captum with its arguments, sorted by name."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    @property
    def needs_layer(self) -> bool:
        """Does Captum's class take a layer?"""
        return "layer" in _parameters(_find_class(self.name))


def captum_method(name: str, arguments: Mapping[str, str]) -> CaptumMethod:
    """The method of this class name; arguments are text: 8, 0.5, true, 3x8x8 or a word."""
    known = set(_parameters(_find_class(name))) - NOT_ARGUMENTS
    for argument in sorted(set(arguments) - known):
        allowed = list_names(sorted(known)) if known else "none"
        near = suggest(argument, known)
        raise UserError(f"captum:{name} takes no {argument!r}{near}; it takes {allowed}")
    for required, example in REQUIRED.items():
        if required in known - set(arguments):
            whole = f"captum:{name}:{required}={example}"
            raise UserError(f"captum:{name} needs {required}: write {whole}")
    values = {argument: _parse_value(text) for argument, text in arguments.items()}
    for argument in sorted(VALUE_RULES.keys() & values.keys()):
        is_valid, rule = VALUE_RULES[argument]
        if not is_valid(name, values[argument]):
            text = f"{argument}={arguments[argument]}"
            raise UserError(f"captum:{name}: {text}: it must be {rule}")
    return CaptumMethod(name, tuple(sorted(values.items())))


def explain(request: ExplainRequest, method: CaptumMethod) -> Tensor:
    """Signed maps: attributions of the picture (B, H, W) or of the grid's layer (B, h, w), summed
    over colours or channels. Methods that need a baseline get the mean of the data."""
    _check(request, method)
    # Two copies: some methods pass each image together with its baseline.
    copies = request.batch_size if method.name in ONE_IMAGE_PER_CALL else 2
    return torch.cat([_explain_batch(batch, method) for batch in request.batches(copies)])


def _explain_batch(batch: ExplainRequest, method: CaptumMethod) -> Tensor:
    network = _CopyingNetwork(batch.network)
    try:
        with restoring(network), fixed_seed(batch.image_BCHW.device), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Captum announces its hooks
            map_Bhw = _sum_channels(batch, _attribute(batch, network, method))
            return map_Bhw.detach().to(batch.image_BCHW)
    except UserError:
        raise
    except Exception as error:  # Captum or the network may raise anything
        if "memory" in describe_error(error).lower():  # a smaller batch may help
            raise
        raise UserError(
            f"captum:{method.name} does not work on this network: "
            f"{printable(describe_error(error))}"
        ) from error


def _attribute(batch: ExplainRequest, network: nn.Module, method: CaptumMethod) -> Tensor:
    arguments = _available_arguments(batch, network, dict(method.arguments))
    kind = _find_class(method.name)
    captum = kind(**_select_arguments(kind.__init__, arguments))
    result = captum.attribute(**_select_arguments(kind.attribute, arguments))
    attribution: Tensor = result[0] if isinstance(result, tuple | list) else result
    return attribution


def _available_arguments(
    batch: ExplainRequest, network: nn.Module, arguments: dict[str, Any]
) -> dict[str, Any]:
    """All that Captum's methods may take, by its names."""
    image_BCHW = batch.image_BCHW.detach().clone().requires_grad_(True)  # some methods hook it
    baseline = float(arguments.pop("baselines", 0))
    return {
        "forward_func": network,
        "model": network,
        "layer": batch.grid and batch.network.get_submodule(batch.grid.layer),
        "inputs": image_BCHW,
        "target": batch.target_B,
        "baselines": torch.full_like(image_BCHW, baseline),
        "feature_mask": _feature_mask(image_BCHW, *arguments.pop("feature_mask", (1, 1))),
        "internal_batch_size": batch.batch_size,
        "perturbations_per_eval": max(1, batch.batch_size // len(image_BCHW)),
        **arguments,
    }


def _sum_channels(batch: ExplainRequest, attribution: Tensor) -> Tensor:
    """Summed over colours, or over the channels of the grid's layer."""
    if attribution.shape == batch.image_BCHW.shape:
        return attribution.sum(1)
    assert batch.grid is not None  # checked before
    return batch.grid.arrange(attribution).sum(1)


def _check(request: ExplainRequest, method: CaptumMethod) -> None:
    """Refuse what Captum would silently do wrong."""
    grid, parameters = request.grid, _parameters(_find_class(method.name))
    if "layer" in parameters and grid is None:
        raise ValueError(f"captum:{method.name} needs a layer with cells")
    if method.name in NEED_PLANES and grid is not None and grid.layout != "BDhw":
        raise UserError(
            f"captum:{method.name} averages over rows and columns, and layer {grid.layer!r} has "
            f"{grid.layout}: take grad_cam"
        )


def _find_class(name: str) -> Any:
    """Captum's class of that name; refuses one that cannot be used here."""
    try:
        from captum import attr
    except ImportError as error:
        line = f'captum:{name} needs Captum: pip install "sightline[captum]"'
        raise UserError(line) from error
    kinds = {key: kind for key, kind in vars(attr).items() if inspect.isclass(kind)}
    methods = {key for key, kind in kinds.items() if issubclass(kind, attr.Attribution)}
    methods -= BASE_CLASSES
    refused = {key: reason for key in methods if (reason := _refusal(key))}
    if name in refused:
        raise UserError(f"captum:{name} {refused[name]}")
    known = sorted(methods - set(refused))
    if name not in known:
        raise UserError(
            f"Captum has no method {name!r}{suggest(name, known)}; known are "
            f"{list_names(known, 30)}"
        )
    return kinds[name]


def _refusal(name: str) -> str | None:
    reasons = (reason for pattern, reason in REFUSED.items() if fnmatchcase(name, pattern))
    return next(reasons, None)


def _parameters(kind: Any) -> dict[str, inspect.Parameter]:
    """Of the constructor and of the call."""
    both = [inspect.signature(function).parameters for function in (kind, kind.attribute)]
    merged = {**both[0], **both[1]}
    return {name: one for name, one in merged.items() if one.kind is not one.VAR_KEYWORD}


def _select_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are in the function's signature."""
    parameters = inspect.signature(function).parameters
    return {name: arguments[name] for name in parameters if name in arguments}


def _parse_value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(int(number) for number in text.split("x"))
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _feature_mask(image_BCHW: Tensor, rows: int, columns: int) -> Tensor:
    """(1, C, H, W): the index of each pixel's cell, in a grid of these rows and columns."""
    height, width = image_BCHW.shape[2:]
    row_H = torch.arange(height, device=image_BCHW.device) * rows // height
    column_W = torch.arange(width, device=image_BCHW.device) * columns // width
    return (row_H[:, None] * columns + column_W).repeat(1, image_BCHW.shape[1], 1, 1)


class _CopyingNetwork(nn.Module):
    """The network on a copy of the picture, since some networks change theirs in place."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = False

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.network(image_BCHW.clone())
        return logits_BK
