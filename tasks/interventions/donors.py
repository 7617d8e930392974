"""The donor pool: backgrounds that objects are put on, chosen once and kept with the run.

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
import pyarrow.parquet as pq
import torch
from torch import Tensor
from upath import UPath

from models.addresses import write_atomically
from models.errors import UserError
from models.interventions import VERSION, remove_object
from models.map_quality.localisation import to_cells
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.samples import Failure, Reader, Sample, read_ahead, rows_of
from tasks.runs.folder import RunFolder, digest
from tasks.storage.files import read_footer, read_table

LARGEST = 0.6  # foreground areas above which a background would be mostly filling
TRIES = 4  # pictures read for each donor that is wanted
THREADS = 4
MASKS = 64  # that other images' maps are compared with
READ = 32  # donors filled at a time
SPECIFICATION, DIGEST = b"sightline.specification", b"sightline.digest"
COLUMNS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("picture", pa.binary(), nullable=False),  # uint8 pixels, CHW
        pa.field("mask", pa.binary(), nullable=False),  # uint8, HW, 255 = foreground
    ]
)


@dataclass(frozen=True, eq=False)
class DonorPool:
    """Backgrounds in the model's geometry; every model that is compared gets the same ones."""

    row_ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    content_ids: tuple[str, ...]
    picture_NCHW: Tensor  # uint8, as the donors are
    background_NCHW: Tensor  # uint8, their objects filled in
    mask_NHW: Tensor  # uint8, 255 = foreground

    def draw(
        self, row_id: str, content_id: str, label: str | None, settings: InterventionSettings
    ) -> Drawn:
        """An image's donors, by seed and key alone; without labels all count as of other classes.

        Fewer where the pool holds no more; never the picture itself or a copy of it.
        """
        seed = hashlib.blake2b(f"{settings.donor_seed} {row_id}".encode(), digest_size=8).digest()
        order = np.random.default_rng(int.from_bytes(seed, "big")).permutation(len(self.row_ids))
        others = [donor for donor in order.tolist() if self.content_ids[donor] != content_id]
        if label is None or not any(self.labels):
            return Drawn(tuple(others[: settings.others + settings.same]), ())
        same = [donor for donor in others if self.labels[donor] == label]
        others = [donor for donor in others if self.labels[donor] not in (label, None)]
        return Drawn(tuple(self._spread(others)[: settings.others]), tuple(same[: settings.same]))

    def masks_on(self, cells: tuple[int, int]) -> Tensor:
        """(M, h, w): the masks of a few donors on a map's cells."""
        return _masks_on(self, cells)

    def _spread(self, donors: Sequence[int]) -> list[int]:
        """A class comes again when every other class had its turn."""
        by_label: dict[str | None, list[int]] = defaultdict(list)
        for donor in donors:
            by_label[self.labels[donor]].append(donor)
        turns = zip_longest(*by_label.values())
        return [donor for donor in chain.from_iterable(turns) if donor is not None]


@dataclass(frozen=True)
class Drawn:
    """Places of an image's donors in the pool."""

    others: tuple[int, ...]
    same: tuple[int, ...]

    @property
    def places(self) -> tuple[int, ...]:
        return self.others + self.same

    def __len__(self) -> int:
        return len(self.others) + len(self.same)


@lru_cache(maxsize=4)
def _masks_on(pool: DonorPool, cells: tuple[int, int]) -> Tensor:
    return to_cells(pool.mask_NHW[:MASKS].float() / 255, cells)


def specification_of(settings: InterventionSettings, reading: str) -> str:
    """What makes a pool what it is, but the rows."""
    return digest(VERSION, settings.pool, settings.donor_seed, reading)


def named_pool(
    settings: InterventionSettings, specification: str, run: RunFolder
) -> RunFolder | None:
    """The run whose pool was asked for; refuses one that was chosen or read otherwise."""
    if settings.donors is None:
        return None
    found = RunFolder.at(settings.donors)
    if found.path == run.path:
        raise UserError(f"--donors {settings.donors} is the run itself: leave it out")
    mark = donors_mark(found, SPECIFICATION)
    if mark is None:
        raise UserError(f"{found.path} has no donor pool: name a run that made interventions")
    if mark != specification:
        raise UserError(
            f"the donor pool of {found.path} was chosen or read otherwise: give the same --pool, "
            "--donor-seed, preprocessing and kind of foreground as that run, or leave --donors out"
        )
    return found


def take_pool(run: RunFolder, other: RunFolder) -> None:
    """Keep another run's pool as this one's."""
    with write_atomically(run.donors) as file:
        file.write(other.donors.read_bytes())


def choose_donors(
    run: RunFolder,
    catalog: pa.Table,
    settings: InterventionSettings,
    reader: Reader,
    specification: str,
) -> None:
    """Choose the run's pool from its catalog, and keep it."""
    columns = _chosen(catalog, settings, reader)
    pixels = hashlib.blake2b(digest_size=16)
    for row in (*columns["picture"], *columns["mask"]):
        pixels.update(row)
    told = digest(columns["row_id"], columns["label"], pixels.hexdigest())
    schema = COLUMNS.with_metadata({SPECIFICATION: specification, DIGEST: told})
    with write_atomically(run.donors) as file:
        pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")


def donors_mark(run: RunFolder, name: bytes = DIGEST) -> str | None:
    """The digest of a run's pool, or how it was chosen; None where there is none."""
    if not run.donors.is_file():
        return None
    found: bytes = (read_footer(run.donors).metadata or {}).get(name, b"")
    return found.decode()


def read_donors(run: RunFolder, size: tuple[int, int]) -> DonorPool:
    """The pool of a run, of pictures of this size; read once in a process."""
    return _read(run.donors, size, donors_mark(run))


@lru_cache(maxsize=1)
def _read(path: UPath, size: tuple[int, int], _: str | None) -> DonorPool:
    rows = read_table(path).to_pydict()
    picture_NCHW = _pixels(rows["picture"]).reshape(-1, 3, *size)
    mask_NHW = _pixels(rows["mask"]).reshape(-1, *size)
    return DonorPool(
        tuple(rows["row_id"]),
        tuple(rows["label"]),
        tuple(rows["content_id"]),
        picture_NCHW,
        _filled(picture_NCHW, mask_NHW),
        mask_NHW,
    )


def _pixels(rows: Sequence[bytes]) -> Tensor:
    return torch.from_numpy(np.frombuffer(b"".join(rows), np.uint8).copy())


def _filled(picture_NCHW: Tensor, mask_NHW: Tensor) -> Tensor:
    """Backgrounds in uint8, a few at a time: as floats they would take four times the memory."""
    turns = zip(torch.split(picture_NCHW, READ), torch.split(mask_NHW, READ), strict=True)
    filled = [
        remove_object(picture_bCHW.float(), mask_bHW / 255).round().to(torch.uint8)
        for picture_bCHW, mask_bHW in turns
    ]
    return torch.cat(filled) if filled else picture_NCHW


def _chosen(
    catalog: pa.Table, settings: InterventionSettings, reader: Reader
) -> dict[str, list[Any]]:
    """Columns of the pool: as many of each class as there are, by a random order of their keys."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    order = _order(catalog, settings, reader.estimator is not None)[: TRIES * settings.pool]
    tried = catalog.filter(pc.is_in(catalog["row_id"], pa.array(order, pa.string())))
    rows = {row.row_id: row for row in rows_of(tried)}
    readable = read_ahead([rows[key] for key in order], reader, THREADS, 4 * THREADS)
    lost: list[Failure] = []
    for sample in islice(_usable(readable, lost), settings.pool):
        assert sample.mask_HW is not None
        pixels = (part.numpy().tobytes() for part in (sample.picture_CHW, sample.mask_HW))
        values = (sample.row.row_id, sample.row.label, sample.content_id, *pixels)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    if len(lost) > len(columns["row_id"]):  # storage that is away: a pool is chosen once, to stay
        raise OSError(f"{len(lost)} pictures for the donor pool are away ({lost[0].message})")
    return columns


def _usable(samples: Iterator[Sample | Failure], lost: list[Failure]) -> Iterator[Sample]:
    """Pictures whose background is large enough to be put behind something else, each once.

    What could not be read for a while is added to `lost`.
    """
    seen = set()
    for sample in samples:
        failure = sample if isinstance(sample, Failure) else sample.failure
        if failure is not None and failure.kind == "transient":
            lost.append(failure)
        if isinstance(sample, Failure) or sample.mask_HW is None or sample.content_id in seen:
            continue
        seen.add(sample.content_id)
        if 0 < sample.mask_HW.float().mean() / 255 <= LARGEST:
            yield sample


def _order(catalog: pa.Table, settings: InterventionSettings, estimates: bool) -> list[str]:
    """Keys of the rows with a foreground, class by class in turn, each class in random order."""
    if not estimates:
        has_foreground = pc.or_(catalog["masks"].is_valid(), catalog["regions"].is_valid())
        catalog = catalog.filter(has_foreground)
    by_label: dict[str, list[tuple[bytes, str]]] = defaultdict(list)
    for row_id, label in zip(
        *(catalog[name].to_pylist() for name in ("row_id", "label")), strict=True
    ):
        key = hashlib.blake2b(f"{settings.donor_seed} {row_id}".encode(), digest_size=8).digest()
        by_label[label or ""].append((key, row_id))
    turns = zip_longest(*(sorted(by_label[label]) for label in sorted(by_label)))
    return [keyed[1] for keyed in chain.from_iterable(turns) if keyed is not None]
