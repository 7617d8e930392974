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

from benchmarks.scaling.one_process import COST
from benchmarks.scaling.subjects import Subject
from flows.audit import write_page
from tasks.attribution.shard import attribute_shard
from tasks.execution.attribution_stage import find_unfinished, job_of
from tasks.execution.settings import ComputeSettings
from tasks.execution.shard_queue import Progress
from tasks.flags.settings import FlagSettings
from tasks.summary.summarise import summarise


@dataclass(frozen=True)
class Requests:
    """To S3, by whom and for what."""

    image: float  # a worker's, an image
    shard: float  # a worker's, a shard besides its images
    search: int  # the coordinator's, to find out that no shard is finished
    figures: float  # the coordinator's, a shard: flags, figures and page


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


def measure_requests(subject: Subject, sizes: tuple[int, int], shards: tuple[int, int]) -> Requests:
    """The same audit on S3, pictures and run: of small shards and large ones, few and many."""
    with serve_s3() as bucket:
        s3fs.S3FileSystem().put(subject.data.path, f"{bucket}/pictures", recursive=True)
        data = subject.data.model_copy(update={"path": f"{bucket}/pictures"})
        remote = replace(subject, data=data)
        few, many = (_Audit.of(remote, f"{bucket}/of-{size}", size, 3) for size in sizes)
        short, long = (_Audit.of(remote, f"{bucket}/in-{n}", sizes[0], n) for n in shards)
    image = (many.shard - few.shard) / (sizes[1] - sizes[0])
    figures = (long.figures - short.figures) / (shards[1] - shards[0])
    return Requests(image, few.shard - sizes[0] * image, few.search, figures)


@dataclass(frozen=True)
class _Audit:
    """Requests of one audit."""

    search: int
    shard: int  # of the second one, its images included
    figures: int

    @classmethod
    def of(cls, subject: Subject, address: str, size: int, shards: int) -> _Audit:
        run = subject.prepare(address, size, shards * size)
        job = job_of(run, ComputeSettings(workers=1))
        with count_requests() as search:
            unfinished = list(find_unfinished(job, Progress(total=shards * size)))
        for number, shard in enumerate(unfinished):
            with count_requests() as counts:
                attribute_shard(job, shard.number, subject.classifier, is_new=shard.is_new)
            if number == 1:
                of_shard = counts.total()
        with count_requests() as figures:
            summarise(run, FlagSettings(), COST)
            write_page(run)
        return cls(search.total(), of_shard, figures.total())
