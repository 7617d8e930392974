"""Weights files are recognised by their structure: no code runs, and torch is not needed."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from models.classifier.weights_format import WeightsFormat, recognise, refuse_programs
from models.errors import UserError
from tests.support.networks import TinyNet, random_images, tiny_net
from tests.test_light_settings import heavy_after

ROOT = Path(__file__).parents[3]


def save_torchscript(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces its end
        traced = torch.jit.trace(tiny_net(), random_images(1, 16))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path)


def save_exported(path: Path) -> None:
    torch.export.save(torch.export.export(tiny_net(), (random_images(2, 16),)), path)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "state dict": ("torch", lambda path: torch.save(tiny_net().state_dict(), path)),
    "checkpoint": (
        "torch",
        lambda path: torch.save(
            {"state_dict": tiny_net().state_dict(), "loss": torch.nn.CrossEntropyLoss()}, path
        ),
    ),
    "legacy state dict": (
        "torch",
        lambda path: torch.save(
            tiny_net().state_dict(), path, _use_new_zipfile_serialization=False
        ),
    ),
    "module": ("module", lambda path: torch.save(tiny_net(), path)),
    "module in a dict": ("module", lambda path: torch.save({"model": tiny_net()}, path)),
    "module of protocol 4": (
        "module",
        lambda path: torch.save(tiny_net(), path, pickle_protocol=4),
    ),
    "legacy module": (
        "module",
        lambda path: torch.save(tiny_net(), path, _use_new_zipfile_serialization=False),
    ),
    "torchscript": ("torchscript", save_torchscript),
    "exported": ("exported", save_exported),
    "safetensors": ("safetensors", lambda path: save_file(dict(tiny_net().state_dict()), path)),
    "text": ("other", lambda path: path.write_text("some words")),
    "empty": ("other", lambda path: path.write_bytes(b"")),
}


@pytest.mark.parametrize(("kind", "save"), FILES.values(), ids=FILES.keys())
@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_every_kind_is_recognised(
    kind: str, save: Callable[[Path], object], tmp_path: Path
) -> None:
    save(tmp_path / "weights")
    assert recognise(tmp_path / "weights").kind == kind


def test_the_keys_of_a_checkpoint_are_among_its_texts(tmp_path: Path) -> None:
    torch.save({"state_dict": tiny_net().state_dict(), "mean": [0.5]}, tmp_path / "w.pt")
    weights = recognise(tmp_path / "w.pt")
    assert {"state_dict", "mean", "fc.bias"} <= weights.texts


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    torch.save(tiny_net().state_dict(), tmp_path / "w.pt")
    read = f"recognise(Path({str(tmp_path / 'w.pt')!r}))"
    program = (
        "from pathlib import Path\n"
        "from models.classifier.weights_format import recognise\n"
        f"assert {read}.kind == 'torch'"
    )
    assert heavy_after(program) == set()


def recognise_bytes(content: bytes) -> WeightsFormat:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        path.write_bytes(content)
        return recognise(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_of_some_kind(content: bytes) -> None:
    assert isinstance(recognise_bytes(content), WeightsFormat)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_any_damage_of_an_archive_is_of_some_kind(position: int, byte: int) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, buffer)
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = byte
    assert isinstance(recognise_bytes(bytes(content)), WeightsFormat)


def test_an_archive_of_something_else_is_another_kind(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("readme.txt", "words")
    assert recognise(tmp_path / "w.pt").kind == "other"
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert recognise(tmp_path / "w.pkl").kind == "torch"  # torch says what is wrong with it


PROGRAMS = {
    "module": "are a whole pickled model (tests.support.networks.TinyNet), which can run code",
    "torchscript": "are a TorchScript archive, which hides its layers",
    "exported": "are an exported program, which hides its layers",
}


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_a_program_is_refused_with_the_steps_to_a_bundle(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    FILES[kind][1](path)
    with pytest.raises(UserError) as caught:
        refuse_programs(path, str(path))
    line = str(caught.value)
    assert line.startswith(f"weights {path} {PROGRAMS[kind]}")
    assert "\n" not in line
    assert f"(2) sightline bundle --model file.py:function --weights {tmp_path}/model.state" in line
    assert ("--allow-pickle" in line) == (kind == "module")


@pytest.mark.full
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_first_step_writes_the_state_dict(kind: str, tmp_path: Path) -> None:
    """The command of the message, as it stands there."""
    path = tmp_path / "model.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FILES[kind][1](path)
    with pytest.raises(UserError) as caught:
        refuse_programs(path, str(path))
    program = str(caught.value).split('"')[1]
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)  # the network's module
    network = TinyNet()
    network.load_state_dict(torch.load(tmp_path / "model.state.pt"))
    assert network.fc.weight.equal(tiny_net().fc.weight)
