"""Weights files of every kind that people have: read, refused in one line, and never run."""

from __future__ import annotations

import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.classifier.weights import count_classes, digest_of, fill, read_checkpoint, read_state
from models.errors import UserError
from tests.support.networks import TinyNet, tiny_net

State = dict[str, torch.Tensor]


@pytest.fixture
def state() -> State:
    return dict(tiny_net().state_dict())


def refusal(path: Path, allow_pickle: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        read_state(path, allow_pickle)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"weights {path} ")
    return line


WRAPPED: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "model": lambda state: {"model": state, "args": Namespace(lr=0.1)},
    "a name of their own": lambda state: {"resnet": state, "epoch": 3},
    "nested": lambda state: {"model": {"state_dict": state}, "epoch": 3},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dicts_are_read_as_training_scripts_save_them(
    wrap: Callable[[State], object], zipped: bool, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(wrap(state), path, _use_new_zipfile_serialization=zipped)
    torch.testing.assert_close(read_state(path), state, rtol=0, atol=0)


def test_what_was_taken_of_a_checkpoint_is_logged(
    state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {}}, tmp_path / "last.ckpt")
    with caplog.at_level("INFO", "sightline"):
        checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint.keys == ("state_dict",)
    assert checkpoint.content == {"epoch": 3, "optimizer": {}}
    assert caplog.messages == [
        f"weights {tmp_path / 'last.ckpt'}: took what is under 'state_dict' "
        "and left 'epoch', 'optimizer'"
    ]


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.bin"])
def test_safetensors_are_read_by_any_name(name: str, state: State, tmp_path: Path) -> None:
    save_file(state, tmp_path / name, metadata={"mean": "0.5"})
    checkpoint = read_checkpoint(tmp_path / name)
    torch.testing.assert_close(checkpoint.state, state, rtol=0, atol=0)
    assert checkpoint.content == {"mean": "0.5"}


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "module.model._orig_mod."])
def test_a_wrappers_prefix_is_left_out_and_logged(
    prefix: str, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = {f"{prefix}{name}": value for name, value in state.items()}
    wrapped |= {"criterion.weight": torch.ones(3)}
    network = TinyNet()
    with caplog.at_level("INFO", "sightline"):
        fill(network, wrapped, "last.ckpt")
    torch.testing.assert_close(dict(network.state_dict()), state, rtol=0, atol=0)
    assert count_classes(TinyNet, wrapped, "last.ckpt") == 3
    assert caplog.messages == [
        f"weights last.ckpt: took {len(state)} tensors without their {prefix!r}; "
        "left out 'criterion.weight'"
    ]


def test_the_network_is_taken_beside_its_average(state: State) -> None:
    wrapped = {f"net.{name}": value for name, value in state.items()}
    wrapped |= {f"average.net.{name}": value + 1 for name, value in state.items()}
    network = TinyNet()
    fill(network, wrapped, "last.ckpt")
    torch.testing.assert_close(dict(network.state_dict()), state, rtol=0, atol=0)


def test_a_head_of_another_name_is_the_only_one_missing(state: State) -> None:
    renamed = {f"model.{name}".replace("fc.", "head."): value for name, value in state.items()}
    with pytest.raises(UserError) as caught:
        fill(tiny_net(), renamed, "w.pt")
    assert str(caught.value).startswith(
        "weights w.pt do not fit the network: missing 'fc.bias', 'fc.weight'; "
        "unknown 'head.bias', 'head.weight'; "
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    line = refusal(tmp_path / "nothing.pt")
    assert line.endswith("not found: give a .safetensors file or a state dict")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"just some words, a whole sentence of them\n", bytes(range(256)) * 8],
    ids=["empty", "one byte", "text", "bytes"],
)
def test_a_file_of_another_kind_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    line = refusal(path)
    assert f"({len(content)} bytes)" in line
    assert "pickle" not in line


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_truncated_file_is_refused(kind: str, kept: float, state: State, tmp_path: Path) -> None:
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    line = refusal(path)
    assert "cannot be read" in line or "not readable" in line


class Trap:
    """A pickle of it creates a file when it is read without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain", "inside a state dict"])
def test_no_code_of_a_pickle_runs(kind: str, state: State, tmp_path: Path) -> None:
    path, trap = tmp_path / "weights.pt", Trap(tmp_path / "sprung")
    if kind == "plain":
        path.write_bytes(pickle.dumps(trap))
    elif kind == "inside a state dict":
        torch.save({"state_dict": state, "extra": trap}, path)
    else:
        torch.save(trap, path, _use_new_zipfile_serialization=kind == "zip")
    line = refusal(path)
    assert "that can run code" in line
    assert "--allow-pickle" in line
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("wrap", [lambda module: module, lambda module: {"model": module}])
def test_a_pickled_module_is_read_only_when_allowed(
    wrap: Callable[[nn.Module], object], state: State, tmp_path: Path
) -> None:
    path = tmp_path / "module.pt"
    torch.save(wrap(tiny_net()), path)
    assert "--allow-pickle" in refusal(path)
    torch.testing.assert_close(read_state(path, allow_pickle=True), state, rtol=0, atol=0)


def test_an_allowed_pickle_whose_class_is_gone_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "module.pt"
    torch.save(tiny_net(), path)
    monkeypatch.delattr("tests.support.networks.TinyNet")
    line = refusal(path, allow_pickle=True)
    assert "Can't get attribute 'TinyNet'" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "hold nothing, not a state dict: save one"),
        ([1, 2], "hold a list, not a state dict: save one"),
        ({"epoch": 3, "lr": 0.1}, "hold 'epoch', 'lr', not a state dict: save one, bare or under "),
    ],
)
def test_a_file_without_a_state_dict_is_refused_with_what_it_holds(
    content: object, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    assert words in refusal(path)


def test_all_numbers_are_filled_in(state: State) -> None:
    network = TinyNet()
    fill(network, state, "w.pt")
    torch.testing.assert_close(dict(network.state_dict()), state, rtol=0, atol=0)


def test_a_state_that_does_not_fit_names_what_and_which_shapes(state: State) -> None:
    del state["stem.0.bias"]
    state["head.bias"] = torch.zeros(3)
    state["fc.bias"] = torch.zeros(5)
    with pytest.raises(UserError) as caught:
        fill(tiny_net(), state, "w.pt")
    assert str(caught.value) == (
        "weights w.pt do not fit the network: missing 'stem.0.bias'; unknown 'head.bias'; "
        "of another shape 'fc.bias (5,) instead of (3,)'; "
        "name the architecture that they were trained with"
    )


def test_a_state_that_does_not_fit_changes_nothing(state: State) -> None:
    network, before = tiny_net(), tiny_net().state_dict()
    state["fc.weight"], state["fc.bias"] = state["fc.weight"] + 1, torch.zeros(5)
    with pytest.raises(UserError):
        fill(network, state, "w.pt")
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_files_from_before_batches_were_counted_fit(state: State) -> None:
    del state["stem.1.num_batches_tracked"]
    network = tiny_net()
    torch.nn.init.zeros_(network.fc.weight)
    fill(network, state, "w.pt")
    assert network.fc.weight.equal(state["fc.weight"])


def test_classes_are_counted_by_the_head(state: State) -> None:
    assert count_classes(TinyNet, state, "w.pt") == 3
    assert count_classes(TinyNet, dict(TinyNet(7).state_dict()), "w.pt") == 7


def test_weights_of_another_architecture_are_refused_by_their_head() -> None:
    with pytest.raises(UserError, match=r"w\.pt do not fit the network: missing 'fc\.bias'"):
        count_classes(TinyNet, {"weight": torch.ones(1)}, "w.pt")


def test_the_digest_names_every_number_and_how_they_are_used() -> None:
    first = digest_of(tiny_net(), "net.py:build", "source")
    assert digest_of(tiny_net(), "net.py:build", "source") == first
    digests = {
        first,
        digest_of(tiny_net(), "other", "source"),
        digest_of(tiny_net(), "net.py:build", ""),
    }
    for name in tiny_net().state_dict():
        network = tiny_net()
        value = network.state_dict()[name].view(-1)
        value[-1] += 1
        digests.add(digest_of(network, "net.py:build", "source"))
    assert len(digests) == 3 + len(tiny_net().state_dict())


def test_the_digest_does_not_depend_on_the_memory_format_or_the_mode() -> None:
    network = tiny_net()
    first = digest_of(network, "", "")
    network.to(memory_format=torch.channels_last).train()
    assert digest_of(network, "", "") == first


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_digest_distinguishes_number_formats(dtype: torch.dtype) -> None:
    assert digest_of(tiny_net().to(dtype), "", "") != digest_of(tiny_net(), "", "")


OTHER_KINDS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "complex": (lambda value: value.to(torch.complex64), "complex64"),
    "int8": (lambda value: value.to(torch.int8), "int8"),
    "bool": (lambda value: value > 0, "bool"),
    "meta": (lambda value: value.to("meta"), "float32 on the meta device, which has no numbers"),
    "sparse": (lambda value: value.to_sparse(), "float32 as torch.sparse_coo"),
    "quantised": (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "qint8"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_tensors_of_another_kind_are_refused(kind: str) -> None:
    change, words = OTHER_KINDS[kind]
    state = tiny_net().state_dict()
    state["fc.weight"] = change(state["fc.weight"])
    with pytest.raises(UserError, match=rf"^weights w\.pt hold fc\.weight in {words}: save the we"):
        fill(tiny_net(), state, "w.pt")


def test_weights_in_half_precision_are_read_as_float32() -> None:
    network = tiny_net()
    fill(network, {name: value.half() for name, value in network.state_dict().items()}, "w.pt")
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
