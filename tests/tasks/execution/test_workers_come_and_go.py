"""An audit on a cluster whose workers leave and come, as an adaptive one's do."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tests.support.command_line import link_images
from tests.support.dask_cluster import Cluster, running_cluster

IMAGES = 160
ASKED = AttributionSettings(methods=("grad_cam_pp",), shard_size=8)


def scores(run: RunFolder) -> list[tuple[object, ...]]:
    table = pq.read_table(run.path / "predictions", columns=["row_id", "prediction"])
    return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


@pytest.mark.full
def test_the_rows_are_those_of_one_process(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    images = link_images(benchmark_folder, tmp_path / "images", IMAGES)
    request = AuditRequest(
        DataSettings(path=str(images)), ASKED, InterventionSettings(choice="none")
    )
    model = ModelSettings(address=str(bundle))
    alone, _ = attribute_in_process(tmp_path / "alone", model, request)
    output = OutputSettings(run=str(tmp_path / "run"))
    run = prepare_run(request, FetchedModel(model), output, {"model": model.model_dump()})
    with running_cluster(tmp_path, workers=1) as cluster:
        change = OneGoesAnotherComes(cluster)
        compute = ComputeSettings(dask=cluster.address)
        cost = attribute_run(run, compute, "unused", change.follow)
        assert change.happened
        change.thread.join()
        assert len(cluster.workers) == 3
    assert (cost.computed, cost.reused) == (IMAGES, 0)
    assert scores(run) == scores(alone)


class OneGoesAnotherComes:
    """After some shards two workers join, and the first is killed once they are there."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.happened = False
        self.thread = threading.Thread(target=self._change)

    def follow(self, progress: Progress) -> None:
        if progress.done > IMAGES // 8 and not self.happened:
            self.happened = True
            self.thread.start()

    def _change(self) -> None:
        self.cluster.add_worker()
        self.cluster.kill_worker(0)
        self.cluster.add_worker()
