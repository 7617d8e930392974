"""One image and its mask, from bytes to the model's geometry. Shapes: C=3, H rows, W columns."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Literal, TypeVar

import torch
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.errors import RowError, UserError, printable
from tasks.pictures.decode import DecodedPicture, apply_turn, decode, decode_reduced
from tasks.pictures.estimator import AT_ONCE, Estimator
from tasks.pictures.foreground import Frame, Marks, draw_foreground
from tasks.pictures.properties import FileProperties, measure_file
from tasks.pictures.rows import Row
from tasks.pictures.segmentation import Estimate
from tasks.storage.files import read_bytes

Kind = Literal["permanent", "transient"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class MaskReading:
    """How pictures and masks are read, the same for every row."""

    polarity: str  # what a mask marks: foreground or background
    orientation: str  # upright: pictures are turned by their EXIF; stored: they are not

    @property
    def is_upright(self) -> bool:
        return self.orientation == "upright"


@dataclass(frozen=True)
class Failure:
    """Why something could not be made for a row, and what to do; a row of the failures table."""

    row_id: str
    stage: str  # read, foreground, or a method's name
    kind: Kind
    message: str
    remedy: str


@dataclass(frozen=True)
class Sample:
    """A readable image: the picture as the model sees it (uint8), the mask in the same geometry."""

    row: Row
    content_id: str
    picture_CHW: Tensor
    mask_HW: Tensor | None  # uint8, 255 = foreground
    foreground_id: str | None = None  # hash of the masks' bytes, values and regions
    failure: Failure | None = None  # of the mask; the picture is fine
    estimate: Estimate | None = None  # the mask where none is annotated, else to compare with it
    estimated: bool = False  # is the mask an estimate?
    file: FileProperties | None = None  # only on request

    def is_sure(self, least_confidence: float) -> bool:
        """Is the mask annotated, or an estimate of at least this confidence?"""
        if not self.estimated:
            return self.mask_HW is not None
        return self.estimate is not None and self.estimate.confidence >= least_confidence


def read_sample(
    row: Row, preprocessing: Preprocessing, reading: MaskReading, *, measures: bool = False
) -> Sample | Failure:
    """Read, hash and decode one row; a picture that cannot be read is a failure with its reason.

    With `measures`, the properties of its file too.
    """
    try:
        read = _read_picture(row, preprocessing, reading, decode)
    except RowError as error:
        return _failure_of(row, "read", error)
    decoded = read.decoded
    sample = Sample(row, _hash(read.content), read.picture_CHW, None)
    if measures:
        sample = replace(sample, file=measure_file(read.content, decoded.image_CHW, read.shown_CHW))
    if not row.masks and row.regions is None:
        return sample
    rows, columns = decoded.image_CHW.shape[1:]
    frame = Frame(rows, columns, decoded.turn, reading.is_upright)
    return _with_foreground(sample, frame, preprocessing, reading)


def read_reduced(row: Row, preprocessing: Preprocessing, reading: MaskReading) -> Sample | Failure:
    """The picture alone, in the same geometry, its pixels nearly the same: large ones are unpacked
    at a fraction of their size."""
    resize = preprocessing.resize
    least = max(resize) if isinstance(resize, tuple) else resize
    reduced = decode if least is None else partial(decode_reduced, least=least)
    try:
        read = _read_picture(row, preprocessing, reading, reduced)
    except RowError as error:
        return _failure_of(row, "read", error)
    return Sample(row, _hash(read.content), read.picture_CHW, None)


@dataclass(frozen=True)
class _ReadPicture:
    content: bytes
    decoded: DecodedPicture
    shown_CHW: Tensor  # turned as the run turns pictures
    picture_CHW: Tensor  # as the model sees it


def _read_picture(
    row: Row,
    preprocessing: Preprocessing,
    reading: MaskReading,
    unpack: Callable[[bytes], DecodedPicture],
) -> _ReadPicture:
    """A RowError where the file cannot be read, decoded or resized."""
    name = f"image {printable(row.image)}"
    content = _read_file(name, row.image)
    with _row_errors(f"{name} cannot be decoded"):
        decoded = unpack(content)
    with _row_errors(f"{name} cannot be resized", "crop it or drop the row"):
        shown_CHW = apply_turn(decoded.image_CHW, decoded.turn if reading.is_upright else 1)
        picture_CHW = preprocessing.resize_and_crop(shown_CHW)
    return _ReadPicture(content, decoded, shown_CHW, picture_CHW)


@dataclass(frozen=True)
class Reader:
    """How rows become samples, the same for all rows of a run."""

    preprocessing: Preprocessing
    reading: MaskReading
    estimator: Estimator | None = None
    measures: bool = False  # the properties of each file too

    def __call__(self, row: Row) -> Sample | Failure:
        sample = read_sample(row, self.preprocessing, self.reading, measures=self.measures)
        return self._with_estimate(sample)

    def read_batches(
        self, batches: Sequence[Sequence[Row]], threads: int, ahead: int
    ) -> Iterator[list[Sample | Failure]]:
        """Batches in order, some rows read ahead; an estimator that takes batches gets them."""
        in_batches = self.estimator is not None and self.estimator.estimate_batch is not None
        read = replace(self, estimator=None) if in_batches else self
        stream = read_ahead(chain.from_iterable(batches), read, threads, ahead)
        for batch in batches:
            samples = list(islice(stream, len(batch)))
            yield self._with_estimates(samples) if in_batches else samples

    def read_rows(self, rows: Sequence[Row], threads: int) -> Iterator[Sample | Failure]:
        """Rows in order, some read ahead."""
        batches = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        return chain.from_iterable(self.read_batches(batches, threads, 4 * threads))

    def _with_estimates(self, samples: Sequence[Sample | Failure]) -> list[Sample | Failure]:
        """Estimated at once; one by one where that fails, so that each has its own failure."""
        assert self.estimator is not None
        assert self.estimator.estimate_batch is not None
        pictures = [sample.picture_CHW for sample in samples if isinstance(sample, Sample)]
        if not pictures:
            return list(samples)
        try:
            estimates = iter(self.estimator.estimate_batch(torch.stack(pictures)))
        except Exception:  # a segmenter is the user's code
            return [self._with_estimate(sample) for sample in samples]
        return [
            _take_estimate(it, next(estimates)) if isinstance(it, Sample) else it for it in samples
        ]

    def _with_estimate(self, sample: Sample | Failure) -> Sample | Failure:
        return sample if isinstance(sample, Failure) else self.with_estimate(sample)

    def with_estimate(self, sample: Sample) -> Sample:
        """With the estimate of its foreground, or the reason why there is none."""
        if self.estimator is None:
            return sample
        try:
            with _row_errors("the foreground cannot be estimated", "mark it or drop the row"):
                return _take_estimate(sample, self.estimator.estimate(sample.picture_CHW))
        except Exception as error:  # a segmenter is the user's code
            row_error = error if isinstance(error, RowError) else _segmenter_error(error)
            return replace(sample, failure=_failure_of(sample.row, "foreground", row_error))


def _take_estimate(sample: Sample, estimate: Estimate) -> Sample:
    """The estimate is the mask where none is annotated."""
    if sample.mask_HW is not None or sample.failure is not None:
        return replace(sample, estimate=estimate)
    return replace(sample, estimate=estimate, mask_HW=estimate.mask_HW, estimated=True)


def identify(row: Row) -> tuple[str, str | None]:
    """content_id and foreground_id of a row, from bytes alone; OSError where a file is missing."""
    try:
        content_id = _hash(read_bytes(row.image))
        masks = [(mask, read_bytes(mask)) for mask in row.masks or ()]
    except ValueError as error:  # not an address
        raise OSError(_one_line(error)) from error
    if not masks and row.regions is None:
        return content_id, None
    return content_id, Marks(row.image, tuple(masks), row.mask_values, row.regions).foreground_id


def _with_foreground(
    sample: Sample, frame: Frame, preprocessing: Preprocessing, reading: MaskReading
) -> Sample:
    """The sample with its mask in the picture's geometry, or with the reason why it has none."""
    row = sample.row
    try:
        masks = tuple(
            (mask, _read_file(f"mask {printable(mask)}", mask)) for mask in row.masks or ()
        )
        marks = Marks(row.image, masks, row.mask_values, row.regions)
        sample = replace(sample, foreground_id=marks.foreground_id)
        with _row_errors("", "fix the masks or regions of this row"):
            mask_HW = draw_foreground(marks, frame, reading.polarity)
            return replace(sample, mask_HW=preprocessing.resize_and_crop(mask_HW[None])[0])
    except RowError as error:
        return replace(sample, failure=_failure_of(row, "foreground", error))


def _read_file(name: str, address: str) -> bytes:
    try:
        return read_bytes(address)
    except OSError as error:
        message = f"{name} cannot be read ({error.strerror or _one_line(error)})"
        raise RowError(message, "check the address, then run again", "transient") from error
    except ValueError as error:  # an unknown protocol, a zero byte
        message = f"{name} cannot be read ({_one_line(error)})"
        raise RowError(message, "fix the address or drop the row") from error


@contextmanager
def _row_errors(problem: str, remedy: str = "drop the row") -> Iterator[None]:
    """Turn errors into a RowError, which is transient where memory was short."""
    try:
        yield
    except UserError as error:
        message = f"{problem} ({_one_line(error)})" if problem else _one_line(error)
        raise RowError(message, getattr(error, "remedy", remedy)) from error
    except (MemoryError, RuntimeError) as error:  # the latter is torch's
        message = f"{problem or 'the foreground cannot be drawn'} ({_one_line(error)})"
        raise RowError(message, "give workers more memory, then run again", "transient") from error


def _segmenter_error(error: Exception) -> RowError:
    message = f"the foreground cannot be estimated ({type(error).__name__}: {_one_line(error)})"
    return RowError(message, "fix the segmenter, then --replace")


def _failure_of(row: Row, stage: str, error: RowError) -> Failure:
    return Failure(row.row_id, stage, error.kind, str(error), error.remedy)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], threads: int, ahead: int
) -> Iterator[Result]:
    """Results in order; threads read up to `ahead` of them while the caller computes."""
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__, 1000)
