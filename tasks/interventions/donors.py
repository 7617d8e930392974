"""The donor pool: the backgrounds that objects are put on, chosen once and kept with the run.

Shapes: N donors, C=3 colours, H W pixels of the model's geometry.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.fills import Fill
from models.interventions import VERSION, remove_object
from models.map_quality.localisation import to_cells
from tasks.interventions.filled_areas import MISSED, filled_areas, filled_share
from tasks.interventions.foreground_areas import LARGEST_DONOR_FOREGROUND
from tasks.interventions.pool_files import DIGEST, SPECIFICATION
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Failure, Reader, Sample
from tasks.runs.folder import RunFolder, digest
from tasks.storage.parquet import read_table, write_table

TRIES = 4  # pictures read per donor at most
THREADS = 4
MASKS = 64  # that maps of other images are compared with
BATCH = 32  # donors whose object is removed at a time
GREY, DEVIATION = 127.5, 64.0  # of a picture's values, about
COLUMNS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("picture", pa.binary(), nullable=False),  # uint8 pixels, CHW
        pa.field("mask", pa.binary(), nullable=False),  # uint8, HW, 255 = foreground
        pa.field("estimated", pa.bool_()),  # the mask; left out where all are annotated
    ]
)


@dataclass(frozen=True, eq=False)
class DonorPool:
    """Backgrounds in the model's geometry, the same for every model that is compared."""

    row_ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    content_ids: tuple[str, ...]
    picture_NCHW: Tensor  # uint8, unchanged
    background_NCHW: Tensor  # uint8, the objects filled in
    mask_NHW: Tensor  # uint8, 255 = foreground

    def draw(
        self, row_id: str, content_id: str, label: str | None, settings: InterventionSettings
    ) -> DrawnDonors:
        """An image's donors, by seed and key alone; without labels all count as other classes.

        Fewer if the pool has no more; never the image itself or a copy of it.
        """
        seed = int.from_bytes(random_key(settings, row_id), "big")
        order = np.random.default_rng(seed).permutation(len(self.row_ids))
        others = [donor for donor in order.tolist() if self.content_ids[donor] != content_id]
        if label is None or not any(self.labels):
            return DrawnDonors(tuple(others[: settings.others + settings.same]), ())
        same = [donor for donor in others if self.labels[donor] == label]
        others = [donor for donor in others if self.labels[donor] not in (label, None)]
        return DrawnDonors(
            tuple(self._spread(others)[: settings.others]), tuple(same[: settings.same])
        )

    def label_of(self, donor: str) -> str | None:
        """Of a donor, by its row_id."""
        return self.labels[self.row_ids.index(donor)]

    def masks_on(self, cells: tuple[int, int]) -> Tensor:
        """(M, h, w): the masks of the first donors on a map's cells."""
        return _masks_on(self, cells)

    def _spread(self, donors: Sequence[int]) -> list[int]:
        """Classes in turn, so that the first donors are of as many classes as possible."""
        by_label: dict[str | None, list[int]] = defaultdict(list)
        for donor in donors:
            by_label[self.labels[donor]].append(donor)
        turns = zip_longest(*by_label.values())
        return [donor for donor in chain.from_iterable(turns) if donor is not None]


@dataclass(frozen=True)
class DrawnDonors:
    """The indices of an image's donors in the pool, of other classes and of its own."""

    others: tuple[int, ...]
    same: tuple[int, ...]

    @property
    def indices(self) -> tuple[int, ...]:
        return self.others + self.same

    def __len__(self) -> int:
        return len(self.indices)


@lru_cache(maxsize=4)
def _masks_on(pool: DonorPool, cells: tuple[int, int]) -> Tensor:
    return to_cells(pool.mask_NHW[:MASKS].float() / 255, cells)


@dataclass(frozen=True)
class PoolChoice:
    """All that determines a pool, except the rows."""

    settings: InterventionSettings
    reading: str  # digest of how pictures and masks are read
    # Of an estimated foreground: one that misses its object would put that object behind others.
    least_confidence: float = 0.0

    @property
    def specification(self) -> str:
        chosen = self.settings.pool, self.settings.fill, self.settings.donor_seed
        sure = (self.least_confidence, MISSED) if self.least_confidence else ()
        return digest(VERSION, *chosen, self.reading, *sure)


def choose_donors(run: RunFolder, catalog: pa.Table, choice: PoolChoice, reader: Reader) -> None:
    """Choose the run's pool from its catalog, and write it."""
    columns = _choose_columns(catalog, choice, reader)
    pixels = hashlib.blake2b(digest_size=16)
    for row in (*columns["picture"], *columns["mask"]):
        pixels.update(row)
    estimated = (columns["estimated"],) if any(columns["estimated"]) else ()
    pool_digest = digest(columns["row_id"], columns["label"], pixels.hexdigest(), *estimated)
    schema = COLUMNS.with_metadata({SPECIFICATION: choice.specification, DIGEST: pool_digest})
    pool = pa.table(columns, schema=schema)
    write_table(run.donors, pool if estimated else pool.drop_columns(["estimated"]))


@lru_cache(maxsize=1)
def read_donors(run: RunFolder, size: tuple[int, int], fill: Fill, _: str | None) -> DonorPool:
    """A run's pool, of pictures of this size, their objects filled in; read once per process, as
    long as its digest is the same (`donor_digest`)."""
    rows = read_table(run.donors, expected=COLUMNS).to_pydict()
    picture_NCHW = _pixels(rows["picture"]).reshape(-1, 3, *size)
    mask_NHW = _pixels(rows["mask"]).reshape(-1, *size)
    return DonorPool(
        tuple(rows["row_id"]),
        tuple(rows["label"]),
        tuple(rows["content_id"]),
        picture_NCHW,
        _remove_objects(picture_NCHW, mask_NHW, rows["estimated"], fill),
        mask_NHW,
    )


def _pixels(rows: Sequence[bytes]) -> Tensor:
    return torch.from_numpy(np.frombuffer(b"".join(rows), np.uint8).copy())


def _remove_objects(
    picture_NCHW: Tensor, mask_NHW: Tensor, estimated_N: Sequence[bool | None], fill: Fill
) -> Tensor:
    """Backgrounds in uint8, a few at a time: as floats they would take four times the memory."""
    background_NCHW = torch.empty_like(picture_NCHW)
    for start in range(0, len(picture_NCHW), BATCH):
        rows = slice(start, start + BATCH)
        filled_bHW = filled_areas(mask_NHW[rows] / 255, [it is True for it in estimated_N[rows]])
        background_NCHW[rows] = _remove_objects_of_batch(picture_NCHW[rows], filled_bHW, fill)
    return background_NCHW


def _remove_objects_of_batch(picture_bCHW: Tensor, filled_bHW: Tensor, fill: Fill) -> Tensor:
    """Normalised alike for all models, so that they are compared on the same backgrounds."""
    image_bCHW = (picture_bCHW.float() - GREY) / DEVIATION
    background_bCHW = remove_object(image_bCHW, filled_bHW, fill)
    return (background_bCHW * DEVIATION + GREY).round().clamp(0, 255).to(torch.uint8)


def _choose_columns(catalog: pa.Table, choice: PoolChoice, reader: Reader) -> dict[str, list[Any]]:
    """Columns of the pool: classes in turn, each in a random order of its keys."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    settings = choice.settings
    order = _order_keys(catalog, settings, reader.estimator is not None)[: TRIES * settings.pool]
    candidates = catalog.filter(pc.is_in(catalog["row_id"], pa.array(order, pa.string())))
    rows = {row.row_id: row for row in rows_of(candidates)}
    samples = reader.read_rows([rows[key] for key in order], THREADS)
    unreachable: list[Failure] = []
    usable = _usable(samples, unreachable, choice.least_confidence)
    for sample in islice(usable, settings.pool):
        assert sample.mask_HW is not None
        pixels = (part.numpy().tobytes() for part in (sample.picture_CHW, sample.mask_HW))
        keys = sample.row.row_id, sample.row.label, sample.content_id
        values = (*keys, *pixels, sample.estimated)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    if len(unreachable) > len(columns["row_id"]):  # a pool is kept, so do not choose a poor one
        first = unreachable[0].message
        raise OSError(f"{len(unreachable)} pictures for the donor pool cannot be reached ({first})")
    return columns


def _usable(
    samples: Iterator[Sample | Failure], unreachable: list[Failure], least_confidence: float
) -> Iterator[Sample]:
    """Pictures whose background is large enough to be put behind another object, each once.

    Transient failures are added to `unreachable`.
    """
    seen = set()
    for sample in samples:
        failure = sample if isinstance(sample, Failure) else sample.failure
        if failure is not None and failure.kind == "transient":
            unreachable.append(failure)
        if isinstance(sample, Failure) or sample.mask_HW is None or sample.content_id in seen:
            continue
        if not sample.is_sure(least_confidence):
            continue  # a copy of it may be annotated
        seen.add(sample.content_id)
        if 0 < filled_share(sample.mask_HW, estimated=sample.estimated) <= LARGEST_DONOR_FOREGROUND:
            yield sample


def _order_keys(catalog: pa.Table, settings: InterventionSettings, estimates: bool) -> list[str]:
    """Keys of the rows with a foreground: classes in turn, each in random order, annotated ones
    first, as how sure an estimate must be is only known at the end of an audit."""
    annotated = pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())
    columns = (catalog["row_id"], catalog["label"], annotated)
    by_label: dict[str, list[tuple[bool, bytes, str]]] = defaultdict(list)
    for row_id, label, known in zip(*(column.to_pylist() for column in columns), strict=True):
        if known or estimates:
            by_label[label or ""].append((not known, random_key(settings, row_id), row_id))
    turns = zip_longest(*(sorted(by_label[label]) for label in sorted(by_label)))
    return [row_id for *_, row_id in filter(None, chain.from_iterable(turns))]


def random_key(settings: InterventionSettings, row_id: str) -> bytes:
    """Random bytes that depend on the seed and the row's key alone."""
    return hashlib.blake2b(f"{settings.donor_seed} {row_id}".encode(), digest_size=8).digest()
