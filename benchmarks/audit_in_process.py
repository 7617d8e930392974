"""Audits without the flow: up to the attribute stage, or all of it in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from distributed import Client
from safetensors.torch import save_file

from models.classifier.architectures import OWN
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import FetchedModel
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import IMAGENET
from models.classifier.settings import ModelSettings
from tasks.attribution.job import Job, count_shards
from tasks.attribution.layer_statistics import gather_moments
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.attribution.shard import attribute_shard
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import job_of, missing_moments
from tasks.execution.cluster import model_on_workers, move_to_device, open_client
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import add_steps
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tasks.schema import CostSummary


@dataclass(frozen=True)
class StartedAudit:
    """A run folder with its catalog, and what drives its workers."""

    job: Job
    compute: ComputeSettings
    shards: int


def random_model(
    address: str, folder: Path, preprocessing: Preprocessing = IMAGENET
) -> ModelSettings:
    """A network of this address with seeded random weights, in a file as a user would have it."""
    torch.manual_seed(0)
    scheme, _, name = address.partition(":")
    network = OWN[name](4) if scheme == "sightline" else torchvision.models.get_model(name)
    weights = folder / f"{name}.safetensors"
    save_file(network.state_dict(), weights)
    return ModelSettings(address=address, weights=str(weights), preprocessing=preprocessing)


def start_audit(
    data: DataSettings,
    model: ModelSettings,
    attribution: AttributionSettings,
    compute: ComputeSettings,
    folder: Path,
) -> StartedAudit:
    """What the flow does before its attribute stage."""
    maps_alone = InterventionSettings(choice="none")
    request = AuditRequest(data, attribution, maps_alone)
    output = OutputSettings(run=str(folder))
    run = prepare_run(
        request, FetchedModel(model), output, {"model": model.model_dump(mode="json")}
    )
    return StartedAudit(job_of(run, compute), compute, count_shards(run))


@contextmanager
def workers_of(started: StartedAudit) -> Iterator[Client]:
    """The cluster of the audit with its model loaded, as the attribution stage opens it."""
    job = started.job
    scratch = str(job.run.path.parent / "dask")
    with (
        open_client(started.compute, scratch) as client,
        model_on_workers(client, job),
    ):
        yield client


def attribute_in_process(
    folder: Path, model: ModelSettings, request: AuditRequest, reuse: Path | None = None
) -> tuple[RunFolder, CostSummary]:
    """Every part of a run in this process: no Prefect, no Dask; and what it cost."""
    output = OutputSettings(run=str(folder), reuse=None if reuse is None else str(reuse))
    run = prepare_run(
        request, FetchedModel(model), output, {"model": model.model_dump(mode="json")}
    )
    classifier = load_classifier(model)
    job = job_of(run, ComputeSettings(workers=1))
    move_to_device(classifier, "cpu", job.attribution.memory_format)
    for layer, part in missing_moments(job):
        gather_moments(job, layer, part, classifier)
    done = [attribute_shard(job, shard, classifier) for shard in range(count_shards(run))]
    return run, CostSummary(
        seconds=sum(shard.seconds for shard in done),
        images_per_second=None,
        computed=sum(shard.computed for shard in done),
        reused=sum(shard.reused for shard in done),
        workers=1,
        devices=("cpu",),
        steps=tuple(add_steps({}, (step for shard in done for step in shard.steps)).values()),
    )
