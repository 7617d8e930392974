"""What a layer's activations are over the data: surveyed once for a model and its data, and kept.

The images of the survey are drawn when a run begins and stay; each part of the survey holds the
moments of some of them, and all parts together give mean and deviation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, reduce

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from upath import UPath

from models.addresses import write_atomically
from models.classifier.classifier import Classifier
from models.errors import UserError
from models.methods.registry import Method, NetworkMethod
from models.network.capture import capture
from models.network.layers import cached_grid
from models.network.statistics import Moments, Statistics
from tasks.attribution.job import Job
from tasks.pictures.samples import ROW, Failure, Row, read_ahead, rows_of
from tasks.runs.folder import Mark, RunFolder, digest, is_finished, read_part, write_part
from tasks.runs.stages import LAYER_STATISTICS
from tasks.storage.files import open_parquet, read_footer

VERSION = 1
IMAGES = 1024  # drawn; fewer where there are no more
PART = 256  # images of one part
LEAST = 2  # readable images that a deviation follows from
DIGEST = b"sightline.survey"
SPECIFICATION = b"sightline.survey_specification"
COLUMNS = pa.schema(
    [
        pa.field("count", pa.int64(), nullable=False),
        pa.field("shape", pa.list_(pa.int32()), nullable=False),  # channels, rows, columns
        pa.field("mean", pa.list_(pa.float32()), nullable=False),
        pa.field("spread", pa.list_(pa.float32()), nullable=False),  # summed squared distances
        pa.field("nonzero", pa.list_(pa.int32()), nullable=False),  # images
    ]
)


def surveyed_layers(methods: Sequence[Method], own: str | None) -> list[str]:
    """Layers whose activations these methods must know beforehand."""
    layers = {
        method.layer or own
        for method in methods
        if isinstance(method, NetworkMethod) and method.needs_statistics
    }
    return sorted(filter(None, layers))


def keep_survey(
    run: RunFolder, catalog: pa.Table, specification: str, other: RunFolder | None
) -> None:
    """Draw the images of the run's survey, or take another run's that was made alike."""
    if survey_mark(run, SPECIFICATION) == specification:
        return
    if other is not None and survey_mark(other, SPECIFICATION) == specification:
        with write_atomically(run.survey) as file:
            file.write(other.survey.read_bytes())
        _take_parts(run, other)
        return
    rows = _draw(catalog)
    metadata = {DIGEST: digest(specification, rows.to_pydict()), SPECIFICATION: specification}
    with write_atomically(run.survey) as file:
        pq.write_table(rows.replace_schema_metadata(metadata), file, row_group_size=PART)


def survey_mark(run: RunFolder, name: bytes = DIGEST) -> str | None:
    """The digest of a run's survey, or how it was drawn; None where there is none."""
    if not run.survey.is_file():
        return None
    found: bytes = (read_footer(run.survey).metadata or {}).get(name, b"")
    return found.decode()


def count_parts(run: RunFolder) -> int:
    """The survey's images lie in one row group a part."""
    count: int = read_footer(run.survey).num_row_groups
    return count


def survey_part(job: Job, layer: str, part: int, classifier: Classifier) -> None:
    """Gather the moments of some of the survey's images, unless that was done."""
    path, mark = _part(job, layer, part)
    if is_finished(path, mark):
        return
    rows = rows_of(open_parquet(job.run.survey).read_row_group(part, columns=ROW))
    size = classifier.preprocessing.size
    grid = cached_grid(classifier.network, layer, size)
    found: Moments | None = None
    for image_BCHW in _images(job, rows, classifier):
        seen = capture(classifier.network, grid, image_BCHW)
        moments = Moments.of(seen.activation_BDhw)
        found = moments if found is None else found.merge(moments)
    write_part(path, _encode(found), mark)


def is_surveyed(job: Job, layer: str, part: int) -> bool:
    """Is there nothing left to do for this part?"""
    return is_finished(*_part(job, layer, part))


def read_statistics(job: Job, layer: str) -> Statistics:
    """Of a layer, from all parts; read once in a process."""
    return _read(job.run, layer, job.survey)


@lru_cache(maxsize=4)
def _read(run: RunFolder, layer: str, _: str | None) -> Statistics:
    parts = [
        read_part(run.part(LAYER_STATISTICS.of(layer), part)) for part in range(count_parts(run))
    ]
    found = [_decode(part) for part in parts if part is not None and len(part)]
    if sum(moments.count for moments in found) < LEAST:
        raise UserError(
            f"fewer than {LEAST} images of the data can be read, and iba needs to know how "
            f"activations vary: leave iba out of --methods, or mend the images (see failures/)"
        )
    return reduce(Moments.merge, found).statistics()


def _part(job: Job, layer: str, part: int) -> tuple[UPath, Mark]:
    model = list(job.identity.as_json("model", "preprocessing", "numeric").values())
    specification = digest(VERSION, job.survey, layer, model)
    return job.run.part(LAYER_STATISTICS.of(layer), part), Mark(specification, specification)


def _images(job: Job, rows: Sequence[Row], classifier: Classifier) -> Iterator[Tensor]:
    """The readable ones, normalised, in batches."""
    bare = [replace(row, masks=None, mask_values=None, regions=None) for row in rows]
    read = replace(job.reader, estimator=None)
    samples = read_ahead(bare, read, job.decode_threads, 2 * job.batch_size)
    pictures = [item.picture_CHW for item in samples if not isinstance(item, Failure)]
    for start in range(0, len(pictures), job.batch_size):
        picture_BCHW = torch.stack(pictures[start : start + job.batch_size])
        yield classifier.preprocessing.normalise(picture_BCHW.to(classifier.device))


def _draw(catalog: pa.Table) -> pa.Table:
    """The catalog's rows whose keys come first in a random order."""
    keys = [hashlib.blake2b(key.encode()).digest() for key in catalog["row_id"].to_pylist()]
    order = sorted(range(len(keys)), key=keys.__getitem__)[:IMAGES]
    return catalog.select(ROW).take(sorted(order))


def _take_parts(run: RunFolder, other: RunFolder) -> None:
    for path in other.stage(LAYER_STATISTICS).glob("*/part-*.parquet"):
        with write_atomically(run.stage(LAYER_STATISTICS) / path.parent.name / path.name) as file:
            file.write(path.read_bytes())


def _encode(found: Moments | None) -> pa.Table:
    """One row; none where no image could be read."""
    if found is None:
        return COLUMNS.empty_table()
    values = (found.mean_Dhw, found.spread_Dhw, found.nonzero_Dhw)
    row = [[found.count], [list(found.mean_Dhw.shape)], *([v.flatten().numpy()] for v in values)]
    columns = [pa.array(value, field.type) for value, field in zip(row, COLUMNS, strict=True)]
    return pa.table(columns, schema=COLUMNS)


def _decode(part: pa.Table) -> Moments:
    count, shape = part["count"][0].as_py(), part["shape"][0].as_py()
    values = (part[name].combine_chunks().flatten().to_numpy() for name in COLUMNS.names[2:])
    mean, spread, nonzero = (torch.from_numpy(value.copy()).reshape(shape) for value in values)
    return Moments(count, mean.double(), spread.double(), nonzero)
