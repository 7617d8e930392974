"""Mean and deviation of a layer's activations over the data, computed once for a model and kept.

The images are drawn when a run starts. Each part contains the moments of some of these images, and
all parts together give mean and deviation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, reduce

import pyarrow as pa
import torch
from torch import Tensor
from upath import UPath

from models.addresses import place_of, write_atomically
from models.classifier.classifier import Classifier
from models.errors import UserError
from models.methods.registry import Method, NetworkMethod
from models.network.capture import capture
from models.network.layers import cached_grid
from models.network.statistics import Moments, Statistics
from tasks.attribution.job import Job
from tasks.attribution.memory import batch_size_of
from tasks.catalog.allowed_addresses import remote_ones
from tasks.pictures.rows import ROW, Row, rows_of
from tasks.pictures.samples import Failure, read_ahead
from tasks.runs.folder import Mark, RunFolder, digest, is_finished, write_part
from tasks.runs.stages import LAYER_STATISTICS
from tasks.storage.parquet import is_intact, open_parquet, read_footer, read_table, write_table

VERSION = 1
IMAGES = 1024  # drawn, or all where there are fewer
PART = 256  # images per part
MIN_IMAGES = 2  # readable ones that a deviation needs
# Keys and files keep `survey`, an earlier name of layer statistics, so that old runs stay readable.
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


def layers_with_statistics(methods: Sequence[Method], default: str | None) -> list[str]:
    """Layers whose statistics these methods need; `default` for methods that name no layer."""
    layers = {
        method.layer or default
        for method in methods
        if isinstance(method, NetworkMethod) and method.needs_statistics
    }
    return sorted(filter(None, layers))


def keep_statistics_images(
    run: RunFolder, catalog: pa.Table, specification: str, other: RunFolder | None
) -> None:
    """Keep the run's images, copy those of another run with their parts, or draw new ones."""
    if statistics_images_mark(run, SPECIFICATION) == specification:
        return
    if other is not None and _can_take_images(other, catalog, specification):
        with write_atomically(run.statistics_images) as file:
            file.write(other.statistics_images.read_bytes())
        _copy_parts(run, other)
        return
    rows = _draw_images(catalog)
    metadata = {DIGEST: digest(specification, rows.to_pydict()), SPECIFICATION: specification}
    write_table(run.statistics_images, rows.replace_schema_metadata(metadata), PART)


def _can_take_images(other: RunFolder, catalog: pa.Table, specification: str) -> bool:
    """Are another run's images of the same specification, and where those of the catalog are?"""
    if statistics_images_mark(other, SPECIFICATION) != specification:
        return False
    named = read_table(other.statistics_images, columns=["image"])["image"].combine_chunks()
    known = {place_of(image) for image in remote_ones(catalog["image"].combine_chunks())}
    return all(place_of(image) in known for image in remote_ones(named))


def statistics_images_mark(run: RunFolder, name: bytes = DIGEST) -> str | None:
    """The digest of a run's images, or their specification; None where none can be read."""
    if not is_intact(run.statistics_images):
        return None
    value: bytes = (read_footer(run.statistics_images).metadata or {}).get(name, b"")
    return value.decode()


def count_parts(run: RunFolder) -> int:
    """The images have one row group per part."""
    count: int = read_footer(run.statistics_images).num_row_groups
    return count


def gather_moments(job: Job, layer: str, part: int, classifier: Classifier) -> None:
    """Compute the moments of one part's images, unless that is done already."""
    path, mark = _part(job, layer, part)
    if is_finished(path, mark):
        return
    rows = rows_of(open_parquet(job.run.statistics_images).read_row_group(part, columns=ROW))
    size = classifier.preprocessing.size
    grid = cached_grid(classifier.network, layer, size)
    moments: Moments | None = None
    for image_BCHW in _read_batches(job, rows, classifier):
        seen = capture(classifier.network, grid, image_BCHW)
        of_batch = Moments.of(seen.activation_BDhw)
        moments = of_batch if moments is None else moments.merge(of_batch)
    write_part(path, _encode(moments), mark)


def has_moments(job: Job, layer: str, part: int) -> bool:
    """Is this part done?"""
    return is_finished(*_part(job, layer, part))


def read_statistics(job: Job, layer: str) -> Statistics:
    """Of a layer, from all its parts; read once per process."""
    return _read(job.run, layer, job.statistics_images)


@lru_cache(maxsize=4)
def _read(run: RunFolder, layer: str, _: str | None) -> Statistics:
    parts = [run.read_part(LAYER_STATISTICS.of(layer), part) for part in range(count_parts(run))]
    moments = [_decode(part) for part in parts if part is not None and len(part)]
    if sum(part.count for part in moments) < MIN_IMAGES:
        raise UserError(
            f"fewer than {MIN_IMAGES} images of the data can be read, and iba needs to know how "
            f"activations vary: leave iba out of --methods, or mend the images (see failures/)"
        )
    return reduce(Moments.merge, moments).statistics()


def _part(job: Job, layer: str, part: int) -> tuple[UPath, Mark]:
    model = list(job.identity.as_json("model", "preprocessing", "numeric").values())
    specification = digest(VERSION, job.statistics_images, layer, model)
    return job.run.part(LAYER_STATISTICS.of(layer), part), Mark(specification, specification)


def _read_batches(job: Job, rows: Sequence[Row], classifier: Classifier) -> Iterator[Tensor]:
    """The readable images, normalised, in batches."""
    unannotated = [replace(row, masks=None, mask_values=None, regions=None) for row in rows]
    read = replace(job.reader, estimator=None)
    size = batch_size_of(job.batch_size, classifier)
    samples = read_ahead(unannotated, read, job.decode_threads, 2 * size)
    pictures = [item.picture_CHW for item in samples if not isinstance(item, Failure)]
    for start in range(0, len(pictures), size):
        picture_BCHW = torch.stack(pictures[start : start + size])
        yield classifier.preprocessing.normalise(picture_BCHW.to(classifier.device))


def _draw_images(catalog: pa.Table) -> pa.Table:
    """A random sample that new rows hardly change: the rows whose hashes come first."""
    hashes = [hashlib.blake2b(key.encode()).digest() for key in catalog["row_id"].to_pylist()]
    drawn = sorted(range(len(hashes)), key=hashes.__getitem__)[:IMAGES]
    return catalog.select(ROW).take(sorted(drawn))


def _copy_parts(run: RunFolder, other: RunFolder) -> None:
    for path in other.stage(LAYER_STATISTICS).glob("*/part-*.parquet"):
        with write_atomically(run.stage(LAYER_STATISTICS) / path.parent.name / path.name) as file:
            file.write(path.read_bytes())


def _encode(moments: Moments | None) -> pa.Table:
    """One row; none where no image could be read."""
    if moments is None:
        return COLUMNS.empty_table()
    values = (moments.mean_Dhw, moments.spread_Dhw, moments.nonzero_Dhw)
    row = [
        [moments.count],
        [list(moments.mean_Dhw.shape)],
        *([v.flatten().numpy()] for v in values),
    ]
    columns = [pa.array(value, field.type) for value, field in zip(row, COLUMNS, strict=True)]
    return pa.table(columns, schema=COLUMNS)


def _decode(part: pa.Table) -> Moments:
    count, shape = part["count"][0].as_py(), part["shape"][0].as_py()
    values = (part[name].combine_chunks().flatten().to_numpy() for name in COLUMNS.names[2:])
    mean, spread, nonzero = (torch.from_numpy(value.copy()).reshape(shape) for value in values)
    return Moments(count, mean.double(), spread.double(), nonzero)
