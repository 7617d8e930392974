"""What limits an audit on many workers: how far ahead shards are submitted, and what one process
reads before the first of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from distributed import LocalCluster

from benchmarks.audit_in_process import workers_of
from benchmarks.speed.orchestration import finished_audit
from tasks.attribution.job import UnfinishedShard, read_shard
from tasks.execution import attribution_stage, shard_queue
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import WINDOW, Progress, attribute_shards
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS

SHARDS = 30


def test_more_shards_are_under_way_once_more_workers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an adaptive cluster, which asks for workers only when shards wait for them."""
    monkeypatch.setattr(shard_queue, "RECOUNT", 0.0)
    started = replace(finished_audit(SHARDS, tmp_path), compute=ComputeSettings(workers=0))
    under_way: list[int] = []
    progress = Progress(total=SHARDS)
    with workers_of(started) as client:
        cluster = client.cluster
        assert isinstance(cluster, LocalCluster)

        def grow() -> None:
            under_way.append(len(client.futures))
            if len(under_way) == 2:
                cluster.scale(4)
                client.wait_for_workers(4)

        attribute_shards(client, started.job, map(UnfinishedShard, range(SHARDS)), progress, grow)
    assert progress.done == SHARDS
    assert max(under_way[:2]) <= WINDOW + 1  # the one that has just ended may still be held
    assert max(under_way) > 3 * WINDOW


def test_a_shard_without_predictions_is_unfinished_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = finished_audit(SHARDS, tmp_path)
    for shard in range(1, SHARDS):
        started.job.run.part(PREDICTIONS, shard).unlink()
    read: list[int] = []

    def read_and_note(run: RunFolder, shard: int) -> pa.Table:
        read.append(shard)
        return read_shard(run, shard)

    monkeypatch.setattr(attribution_stage, "read_shard", read_and_note)
    unfinished = attribution_stage.find_unfinished(started.job, Progress(total=SHARDS))
    assert list(unfinished) == [UnfinishedShard(n, is_new=True) for n in range(1, SHARDS)]
    assert read == [0]
