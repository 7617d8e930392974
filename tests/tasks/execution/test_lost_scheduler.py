"""A scheduler that dies in the middle of a run: what is computed is kept, the rest continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UnfinishedRun
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress
from tasks.interventions.settings import InterventionSettings
from tasks.runs.settings import OutputSettings
from tests.support.dask_cluster import running_cluster

ASKED = AttributionSettings(methods=("grad_cam_pp",), shard_size=4)


@pytest.mark.full  # 30 seconds, in which Dask looks for the scheduler
def test_a_lost_scheduler_ends_the_run_in_one_line(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test")
    request = AuditRequest(data, ASKED, InterventionSettings(choice="none"))
    model = FetchedModel(ModelSettings(address=str(bundle)))
    run = prepare_run(request, model, OutputSettings(run=str(tmp_path / "run")), {})
    kept: list[int] = []
    with running_cluster(tmp_path) as cluster:

        def kill_after_some(progress: Progress) -> None:
            if progress.done >= 8 and not kept:
                kept.append(progress.done)
                cluster.kill_scheduler()

        with pytest.raises(UnfinishedRun, match=r"went away, .* the same command") as ended:
            attribute_run(run, ComputeSettings(dask=cluster.address), "unused", kill_after_some)
    assert "\n" not in str(ended.value)
    cost = attribute_run(run, ComputeSettings(workers=0), str(tmp_path), lambda _: None)
    assert cost.reused >= kept[0]
    assert cost.reused + cost.computed == 64
