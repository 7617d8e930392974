"""Names of metrics: MLflow refuses a whole batch for one that it does not take."""

from __future__ import annotations

import pytest
from mlflow.tracking import MlflowClient

from models.methods.registry import find_method
from tasks.schema import StepCost
from tasks.tracking.metrics import metric_name, metrics_of
from tasks.tracking.mlflow_client import find_experiment, metrics_at
from tasks.tracking.settings import Tracking
from tests.support.audit_summaries import method, summary
from tests.support.pattern_results import found, several

METHODS = (
    *("rise:masks=200", "vjp:form=logit", "smooth_grad:noise=1e-05:draws=3", "iba:layer=a/b.0"),
    *("captum:Occlusion:sliding_window_shapes=3x8x8", "my method.py:name"),
)


def test_methods_with_arguments_are_published(tracking: Tracking) -> None:
    metrics = metrics_of(summary(methods=tuple(map(method, METHODS))))
    client = MlflowClient(tracking_uri=tracking.uri)
    run = client.create_run(find_experiment(client, tracking))
    client.log_batch(run.info.run_id, metrics=metrics_at(metrics, 0.0))
    assert client.get_run(run.info.run_id).data.metrics == pytest.approx(metrics)
    assert metrics["rise:masks-200.mean_lift"] == 1.24


def test_a_method_without_arguments_keeps_its_name() -> None:
    for name in ("grad_cam_pp", "captum:GuidedBackprop", "methods.py:brightness"):
        assert metric_name(name) == name


def test_confirmed_patterns_are_counted_where_they_were_looked_for() -> None:
    assert metrics_of(summary(patterns=several()))["patterns.confirmed"] == 1
    assert metrics_of(summary(patterns=found()))["patterns.confirmed"] == 0
    assert "patterns.confirmed" not in metrics_of(summary())


def test_methods_that_differ_have_metrics_that_differ() -> None:
    names = [find_method(f"rise:masks={masks}").name for masks in (20, 200, 2000)]
    assert len({metric_name(name) for name in names}) == 3


def test_what_the_steps_cost_is_published() -> None:
    step = StepCost(name="write", images=40, bytes=10, seconds=0.5)
    cost = summary().cost.model_copy(update={"steps": (step + step,)})
    metrics = metrics_of(summary(cost=cost))
    costs = {name: value for name, value in metrics.items() if name.startswith("step.")}
    assert costs == {"step.write.images": 80, "step.write.bytes": 20, "step.write.seconds": 1.0}
