"""Run only the part of a network after a layer, on activations that replace the layer's own.

A recorded pass of one picture shows which modules run before the layer. When the head runs, the
outermost of them return their recorded outputs, so that the trunk costs next to nothing.
Shapes: B images, N copies of them, C colours, H W pixels, K classes, D feature channels, h w cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.errors import UserError
from models.network.capture import record_output
from models.network.grid import Grid

TOLERANCE = 0.01  # of the logits' distance to the recorded picture's; rounding errors are less


@dataclass(frozen=True)
class Head:
    """The network after the layer, for copies of some images; unchanged between calls."""

    network: nn.Module
    grid: Grid
    output: Tensor  # of the layer, for the images, in its own layout; no graph
    records: _Records

    @property
    def activation_BDhw(self) -> Tensor:
        """The layer's cells for the images."""
        return self.grid.arrange(self.output)

    def __call__(self, activation_NDhw: Tensor) -> Tensor:
        """Logits (N, K) of B activations, or of copies of the whole batch one after another.

        Tokens before the cells stay each image's own.
        """
        record = self.records.of(len(activation_NDhw))
        layer = self.network.get_submodule(self.grid.layer)
        replaced = self.grid.replace_cells(activation_NDhw, self.output)
        outputs = {**record.before, layer: [*record.before.get(layer, ()), replaced]}
        with ExitStack() as stack:
            # Torch's own encoder calls no module inside it, unless one of them has a hook.
            stack.callback(layer.register_forward_hook(lambda *_: None).remove)
            for module, values in outputs.items():
                stack.enter_context(_replaying(module, values))
            logits_NK: Tensor = self.network(record.image_NCHW.clone())
            return logits_NK


def head_of(network: nn.Module, grid: Grid, image_BCHW: Tensor, copies: int = 1) -> Head:
    """The head of a network in evaluation mode; refuses a layer that the signal partly goes around.

    Each call will get `copies` of the images. Costs one pass of the images, one of a single
    picture, and one or two of the images through the head.
    """
    with torch.no_grad(), record_output(network.get_submodule(grid.layer), cut=True) as outputs:
        logits_BK = network(image_BCHW.clone())  # some networks work in place
        if not outputs:
            raise UserError(f"layer {grid.layer!r} does not run: name another (iba:layer=...)")
        output = outputs[-1].detach()
    generator = torch.Generator().manual_seed(0)
    noise_1CHW = torch.randn(image_BCHW[:1].shape, generator=generator).to(image_BCHW)
    head = Head(network, grid, output, _Records(network, grid.layer, noise_1CHW, whole=False))
    with suppress(RuntimeError, ValueError, TypeError, IndexError):  # shapes that do not fit
        if _agrees(head, logits_BK.repeat(min(2, copies), 1)):
            return head
    head = Head(network, grid, output, _Records(network, grid.layer, noise_1CHW, whole=True))
    if _agrees(head, logits_BK.repeat(min(2, copies), 1)):
        return head
    raise UserError(
        f"part of the signal goes around layer {grid.layer!r}: name a layer through which all of "
        "it passes (iba:layer=...), or choose another method"
    )


@torch.no_grad()
def _agrees(head: Head, logits_NK: Tensor) -> bool:
    """Does the head give these logits for the images' own activations?

    The recorded picture is another one: a signal around the layer would come from that picture.
    """
    activation_BDhw = head.activation_BDhw
    copies = len(logits_NK) // len(activation_BDhw)
    head_NK = head(activation_BDhw.repeat(copies, 1, 1, 1))
    if head_NK.shape != logits_NK.shape:
        return False
    finite_N = logits_NK.isfinite().all(1)  # a picture that gives NaN proves nothing
    if not finite_N.any():
        return True
    moved_NK = logits_NK - head.records.of(len(logits_NK)).logits_NK[:1]
    error, moved, size = (
        value_NK[finite_N].abs().max().item()
        for value_NK in (head_NK - logits_NK, moved_NK, logits_NK)
    )
    return error <= TOLERANCE * moved + 1e-5 * size


@dataclass(frozen=True)
class _Record:
    """The results of one pass of the whole network."""

    image_NCHW: Tensor
    logits_NK: Tensor
    before: Mapping[nn.Module, Sequence[object]]  # outputs of the calls that end before the layer


@dataclass
class _Records:
    """Passes of a noise picture: one, or with `whole` as many copies as the head gets activations.

    One is enough unless the network takes the size of the batch from the picture for later use.
    """

    network: nn.Module
    layer: str
    noise_1CHW: Tensor
    whole: bool
    kept: dict[int, _Record] = field(default_factory=dict)  # the last one, by its pictures' number

    def of(self, count: int) -> _Record:
        count = count if self.whole else 1
        if count not in self.kept:
            self.kept.clear()
            image_NCHW = self.noise_1CHW.expand(count, -1, -1, -1)
            self.kept[count] = _record(self.network, self.layer, image_NCHW)
        return self.kept[count]


@dataclass(eq=False)
class _Call:
    module: nn.Module
    caller: _Call | None
    value: object = None


@torch.no_grad()
def _record(network: nn.Module, layer: str, image_NCHW: Tensor) -> _Record:
    calls: list[_Call] = []
    open_calls: list[_Call] = []

    def enter(module: nn.Module, _: object) -> None:
        calls.append(_Call(module, open_calls[-1] if open_calls else None))
        open_calls.append(calls[-1])

    def leave(_: nn.Module, __: object, output: object) -> None:
        open_calls.pop().value = output

    with ExitStack() as stack:
        for module in network.modules():
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        logits_NK = network(image_NCHW.clone())
    before = _before(calls, network.get_submodule(layer))
    return _Record(image_NCHW, logits_NK, before)


def _before(calls: Sequence[_Call], layer: nn.Module) -> dict[nn.Module, list[object]]:
    """Outputs of the outermost calls that end before the layer's last one starts, by module."""
    start = max(number for number, call in enumerate(calls) if call.module is layer)
    around: list[_Call | None] = [None]  # the calls that the layer's is made in
    caller = calls[start].caller
    while caller is not None:
        around.append(caller)
        caller = caller.caller
    before: dict[nn.Module, list[object]] = {}
    for call in calls[:start]:
        if call.caller in around and call not in around:
            before.setdefault(call.module, []).append(call.value)
    return before


@contextmanager
def _replaying(module: nn.Module, values: Sequence[object]) -> Iterator[None]:
    """The module's first calls return these values; after that it runs as usual."""
    remaining, original = iter(values), module.forward

    def forward(*arguments: object, **named: object) -> object:
        for value in remaining:
            # A copy: later layers may work in place.
            return value.clone() if isinstance(value, Tensor) else value
        return original(*arguments, **named)

    previous = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if previous is not None:
            module.__dict__["forward"] = previous
