"""The pictures of an image, as its model saw it and as the run changed it; its map and foreground.

Shapes: C=3 colours, H W pixels of the model's geometry.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Any, Literal

import numpy as np
from PIL import Image

from models.addresses import is_web
from models.classifier.preprocessing import Preprocessing
from models.errors import printable
from tasks.attribution.shown_images import SeenPictures, mask_of, picture_of
from tasks.explorer.missing_pictures import MissingPicture, UnknownPicture
from tasks.interventions.donors import DonorPool
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Failure, MaskReading, Sample, read_reduced, read_sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import enlarge
from tasks.runs.rows import RunRows, only_row
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS
from tasks.storage.byte_cache import ByteCache

Kind = Literal["picture", "object_removed", "background_removed", "exchanged", "moved"]
Read = Callable[[Row, Preprocessing, MaskReading], Sample | Failure]
COUNTED = {"moved_ways": "moves of its own background", "donors": "exchanged backgrounds"}
THUMBNAIL = 160  # longest side, px
QUALITY = 90
KEPT_PICTURES, KEPT_SAMPLES = 96 << 20, 32 << 20  # bytes


class Pictures:
    """The pictures of a run; those that were asked for last are kept. Many threads may ask.

    Only addresses of the run's catalog are read, and only where its data lies; those on web
    servers with `with_web` alone, since a run may be somebody else's. For the same reason no code
    that a run names is run.
    """

    def __init__(self, rows: RunRows, *, with_web: bool = False) -> None:
        self._rows, self._with_web = rows, with_web
        self._seen = SeenPictures(rows.run, with_web=with_web)
        self._jpegs: ByteCache[bytes] = ByteCache(KEPT_PICTURES, len)
        self._samples: ByteCache[Sample] = ByteCache(KEPT_SAMPLES, _size_of)
        self._loading = Lock()

    def picture(
        self, row_id: str, kind: Kind = "picture", slot: int = 0, *, thumbnail: bool = False
    ) -> bytes:
        """A JPEG; `slot` is the number of the exchange or of the move."""
        key = (row_id, kind, slot, thumbnail)
        return self._jpegs.get(key, lambda: self._draw(row_id, kind, slot, thumbnail))

    def map(self, row_id: str, method: str) -> np.ndarray:
        """float32 (H, W): magnitudes, in the method's units, at the picture's size."""
        map_hw = self._rows.map_of(row_id, method)
        if map_hw is None:
            known = method in self._rows.run.methods
            raise (MissingPicture if known else UnknownPicture)(
                f"{printable(row_id)} has no map of {printable(method)}: its failures say why, "
                "where the audit computed this method"
            )
        map_HW: np.ndarray = np.abs(enlarge(map_hw, self._seen.size))
        return map_HW

    def foreground(self, row_id: str) -> np.ndarray:
        """bool (H, W), True where the object is."""
        mask_HW = mask_of(self._marked(row_id))
        assert mask_HW is not None
        return mask_HW

    def _draw(self, row_id: str, kind: Kind, slot: int, thumbnail: bool) -> bytes:
        if kind != "picture":
            picture_HW3 = self._changed(row_id, kind, slot)
        elif thumbnail:
            picture_HW3 = picture_of(self._read(row_id, read_reduced))
        else:
            picture_HW3 = picture_of(self._sample(row_id))
        return _jpeg(picture_HW3, THUMBNAIL if thumbnail else None)

    def _changed(self, row_id: str, kind: Kind, slot: int) -> np.ndarray:
        part = self._rows.part_row(INTERVENTIONS, row_id)
        if part is None:
            raise MissingPicture(
                f"{printable(row_id)} was not changed by the audit: its flag's reason says why"
            )
        row, sample, redraw = part.to_pylist()[0], self._marked(row_id), self._seen.redraw
        if kind == "object_removed":
            return redraw.without_object(sample)
        if kind == "background_removed":
            return redraw.without_background(sample)
        if kind == "moved":
            return redraw.moved(sample, _at(row, "moved_ways", slot))
        return redraw.exchanged(sample, self._donors, _at(row, "donors", slot))

    def _sample(self, row_id: str) -> Sample:
        """With the foreground that the data marks, where it marks one."""
        return self._samples.get((row_id, "annotated"), lambda: self._read(row_id, read_sample))

    def _marked(self, row_id: str) -> Sample:
        """With its foreground, annotated or estimated; refuses an image without one."""
        sample = self._sample(row_id)
        if sample.mask_HW is None and sample.failure is None and self._estimates:
            sample = self._samples.get((row_id, "estimated"), lambda: self._estimate(sample))
        if sample.mask_HW is None:
            failure = sample.failure
            why = f"{failure.message}: {failure.remedy}" if failure else "the data marks none"
            raise MissingPicture(f"{printable(row_id)} has no foreground: {why}")
        self._check_unchanged(sample, "foreground_id", f"the foreground of {printable(row_id)}")
        return sample

    def _read(self, row_id: str, read: Read) -> Sample:
        (row,) = rows_of(self._rows.catalog_row(row_id))
        if not self._seen.may_read(row):
            raise MissingPicture(_why_not_read(row, self._with_web))
        identity = self._rows.run.state.identity
        reading = MaskReading(identity.polarity, identity.orientation)
        sample = read(row, identity.preprocessing, reading)
        if isinstance(sample, Failure):
            raise MissingPicture(f"{sample.message}: {sample.remedy}")
        self._check_unchanged(sample, "content_id", f"image {printable(row.image)}")
        return sample

    def _check_unchanged(self, sample: Sample, column: str, name: str) -> None:
        """Refuse what is not what the audit read: what was found of it says nothing of this."""
        predicted = only_row(self._rows.part_row(PREDICTIONS, sample.row.row_id)) or {}
        known = predicted.get(column)  # none of a foreground that is estimated
        if known is not None and known != getattr(sample, column):
            raise MissingPicture(
                f"{name} has changed since the audit, and what the model saw is gone: audit again"
            )

    @property
    def _estimates(self) -> bool:
        return self._rows.run.state.identity.estimator is not None

    def _estimate(self, sample: Sample) -> Sample:
        settings = self._rows.run.state.section("foreground", ForegroundSettings)
        if settings.runs_code:
            raise MissingPicture(
                f"the foreground of {printable(sample.row.row_id)} was estimated by code "
                f"({printable(settings.source)}), which is not run to look at a run"
            )
        with self._loading:
            reader = self._seen.read
        return reader.with_estimate(sample)

    @property
    def _donors(self) -> DonorPool:
        with self._loading:
            pool = self._pool
        if pool is None:
            raise MissingPicture(
                f"{self._rows.run.folder.donors} is gone, and with it the other backgrounds: "
                "audit again"
            )
        return pool

    @cached_property
    def _pool(self) -> DonorPool | None:
        """Read once; two runs would push each other out of the process's own cache."""
        return self._seen.donors()


def _at(row: dict[str, Any], column: str, slot: int) -> str:
    """One value of a list; refuses a slot that the list has not."""
    values: list[str] = row[column] or []
    if not 0 <= slot < len(values):
        raise UnknownPicture(
            f"{printable(row['row_id'])} has {len(values)} {COUNTED[column]}, numbered from 0: "
            f"there is no {slot}"
        )
    return values[slot]


def _why_not_read(row: Row, with_web: bool) -> str:
    if is_web(row.image) and not with_web:
        return (
            f"image {printable(row.image)} is on a web server, which is not asked to look at a run"
        )
    return (
        f"image {printable(row.image)}, or a mask of it, is not where the run's data lies: it is "
        "not opened"
    )


def _jpeg(picture_HW3: np.ndarray, longest: int | None) -> bytes:
    """`longest`: of the sides, px; larger pictures are made smaller."""
    picture = Image.fromarray(np.ascontiguousarray(picture_HW3))
    if longest is not None:
        picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _size_of(sample: Sample) -> int:
    mask = 0 if sample.mask_HW is None else sample.mask_HW.nbytes
    return int(sample.picture_CHW.nbytes + mask)
