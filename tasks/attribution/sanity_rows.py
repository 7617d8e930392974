"""Does a map change when weights are randomised, and stay the same under slight noise?

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
from models.network.question import Question
from models.network.statistics import Moments
from tasks import schema
from tasks.attribution.encode import nullable
from tasks.attribution.faithfulness_rows import ExplainedImages
from tasks.attribution.job import Job, count_shards
from tasks.attribution.plan import Plan
from tasks.runs.stages import SANITY, Stage

SEED = 0  # of random weights and of the noise


def is_tested(job: Job, shard: int) -> bool:
    """Is it one of the shards, spread over the run, that together have enough images?"""
    if job.comparison is None or not job.comparison.tested:
        return False
    shards = count_shards(job.run)
    tested = min(shards, -(-job.comparison.tested // job.attribution.shard_size))
    return shard in {number * shards // tested for number in range(tested)}


def sanity_rows(
    plan: Plan, images: ExplainedImages, maps: Mapping[str, Tensor]
) -> dict[Stage, pa.RecordBatch]:
    """schema.TRIALS by stage; no rows where the shard is not tested."""
    if not plan.tested:
        empty = pa.RecordBatch.from_pylist([], schema=schema.TRIALS)
        return {SANITY.of(method.name): empty for method in plan.methods}
    forward = _time_prediction(plan, images)
    return {
        SANITY.of(method.name): _rows_of_method(plan, images, method, maps[method.name], forward)
        for method in plan.methods
        if SANITY.of(method.name) in plan.stages
    }


def _rows_of_method(
    plan: Plan, images: ExplainedImages, method: Method, map_Bhw: Tensor, forward: float
) -> pa.RecordBatch:
    """One row per image."""
    request = plan.question(method, images.image_BCHW, images.target_B)
    similarities = [_compare_randomised(request, method, map_Bhw, share) for share in sanity.SHARES]
    noisy = replace(request, image_BCHW=sanity.add_noise(images.image_BCHW, SEED))
    start = _now(plan)
    similarities.append(_similarity(map_Bhw, explain(method, noisy)))
    count = len(images.row_ids)
    times = ([(_now(plan) - start) / max(1, count)] * count, [forward] * count)
    columns = [pa.array(images.row_ids, pa.string()), *similarities]
    columns += [pa.array(seconds, pa.float32()) for seconds in times]
    return pa.record_batch(columns, schema=schema.TRIALS)


def _compare_randomised(
    request: Question, method: Method, map_Bhw: Tensor, share: sanity.Share
) -> pa.Array:
    """Null for a network without parameters, such as a plain function."""
    network = _randomise_once(request.network, share)
    if next(network.parameters(), None) is None:
        return nullable(torch.full((len(map_Bhw),), torch.nan))
    return _similarity(map_Bhw, explain(method, _replace_network(request, network)))


def _similarity(map_Bhw: Tensor, other_Bhw: Tensor) -> pa.Array:
    return nullable(sanity.rank_correlation(map_Bhw.abs(), other_Bhw.abs()))


def _replace_network(request: Question, network: nn.Module) -> Question:
    """The request for a randomised network, with statistics of its activations of these images."""
    if request.statistics is None or request.grid is None:
        return replace(request, network=network)
    seen = capture(network, request.grid, request.image_BCHW)
    statistics = Moments.of(seen.activation_BDhw).statistics()
    statistics = statistics.to(request.image_BCHW.device)
    return replace(request, network=network, statistics=statistics)


@lru_cache(maxsize=3)
def _randomise_once(network: nn.Module, share: sanity.Share) -> nn.Module:
    """Once per process."""
    return sanity.randomise(network, share, SEED)


def _time_prediction(plan: Plan, images: ExplainedImages) -> float:
    """Seconds per image of a prediction alone."""
    start = _now(plan)
    predict(plan.classifier.network, images.image_BCHW)
    return (_now(plan) - start) / max(1, len(images.row_ids))


def _now(plan: Plan) -> float:
    if plan.device.type == "cuda":
        torch.cuda.synchronize(plan.device)
    return time.perf_counter()
