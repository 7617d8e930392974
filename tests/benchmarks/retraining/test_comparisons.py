"""What the study knows of its test pictures without drawing them."""

from __future__ import annotations

from benchmarks.retraining.comparisons import GroundTruth
from tasks.synthetic.settings import BenchmarkSettings


def test_truths_are_those_of_a_balanced_split() -> None:
    truth = GroundTruth.of(BenchmarkSettings(object_size="small", seed=1))
    assert truth.group_GN.sum(1).tolist() == [80.0] * 16
    assert truth.follows_N.sum() == 320
