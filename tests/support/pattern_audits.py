"""An audit in this process whose discovery finds patterns."""

from __future__ import annotations

from pathlib import Path

from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.discover.discover import add_patterns
from tasks.discover.settings import PatternSettings
from tasks.execution.settings import ComputeSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings
from tests.support.audits import run_audit, save_shortcut_model

METHODS = ("grad_cam_pp",)
BENCHMARK = BenchmarkSettings(train=64, validation=0, test=192)


def write_benchmark_with_model(folder: Path) -> Path:
    """The model, beside the benchmark that it takes backgrounds for classes in."""
    write_benchmark(folder / "benchmark", BENCHMARK)
    return save_shortcut_model(folder / "model", folder / "benchmark")


def audit_with_patterns(folder: Path, benchmark: Path, model: Path) -> RunFolder:
    """The test split, up to its patterns, without a report."""
    data = DataSettings(path=str(benchmark), split="test")
    request = AuditRequest(
        data,
        AttributionSettings(methods=METHODS, shard_size=96),
        InterventionSettings(others=1, same=0, moves=1, pool=8),
        patterns=PatternSettings(),
    )
    run = run_audit(folder, data, ModelSettings(address=str(model)), asked=request)
    dask = f"{folder.parent / 'dask'}"
    add_patterns(run, ComputeSettings(workers=0), dask, lambda *_: None)
    return run
