"""Does a map change when the network forgets what it learnt, and stay when the picture hardly does?

Shapes: B images, C=3 colours, H W pixels, D channels, h w cells of the map.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import pyarrow as pa
import torch
from torch import Tensor, nn

from models.interventions import predict
from models.map_quality import sanity
from models.methods.maps import explain
from models.methods.registry import Method
from models.network.capture import capture
from models.network.explain_request import ExplainRequest
from models.network.statistics import Moments
from tasks import schema
from tasks.attribution.encode import nullable
from tasks.attribution.faithfulness_rows import Shown
from tasks.attribution.job import Job, count_shards
from tasks.attribution.plan import Plan
from tasks.runs.stages import SANITY, Stage

SEED = 0  # of weights drawn anew and of the noise


def is_tested(job: Job, shard: int) -> bool:
    """Whole shards are tried, spread over the run, until they hold enough images."""
    if job.comparison is None or not job.comparison.tested:
        return False
    shards = count_shards(job.run)
    wanted = min(shards, -(-job.comparison.tested // job.attribution.shard_size))
    return shard in {number * shards // wanted for number in range(wanted)}


def sanity_rows(
    plan: Plan, shown: Shown, maps: Mapping[str, Tensor]
) -> dict[Stage, pa.RecordBatch]:
    """schema.TRIALS by stage; no rows where the shard is not tested."""
    if not plan.tested:
        empty = pa.RecordBatch.from_pylist([], schema=schema.TRIALS)
        return {SANITY.of(method.name): empty for method in plan.methods}
    forward = _seconds(plan, shown)
    return {
        SANITY.of(method.name): _row(plan, shown, method, maps[method.name], forward)
        for method in plan.methods
        if SANITY.of(method.name) in plan.stages
    }


def _row(
    plan: Plan, shown: Shown, method: Method, map_Bhw: Tensor, forward: float
) -> pa.RecordBatch:
    """A row for each image, by one method."""
    request = plan.explain_request(method, shown.image_BCHW, shown.target_B)
    alike = [_compare_randomised(request, method, map_Bhw, share) for share in sanity.SHARES]
    noisy = replace(request, image_BCHW=sanity.add_noise(shown.image_BCHW, SEED))
    start = _now(plan)
    alike.append(_alike(map_Bhw, explain(method, noisy)))
    count = len(shown.row_ids)
    times = ([(_now(plan) - start) / max(1, count)] * count, [forward] * count)
    columns = [pa.array(shown.row_ids, pa.string()), *alike]
    columns += [pa.array(seconds, pa.float32()) for seconds in times]
    return pa.record_batch(columns, schema=schema.TRIALS)


def _compare_randomised(
    request: ExplainRequest, method: Method, map_Bhw: Tensor, share: sanity.Share
) -> pa.Array:
    """Null for a network whose weights cannot be seen."""
    network = _randomise_once(request.network, share)
    if next(network.parameters(), None) is None:
        return nullable(torch.full((len(map_Bhw),), torch.nan))
    return _alike(map_Bhw, explain(method, _of(request, network)))


def _alike(map_Bhw: Tensor, other_Bhw: Tensor) -> pa.Array:
    return nullable(sanity.rank_correlation(map_Bhw.abs(), other_Bhw.abs()))


def _of(request: ExplainRequest, network: nn.Module) -> ExplainRequest:
    """The same question to a network that forgot, whose own activations these images must tell."""
    if request.statistics is None or request.grid is None:
        return replace(request, network=network)
    seen = capture(network, request.grid, request.image_BCHW)
    statistics = Moments.of(seen.activation_BDhw).statistics()
    return replace(request, network=network, statistics=statistics.to(request.image_BCHW.device))


@lru_cache(maxsize=3)
def _randomise_once(network: nn.Module, share: sanity.Share) -> nn.Module:
    """Drawn once in a process."""
    return sanity.randomise(network, share, SEED)


def _seconds(plan: Plan, shown: Shown) -> float:
    """Of a bare prediction, an image."""
    start = _now(plan)
    predict(plan.classifier.network, shown.image_BCHW)
    return (_now(plan) - start) / max(1, len(shown.row_ids))


def _now(plan: Plan) -> float:
    if plan.device.type == "cuda":
        torch.cuda.synchronize(plan.device)
    return time.perf_counter()
