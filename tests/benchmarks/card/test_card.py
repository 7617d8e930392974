"""The measurements of a card, carried out on the CPU: the same functions, little of everything."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.card.__main__ import STAGES, Stage, measure
from benchmarks.card.passes import best_batch, lowest_correlation, speeds_by_batch
from benchmarks.card.setup import Scale, Setup
from benchmarks.measure import Figure
from models.classifier.preprocessing import Preprocessing

ROOT = Path(__file__).parents[3]
TINY = Scale(
    address="sightline:small_resnet",
    preprocessing=Preprocessing(resize=72, crop=(64, 64)),
    files=6,
    rows=12,
    compared=3,
    timed=4,
    largest=16,
    masks=20,
    steps=3,
    rounds=1,
)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup("cpu", tmp_path_factory.mktemp("card"), TINY)


@pytest.mark.parametrize("name", sorted({*STAGES} - {"figures", "methods"}))
def test_every_stage_measures(name: str, setup: Setup) -> None:
    found = [figure.value for figure in measure(setup, {name: STAGES[name]})]
    assert found
    assert all(math.isfinite(value) for value in found)


def test_the_device_agrees_with_itself(setup: Setup) -> None:
    """Where the device is the CPU, every figure beside the CPU's is the same."""
    stages = {name: replace(STAGES[name], budget=math.inf) for name in ("figures", "methods")}
    found = {figure.name: figure.value for figure in measure(setup, stages)}
    assert all(math.isfinite(value) for value in found.values())
    assert found["predictions that are the CPU's"] == 1
    assert found["reliance_removal: largest difference"] == 0
    same = [value for name, value in found.items() if "float32: correlation" in name]
    assert len(same) == 13
    assert min(same) == pytest.approx(1)


def test_batches_double_until_memory_runs_out() -> None:
    def speed(batch: int) -> float:
        if batch > 64:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return 100 * batch / (batch + 8)

    speeds = speeds_by_batch(speed, 1_024)
    assert list(speeds) == [8, 16, 32, 64]
    assert best_batch(speeds) == 64
    assert best_batch({8: 95.5, 16: 100.0, 32: 99.0}) == 8


def test_other_errors_end_the_search() -> None:
    def fail(batch: int) -> float:
        raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        speeds_by_batch(fail, 64)


def test_a_stage_ends_with_its_budget(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    def endless(_: Setup) -> Iterator[Figure]:
        number = 0
        while True:
            yield Figure(f"figure {number}", number)
            number += 1

    found = list(measure(setup, {"first": Stage(endless, 0.05), "second": Stage(endless, 0.05)}))
    assert {figure.name for figure in found[:1]} == {"figure 0"}
    assert capsys.readouterr().err.count("nothing of it was measured") == 2


def test_the_correlation_is_that_of_the_image_that_differs_most() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 4, 4))
    other = maps.copy()
    other[1] = -other[1]
    assert lowest_correlation(maps, maps) == pytest.approx(1)
    assert lowest_correlation(maps, other) == pytest.approx(-1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_what_it_needs() -> None:
    command = [sys.executable, "-m", "benchmarks.card"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("card: no card: not measured; it needs ")
    assert done.stderr.count("\n") == 1
