"""Any attribution of Captum by its name, asked image by image as our own methods are.

Captum is an optional extra, imported where it is used. A pass leaves nothing in the network: its
methods hook layers, hang values on them and some exchange weights, also when they fail half-way.
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
from models.network.isolation import fixed_seed, restoring
from models.network.question import Question

Value = int | float | bool | str | tuple[int, ...]
ALONE = frozenset(  # one image a call, so that its batch does not enter
    {"GradientShap", "LayerGradientShap", "Lime", "KernelShap", "ShapleyValueSampling"}  # random
    | {"FeatureAblation", "Occlusion", "LayerFeatureAblation"}  # small differences of logits
    | {"LRP", "LayerLRP"}  # divide by what may be nearly nothing
)
NOISY = frozenset({"GradientShap", "LayerGradientShap"})  # pass all samples in one batch
MOST_SAMPLES = 64
PLANAR = frozenset({"LayerGradCam", "GuidedGradCam"})  # average over what they take for planes
BASES = frozenset(  # of others; they explain nothing themselves
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
OURS = frozenset(  # what a question gives, and what a line of text cannot say
    {"self", "inputs", "target", "forward_func", "model", "layer", "device_ids", "layer_mask"}
    | {"internal_batch_size", "perturbations_per_eval", "additional_forward_args", "grad_kwargs"}
    | {"show_progress", "verbose", "return_convergence_delta", "return_input_shape"}
    | {"custom_attribution_func", "interpretable_model", "similarity_func", "perturb_func"}
    | {"attribute_to_layer_input", "attr_dim_summation", "memory_efficient"}
)
NEEDED = {"sliding_window_shapes": "3x8x8", "feature_mask": "7x7"}  # and examples
FORMS: dict[str, tuple[Callable[[str, Value], bool], str]] = {  # of what is worked with here
    "feature_mask": (
        lambda _, value: isinstance(value, tuple) and len(value) == 2 and min(value) > 0,
        "rows and columns of cells, such as 7x7",
    ),
    "baselines": (lambda _, value: isinstance(value, int | float), "one number for all pixels"),
    "n_samples": (
        lambda name, value: (
            isinstance(value, int) and 1 <= value <= (MOST_SAMPLES if name in NOISY else math.inf)
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
    def looks_inside(self) -> bool:
        """Does it ask for a layer?"""
        return "layer" in _parameters(_find(self.name))


def captum_method(name: str, arguments: Mapping[str, str]) -> CaptumMethod:
    """The method of this class name; arguments as text: 8, 0.5, true, 3x8x8 or a word."""
    takes = set(_parameters(_find(name))) - OURS
    for argument in sorted(set(arguments) - takes):
        allowed = list_names(sorted(takes)) if takes else "none"
        near = suggest(argument, takes)
        raise UserError(f"captum:{name} takes no {argument!r}{near}; it takes {allowed}")
    for needed, example in NEEDED.items():
        if needed in takes - set(arguments):
            whole = f"captum:{name}:{needed}={example}"
            raise UserError(f"captum:{name} needs {needed}: write {whole}")
    read = {argument: _read(text) for argument, text in arguments.items()}
    for argument in sorted(FORMS.keys() & read.keys()):
        is_right, words = FORMS[argument]
        if not is_right(name, read[argument]):
            found = f"{argument}={arguments[argument]}"
            raise UserError(f"captum:{name}: {found}: it must be {words}")
    return CaptumMethod(name, tuple(sorted(read.items())))


def explain(asked: Question, foreign: CaptumMethod) -> Tensor:
    """Signed maps: attributions of the picture (B, H, W) or of the grid's layer (B, h, w), summed
    over colours or channels. Where a method compares, it does so with the mean of the data."""
    _check(asked, foreign)
    # Two copies: some methods pass each image together with what it is compared with.
    copies = asked.room if foreign.name in ALONE else 2
    return torch.cat([_explain_part(part, foreign) for part in asked.parts(copies)])


def _explain_part(part: Question, foreign: CaptumMethod) -> Tensor:
    network = _Copying(part.network)
    try:
        with restoring(network), fixed_seed(part.image_BCHW.device), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its hooks
            return _arranged(part, _attribute(part, network, foreign)).detach().to(part.image_BCHW)
    except UserError:
        raise
    except Exception as error:  # anything, of Captum's or of the network's
        if "memory" in describe_error(error).lower():  # a smaller batch may help
            raise
        raise UserError(
            f"captum:{foreign.name} does not work on this network: "
            f"{printable(describe_error(error))}"
        ) from error


def _attribute(part: Question, network: nn.Module, foreign: CaptumMethod) -> Tensor:
    given, kind = _given(part, network, dict(foreign.arguments)), _find(foreign.name)
    method = kind(**_taken(kind.__init__, given))
    found = method.attribute(**_taken(kind.attribute, given))
    attribution: Tensor = found[0] if isinstance(found, tuple | list) else found
    return attribution


def _given(part: Question, network: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
    """All that methods may ask for, by Captum's names; each takes what its signature has."""
    image_BCHW = part.image_BCHW.detach().clone().requires_grad_(True)  # some hook what it gives
    baseline = float(arguments.pop("baselines", 0))
    return {
        "forward_func": network,
        "model": network,
        "layer": part.grid and part.network.get_submodule(part.grid.layer),
        "inputs": image_BCHW,
        "target": part.target_B,
        "baselines": torch.full_like(image_BCHW, baseline),
        "feature_mask": _cells(image_BCHW, *arguments.pop("feature_mask", (1, 1))),
        "internal_batch_size": part.room,
        "perturbations_per_eval": max(1, part.room // len(image_BCHW)),
        **arguments,
    }


def _arranged(part: Question, attribution: Tensor) -> Tensor:
    """Summed over colours, or over the channels of the grid's layer."""
    if attribution.shape == part.image_BCHW.shape:
        return attribution.sum(1)
    assert part.grid is not None  # checked before
    return part.grid.arrange(attribution).sum(1)


def _check(asked: Question, foreign: CaptumMethod) -> None:
    """Refuse what Captum would do wrong without a word."""
    grid, parameters = asked.grid, _parameters(_find(foreign.name))
    if "layer" in parameters and grid is None:
        raise ValueError(f"captum:{foreign.name} needs a question with a grid")
    if foreign.name in PLANAR and grid is not None and grid.layout != "BDhw":
        raise UserError(
            f"captum:{foreign.name} averages over rows and columns, and layer {grid.layer!r} has "
            f"{grid.layout}: take grad_cam"
        )


def _find(name: str) -> Any:
    """Captum's class of that name, or why there is none."""
    try:
        from captum import attr
    except ImportError as error:
        line = f'captum:{name} needs Captum: pip install "sightline[captum]"'
        raise UserError(line) from error
    kinds = {each: kind for each, kind in vars(attr).items() if inspect.isclass(kind)}
    methods = {each for each, kind in kinds.items() if issubclass(kind, attr.Attribution)} - BASES
    refused = {each: reason for each in methods if (reason := _refusal(each))}
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
    fitting = (reason for pattern, reason in REFUSED.items() if fnmatchcase(name, pattern))
    return next(fitting, None)


def _parameters(kind: Any) -> dict[str, inspect.Parameter]:
    """Of the constructor and of the call."""
    both = [inspect.signature(function).parameters for function in (kind, kind.attribute)]
    named = {name: each for parameters in both for name, each in parameters.items()}
    return {name: each for name, each in named.items() if each.kind is not each.VAR_KEYWORD}


def _taken(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the function's signature has of what is given."""
    return {name: given[name] for name in inspect.signature(function).parameters if name in given}


def _read(text: str) -> Value:
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


def _cells(image_BCHW: Tensor, rows: int, columns: int) -> Tensor:
    """(1, C, H, W): which cell each pixel lies in, of so many rows and columns."""
    height, width = image_BCHW.shape[2:]
    row_H = torch.arange(height, device=image_BCHW.device) * rows // height
    column_W = torch.arange(width, device=image_BCHW.device) * columns // width
    return (row_H[:, None] * columns + column_W).repeat(1, image_BCHW.shape[1], 1, 1)


class _Copying(nn.Module):
    """The network on a copy of the picture, since some work in place on theirs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = False

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.network(image_BCHW.clone())
        return logits_BK
