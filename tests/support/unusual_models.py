"""Models of every kind, each a factory: what users' files build, by accident or by habit.

Loaded by address, as a user's file is: `unusual_models.py:half`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Net(nn.Sequential):
    """Cells of 8x8 for pictures of 16 px, three classes; seeded."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.add_module("conv", nn.Conv2d(3, 8, 3, 2, 1))
            self.add_module("norm", nn.BatchNorm2d(8))
            self.add_module("relu", nn.ReLU())
            self.add_module("pool", nn.AdaptiveAvgPool2d(1))
            self.add_module("flatten", nn.Flatten())
            self.add_module("fc", nn.Linear(8, 3))
        self.eval()

    def forward(self, image_BCHW: Tensor) -> Any:
        value = image_BCHW
        for layer in self:
            value = layer(value)
        return value


# Functions as models.


def closure() -> Any:
    """A wrapper round a network whose weights can be trained."""
    return _wrapped(Net())


def _wrapped(network: Any) -> Any:
    def predict(image_BCHW: Tensor) -> Any:
        return network(image_BCHW)

    return predict


def closure_in_training_mode() -> Any:
    return _wrapped(nn.Sequential(Net(), nn.Dropout(0.5)).train())


def partial_of_a_function() -> Any:
    return partial(_run, Net())


def _run(network: nn.Module, image_BCHW: Tensor) -> Any:
    return network(image_BCHW)


class Wrapper:
    """An object that is called, as of a training library."""

    def __init__(self) -> None:
        self.network = Net()

    def __call__(self, image_BCHW: Tensor) -> Any:
        return self.network(image_BCHW)

    def predict(self, image_BCHW: Tensor) -> Any:
        return self(image_BCHW)


def callable_object() -> Any:
    return Wrapper()


def bound_method() -> Any:
    return Wrapper().predict


class Trainer:
    """An object that is not called itself."""

    def __init__(self) -> None:
        self.parts = {"student": [Net()]}

    def predict(self, image_BCHW: Tensor) -> Any:
        return self.parts["student"][0](image_BCHW)


def method_of_a_trainer() -> Any:
    return Trainer().predict


GLOBAL: list[Any] = []


def _predict(image_BCHW: Tensor) -> Any:
    return GLOBAL[0](functional.normalize(image_BCHW))


def global_network() -> Any:
    GLOBAL[:] = [Net().train()]
    return _predict


def empty_cell() -> Any:
    """A closure over a name that has no value yet."""
    network, later = Net(), None

    def predict(image_BCHW: Tensor) -> Any:
        return network(image_BCHW) if image_BCHW.ndim else later  # noqa: F821 - deleted below

    del later
    return predict


class Output(dict[str, Tensor]):
    """What Hugging Face's classifiers return."""

    @property
    def logits(self) -> Tensor:
        return self["logits"]


class OfHuggingFace(Net):
    def forward(self, image_BCHW: Tensor) -> Any:
        return Output(logits=super().forward(image_BCHW))


def hugging_face() -> Any:
    network = OfHuggingFace()
    return lambda image_BCHW: network(image_BCHW).logits


def torchscript() -> Any:
    return torch.jit.trace(Net(), torch.zeros(1, 3, 16, 16))  # type: ignore[no-untyped-call]


def torchscript_in_a_function() -> Any:
    return _wrapped(torchscript())


def exported() -> Any:
    batch = torch.export.Dim("batch")
    image_BCHW = torch.zeros(2, 3, 16, 16)
    return torch.export.export(Net(), (image_BCHW,), dynamic_shapes=({0: batch},)).module()


def exported_in_a_function() -> Any:
    return _wrapped(exported())


# Numbers of another kind.


def half() -> Any:
    return Net().half()


def bfloat16() -> Any:
    return Net().bfloat16()


def double() -> Any:
    return Net().double()


def complex_numbers() -> Any:
    return Net().to(torch.complex64)


class Cast(Net):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image_BCHW: Tensor) -> Any:
        return super().forward(image_BCHW).to(self.dtype)


def half_logits() -> Any:
    return Cast(torch.bfloat16)


def double_logits() -> Any:
    return Cast(torch.float64)


def complex_logits() -> Any:
    return Cast(torch.complex64)


def whole_logits() -> Any:
    return Cast(torch.int64)


def quantised() -> Any:
    quantise: Any = torch.ao.quantization.quantize_dynamic
    return quantise(Net(), {nn.Linear}, torch.qint8)


def lazy() -> Any:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))


def meta_device() -> Any:
    return Net().to("meta")


def no_numbers() -> Any:
    network = Net()
    nn.init.constant_(network.get_parameter("fc.weight"), torch.nan)
    return network


def infinite() -> Any:
    network = Net()
    nn.init.constant_(network.get_parameter("conv.bias"), torch.inf)
    return network


def huge() -> Any:
    network = Net()
    nn.init.constant_(network.get_parameter("fc.weight"), 3e38)
    return network


def denormal() -> Any:
    network = Net()
    nn.init.constant_(network.get_parameter("fc.weight"), 1e-42)
    return network


def too_large() -> Any:
    return nn.Linear(3_000_000, 1_000_000)


def sparse() -> Any:
    network = Net()
    weight = network.get_parameter("fc.weight").detach()
    network.get_submodule("fc").weight = nn.Parameter(weight.to_sparse())
    return network


# Another result than logits of each picture.


class Ending(Net):
    """Another last step."""

    def __init__(self, end: Any) -> None:
        super().__init__()
        self.end = [end]  # not a module of the network

    def forward(self, image_BCHW: Tensor) -> Any:
        return self.end[0](super().forward(image_BCHW))


def batch_dropped() -> Any:
    return Ending(lambda logits_BK: logits_BK[0])


def batch_dropped_from_two_on() -> Any:
    return Ending(lambda logits_BK: logits_BK.mean(0, keepdim=True))


def mixes_the_batch() -> Any:
    return Ending(lambda logits_BK: logits_BK - logits_BK.mean(0) * (len(logits_BK) > 1))


def random_answers() -> Any:
    return Ending(lambda logits_BK: logits_BK + torch.rand_like(logits_BK))


def seldom_random_answers() -> Any:
    """Pairs get the same answer three times, as they may by chance under dropout."""
    pairs: list[int] = []

    def end(logits_BK: Tensor) -> Tensor:
        if len(logits_BK) != 2:
            return logits_BK * 0
        pairs.append(1)
        return logits_BK + (len(pairs) > 3)

    return Ending(end)


def counts_its_calls() -> Any:
    calls: list[int] = []

    def end(logits_BK: Tensor) -> Tensor:
        calls.append(1)
        return logits_BK + len(calls)

    return Ending(end)


def nothing() -> Any:
    return Ending(lambda _: None)


def no_classes() -> Any:
    return Ending(lambda logits_BK: logits_BK[:, :0])


def without_a_gradient() -> Any:
    return Ending(lambda logits_BK: logits_BK.detach())


# Modules that misbehave.


class EvalGivesNone(Net):
    def eval(self) -> Any:
        super().eval()


def eval_gives_none() -> Any:
    return EvalGivesNone()


class EvalRaises(Net):
    ready = False

    def eval(self) -> Any:
        if self.ready:
            raise RuntimeError("no evaluation mode")
        return super().eval()


def eval_raises() -> Any:
    network = EvalRaises()
    network.ready = True
    return network


class PropertiesRaise(Net):
    @property
    def classes(self) -> Any:
        raise ValueError("no classes yet")

    @property
    def preprocessing(self) -> Any:
        raise RuntimeError("nothing is prepared")


def properties_raise() -> Any:
    return PropertiesRaise()


class ParametersRaise(Net):
    ready = False

    def named_parameters(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        if self.ready:
            raise RuntimeError("weights are elsewhere")
        return super().named_parameters(*arguments, **named)


def parameters_raise() -> Any:
    network = ParametersRaise()
    network.ready = True
    return network


class StateRaises(Net):
    def state_dict(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("sharded: gather first")


def state_raises() -> Any:
    return StateRaises()


class Stop(BaseException):
    """Not an Exception."""


def _raise(error: BaseException) -> Any:
    raise error


def forward_exits() -> Any:
    return Ending(lambda _: _raise(SystemExit(0)))


def forward_stops() -> Any:
    return Ending(lambda _: _raise(Stop("enough")))


def forward_exits_later() -> Any:
    """Only on real pictures, which are neither noise nor of one colour."""
    return Later(lambda: _raise(SystemExit(0)))


def forward_fails_later() -> Any:
    return Later(lambda: _raise(KeyError("logits")))


class Later(Net):
    """Does something when it sees a picture whose pixels are all alike but not zero."""

    def __init__(self, action: Any) -> None:
        super().__init__()
        self.action = [action]

    def forward(self, image_BCHW: Tensor) -> Any:
        is_flat_B = (image_BCHW.flatten(1).std(1) < 1e-3) & (image_BCHW.flatten(1).mean(1) > 0.1)
        if is_flat_B.any():
            self.action[0]()
        return super().forward(image_BCHW)


def factory_exits() -> Any:
    raise SystemExit(1)


def factory_stops() -> Any:
    raise Stop("enough")


def factory_recurses() -> Any:
    return factory_recurses()


def prints() -> Any:
    print("building")  # noqa: T201
    os.write(1, b"building in C\n")
    return Ending(_print)


def _print(logits_BK: Tensor) -> Tensor:
    print("predicting")  # noqa: T201
    return logits_BK


# Changes of the process.


def _disturb() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(7)
    torch.set_grad_enabled(False)
    os.chdir("/")
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_default_device("meta")


def disturbs_when_built() -> Any:
    network = Net()
    _disturb()
    return network


def disturbs_when_called() -> Any:
    def end(logits_BK: Tensor) -> Tensor:
        _disturb()
        return logits_BK

    return Ending(end)
