"""How often an audit asks S3 for something: counted where its client sends a request, to a server
of this process's own."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import s3fs
from aiobotocore.client import AioBaseClient  # type: ignore[import-untyped]

from benchmarks.scaling.subjects import Subject
from tasks.attribution.shard import attribute_shard
from tasks.execution.attribution_stage import find_unfinished, job_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress


@dataclass(frozen=True)
class Requests:
    """To S3, by whom and for what."""

    image: float  # a worker's, an image
    shard: float  # a worker's, a shard besides its images
    coordinator: int  # to find out that no shard is finished


@contextmanager
def serve_s3() -> Iterator[str]:
    """The address of an empty bucket on loopback."""
    from moto.server import ThreadedMotoServer  # of the tests' extra

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
    server.start()
    bucket = f"scaling-{uuid4()}"  # the server remembers those of earlier blocks
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    settings = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        with patch.dict(os.environ, keys | settings):
            s3fs.S3FileSystem.clear_instance_cache()
            s3fs.S3FileSystem().mkdir(bucket)
            yield f"s3://{bucket}"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


@contextmanager
def count_requests() -> Iterator[Counter[str]]:
    """By the operation's name, of this process, while the block runs."""
    counts: Counter[str] = Counter()
    send = AioBaseClient._make_api_call

    async def count(self: AioBaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        counts[operation] += 1
        return await send(self, operation, parameters)

    with patch.object(AioBaseClient, "_make_api_call", count):
        yield counts


def measure_requests(subject: Subject, sizes: tuple[int, int]) -> Requests:
    """The same audit on S3, pictures and run, in small and in large shards."""
    with serve_s3() as bucket:
        s3fs.S3FileSystem().put(subject.data.path, f"{bucket}/pictures", recursive=True)
        data = subject.data.model_copy(update={"path": f"{bucket}/pictures"})
        remote = replace(subject, data=data)
        (few, coordinator), (many, _) = (
            _of_shard(remote, f"{bucket}/of-{size}", size) for size in sizes
        )
    image = (many - few) / (sizes[1] - sizes[0])
    return Requests(image, few - sizes[0] * image, coordinator)


def _of_shard(subject: Subject, address: str, size: int) -> tuple[int, int]:
    """Requests of a worker for its second shard; and of the coordinator before any."""
    run = subject.prepare(address, size, 3 * size)
    job = job_of(run, ComputeSettings(workers=1))
    with count_requests() as asked:
        list(find_unfinished(job, Progress(total=3 * size)))
    attribute_shard(job, 0, subject.classifier)
    with count_requests() as counts:
        attribute_shard(job, 1, subject.classifier)
    return counts.total(), asked.total()
