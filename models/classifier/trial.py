"""What a network is and does, found by trying it, before anything is computed with it.

Shapes: B images, C=3 colours, H W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from models.errors import UserError, describe_error, lacks_memory
from models.network.capture import as_found

TOLERANCE = 0.05  # of the largest logit; float32 varies less with the batch size
REPEATS = 20  # dropout of a few logits leaves the same ones more often than one would think


def count_logits(network: nn.Module, example_1CHW: Tensor, address: str) -> int:
    """The number of classes; refuses a network that does not choose one class among several."""
    model = f"model {address}"
    _refuse_other_numbers(network, model)
    logits_1K = _logits_of_one(network, example_1CHW, model)
    _refuse_other_answers(logits_1K, model)
    if not logits_1K.isfinite().all():  # some networks divide by the spread of a plain picture
        _refuse_not_finite(network, _noise(example_1CHW), model)
    return logits_1K.shape[1]


def check_answers(network: nn.Module, size: tuple[int, int], address: str) -> Iterator[str]:
    """Two pictures together, again, and alone: refuses a network whose answer to a picture depends
    on the others of its batch; a warning about one that answers differently each time."""
    image_2CHW = torch.cat([_noise(torch.zeros(1, 3, *size), seed) for seed in range(2)])
    image_2CHW[1] /= 2  # so that e.g. the batch's largest value is not the second's
    with as_found(network), torch.no_grad():
        together_2K = network(image_2CHW.clone())
        alone_2K = torch.cat(
            [network(image_1CHW.clone()) for image_1CHW in torch.split(image_2CHW, 1)]
        )
    if together_2K.shape != alone_2K.shape:
        raise UserError(
            f"model {address} gives {tuple(together_2K.shape)} for two pictures and "
            f"{tuple(alone_2K.shape[1:])} for each alone: return logits (batch, classes), a row "
            "for each picture"
        )
    depends = _difference(together_2K, alone_2K)
    if varies := _variation(network, image_2CHW, together_2K, REPEATS if depends else 1):
        yield (
            f"model {address} answers differently each time (by {varies:.0%} of the largest logit "
            "for the same pictures): figures change from run to run; switch off dropout and other "
            "random steps in evaluation mode"
        )
    elif depends:
        raise UserError(
            f"model {address} gives a picture other logits when another is in its batch (by "
            f"{depends:.0%} of the largest): judge each picture by itself, with statistics of "
            "training in place of the batch's"
        )


def _variation(network: nn.Module, image_BCHW: Tensor, logits_BK: Tensor, repeats: int) -> float:
    """How much the same pictures' logits differ from those given, asked until they do."""
    with as_found(network), torch.no_grad():
        differences = (_difference(network(image_BCHW.clone()), logits_BK) for _ in range(repeats))
        return next(filter(None, differences), 0.0)


def _difference(logits_BK: Tensor, other_BK: Tensor) -> float:
    """As a share of the largest logit; 0 where it is within the tolerance or not known."""
    largest = float(torch.maximum(logits_BK.abs().max(), other_BK.abs().max()))
    difference = float((logits_BK - other_BK).abs().max())
    return difference / largest if difference > TOLERANCE * largest else 0.0


def _noise(example_BCHW: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(example_BCHW.shape, generator=torch.Generator().manual_seed(seed))


def _refuse_other_numbers(network: nn.Module, model: str) -> None:
    """Networks whose weights are not numbers of float32 on this machine."""
    weights = dict(network.named_parameters())
    for name, weight in weights.items():
        if is_lazy(weight):
            raise UserError(
                f"{model} is lazy: {name} gets its shape and random numbers from the first "
                "picture; call the network once in the factory, then load its weights"
            )
        if weight.is_meta:
            raise UserError(
                f"{model} is on the meta device, where {name} has no numbers: load its weights in "
                "the factory (load_state_dict(..., assign=True))"
            )
    if any(not isinstance(value, Tensor) or value.is_quantized for value in _state(network)):
        raise UserError(
            f"{model} is quantised, and maps are made in float32: return the network as it was "
            "before it was quantised"
        )
    other_types = {weight.dtype for weight in weights.values()} - {torch.float32}
    if other_types:
        raise UserError(
            f"{model} computes in {_name(other_types.pop())}, and maps are made in float32: "
            "return network.float() from the factory"
        )


def _state(network: nn.Module) -> list[object]:
    return list(network.state_dict().values())


def _logits_of_one(network: nn.Module, example_1CHW: Tensor, model: str) -> Tensor:
    """The network's answer to one picture, if it is a tensor (1, K)."""
    with as_found(network), torch.enable_grad():
        image_1CHW = example_1CHW.clone().requires_grad_(True)
        try:
            logits = network(image_1CHW.clone())  # a copy: some networks scale theirs in place
        except Exception as error:  # the user's code may raise anything
            raise UserError(
                f"{model} {_describe_refusal(error, tuple(example_1CHW.shape))}"
            ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        output = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UserError(
            f"{model} gives {output}, not logits (batch, classes): "
            "return one tensor of them, with a factory if need be"
        )
    return logits


def _describe_refusal(error: Exception, shape: tuple[int, ...]) -> str:
    if lacks_memory(error):
        return f"needs more memory for a picture {shape} than there is: give smaller pictures"
    return (
        f"does not accept pictures {shape}, the size that its preprocessing gives: "
        f"{describe_error(error)}"
    )


def _refuse_other_answers(logits_1K: Tensor, model: str) -> None:
    """Answers that are not the logits of several classes."""
    if not logits_1K.is_floating_point():
        raise UserError(
            f"{model} gives logits in {_name(logits_1K.dtype)}: return logits.float() from a "
            "factory"
        )
    if logits_1K.shape[1] == 0:
        raise UserError(f"{model} has no logits: return one for each class")
    if logits_1K.shape[1] == 1:
        raise UserError(
            f"{model} has one logit (a binary classifier by threshold): "
            "give it two logits, [0, logit], in a factory"
        )
    last = type(logits_1K.grad_fn).__name__  # finds functions as well as modules
    if last.startswith("SigmoidBackward"):
        raise UserError(
            f"{model} ends in a sigmoid (several labels per image): "
            "only single-label classifiers can be audited"
        )
    if last.startswith("SoftmaxBackward"):
        raise UserError(
            f"{model} ends in a softmax, and maps need logits: leave it out of the factory"
        )


def _refuse_not_finite(network: nn.Module, image_1CHW: Tensor, model: str) -> None:
    """A network that gives NaN or infinity for noise too, with the weights that hold them."""
    with as_found(network), torch.no_grad():
        if network(image_1CHW.clone()).isfinite().all():
            return
    broken = [
        f"{name} ({int((~weight.isfinite()).sum()):,} of {weight.numel():,} numbers)"
        for name, weight in network.named_parameters()
        if not weight.isfinite().all()
    ]
    why = (
        f"NaN or infinity is in its weights, first in {broken[0]}"
        if broken
        else ("its weights are finite, so they are too large, or it divides by zero")
    )
    raise UserError(
        f"{model} gives NaN or infinity for every picture: {why}; train or save it again"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
