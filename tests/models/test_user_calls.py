"""Guarded calls: one line, nothing left behind, and the network is otherwise the same."""

from __future__ import annotations

import copy
import inspect
import signal
import time

import pytest
import torch

from models import time_limit
from models.errors import ForwardError, Stopped, UserCodeError, UserError
from models.user_calls import guard_forward, user_call
from tests.support.networks import TinyNet, random_images, tiny_net


class Sleeper(TinyNet):
    """Takes a minute for each batch."""

    def forward(self, image_BCHW: torch.Tensor) -> torch.Tensor:
        time.sleep(60)
        return super().forward(image_BCHW)


@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), SystemExit(0), GeneratorExit(), BaseException("x")]
)
def test_whatever_is_raised_is_one_line(error: BaseException) -> None:
    with pytest.raises(UserCodeError) as caught, user_call("net.py:build raised"):
        raise error
    line = str(caught.value)
    assert line.startswith(f"net.py:build raised {type(error).__name__}")
    assert line.endswith(": run it by itself")
    assert "\n" not in line
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped(), UserError("ours")])
def test_what_is_not_theirs_goes_on(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    with pytest.raises(type(error)) as caught, user_call("net.py:build raised"):
        raise error
    assert caught.value is error


def test_a_keyboard_interrupt_of_theirs_is_no_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a command's handler
    try:
        with (
            pytest.raises(UserCodeError, match="KeyboardInterrupt: "),
            user_call("x raised"),
        ):
            raise KeyboardInterrupt
        with pytest.raises(Stopped), user_call("x raised"):
            raise Stopped
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_lack_of_memory_goes_on_where_less_is_tried_next() -> None:
    with pytest.raises(MemoryError), user_call("x raised", may_be_smaller=True):
        raise MemoryError
    with pytest.raises(UserCodeError, match=r"^x raised MemoryError: "), user_call("x raised"):
        raise MemoryError


def test_a_guarded_network_is_the_same_network() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    before, state = network(image_BCHW), network.state_dict()
    guard_forward(network, "model x")
    assert isinstance(network, TinyNet)
    assert type(network).__name__ == "TinyNet"
    assert inspect.signature(network.forward) == inspect.signature(tiny_net().forward)
    assert network.state_dict().keys() == state.keys()
    assert torch.equal(network(image_BCHW), before)


def test_a_copy_of_a_guarded_network_runs_its_own_weights() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    guard_forward(network, "model x")
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.fc.weight.zero_()
    assert torch.equal(other(image_BCHW), other.fc.bias.expand(2, -1))
    with pytest.raises(ForwardError, match=r"^model x raised RuntimeError: .*: call it by itself"):
        other(image_BCHW[:, :2])


@pytest.mark.timeout(60, method="thread")  # its other method uses the same timer
def test_a_forward_that_never_ends_is_stopped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "PATIENCE", 0.2)
    monkeypatch.setattr(time_limit, "LIMIT", 0.5)
    network = Sleeper()
    guard_forward(network, "model net.py:build")
    words = (
        r"^a forward of model net.py:build has not ended after 0.5 s, at test_user_calls.py line"
    )
    with pytest.raises(UserError, match=words):
        network(random_images(2, 16))


def test_a_guarded_network_can_be_exported() -> None:
    network, image_BCHW = tiny_net(), random_images(2, 16)
    guard_forward(network, "model x")
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (image_BCHW,), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(image_BCHW), network(image_BCHW))
