"""The files of a run's images, read again: pictures and foregrounds, upright as viewers show them.

Shapes: H W pixels of the whole picture.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from models.addresses import is_local, without_file_protocol
from models.errors import UserError
from tasks.attribution.job import reader_of
from tasks.catalog.allowed_addresses import AllowedAddresses
from tasks.catalog.settings import DataSettings
from tasks.export.geometry import Window
from tasks.pictures.decode import apply_turn, open_picture
from tasks.pictures.foreground import Frame, Marks, draw_foreground
from tasks.pictures.rows import Row
from tasks.pictures.samples import Reader, Sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.reader import Run
from tasks.storage.files import read_bytes

SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
IN_A_FOLDER = 1000  # files: more make folders slow
THREADS, AHEAD = 4, 16  # that read pictures, and pictures read ahead


@dataclass(frozen=True)
class Picture:
    """The file of an image, and its geometry."""

    content: bytes
    frame: Frame

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns upright, as viewers show it."""
        return self.frame.size(True)

    def upright(self, shown_HW: np.ndarray) -> np.ndarray:
        """What lies over the picture as the model saw it, as it lies over the upright one."""
        if self.frame.upright:
            return shown_HW
        turned_HW: np.ndarray = apply_turn(
            torch.from_numpy(shown_HW.copy()), self.frame.turn
        ).numpy()
        return turned_HW


@dataclass(frozen=True)
class PictureFiles:
    """Reads the files of a run's images; none from a web server, which a run may name."""

    reader: Reader
    allowed: AllowedAddresses

    @classmethod
    def of(cls, run: Run, *, estimates: bool = True) -> PictureFiles:
        """Without estimates no foreground is estimated, nor where a run names code that does it."""
        foreground = run.state.section("foreground", ForegroundSettings)
        identity = run.state.identity
        if not estimates or foreground.runs_code:
            identity = identity.model_copy(update={"estimator": None})
        allowed = AllowedAddresses.of(run.state.section("data", DataSettings))
        return cls(reader_of(identity, foreground), allowed.without_web())

    def read(self, row: Row) -> Picture | None:
        """None where it can no longer be read, or must not be."""
        if not self.allowed.include(row.image):
            return None
        with suppress(OSError, ValueError):  # a picture that is broken is a ValueError, too
            content = read_bytes(row.image)
            opened = open_picture(content)
            upright = self.reader.reading.orientation == "upright"
            return Picture(content, Frame(*opened.size, opened.turn, upright))
        return None

    def window(self, picture: Picture) -> Window:
        """Where the model's crop lies in the picture as the model saw it."""
        rows, columns = picture.frame.size(picture.frame.upright)
        return Window.of(self.reader.preprocessing, rows, columns)

    def shown(self, row: Row) -> np.ndarray | None:
        """uint8 (H, W, 3): the picture as the model sees it; None where it cannot be read."""
        if not self.allowed.include(row.image):
            return None
        sample = self.reader(replace(row, masks=None, regions=None))
        if not isinstance(sample, Sample):
            return None
        picture_HW3: np.ndarray = sample.picture_CHW.permute(1, 2, 0).numpy()
        return picture_HW3

    def foreground(self, row: Row, picture: Picture) -> np.ndarray | None:
        """bool (H, W): the annotated foreground, else the estimate that the audit made."""
        if row.masks or row.regions is not None:
            return self._annotated(row, picture)
        return None if self.reader.estimator is None else self._estimated(row, picture)

    def _annotated(self, row: Row, picture: Picture) -> np.ndarray | None:
        if not all(map(self.allowed.include, row.masks or ())):
            return None
        with suppress(OSError, UserError):
            masks = tuple((mask, read_bytes(mask)) for mask in row.masks or ())
            marks = Marks(row.image, masks, row.mask_values, row.regions)
            mask_HW = draw_foreground(marks, picture.frame, self.reader.reading.polarity)
            return picture.upright(mask_HW.numpy()) > 0
        return None

    def _estimated(self, row: Row, picture: Picture) -> np.ndarray | None:
        """It is made again, since a run keeps none."""
        sample = self.reader(row)
        if not isinstance(sample, Sample) or sample.mask_HW is None:
            return None
        window = self.window(picture)
        placed_HW = window.place(sample.mask_HW.numpy() / 255, (window.rows, window.columns))
        return picture.upright(placed_HW) >= 0.5


def describe_unread(count: int, words: str) -> list[str]:
    """What an export lacks because pictures are gone: a line, or none."""
    return [f"pictures that could not be read again: {count} ({words})"] if count else []


def numbered(folder: Path, number: int, suffix: str) -> Path:
    """A file's place among a million, by its image's number; its folder is made."""
    path = folder / f"{number // IN_A_FOLDER:04d}" / f"{number:07d}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def copy_picture(picture: Picture, address: str, folder: Path, number: int) -> Path:
    """The bytes of the original under its number."""
    suffix = PurePosixPath(address).suffix
    path = numbered(folder, number, suffix if SUFFIX.fullmatch(suffix) else "")
    path.write_bytes(picture.content)
    return path


def write_grey(values_HW: np.ndarray, path: Path) -> None:
    """Values from 0 to 1 as a grey PNG of 8 bits."""
    grey_HW = (np.nan_to_num(values_HW).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(grey_HW).save(path, "PNG")


def thumbnail(picture_HW3: np.ndarray, side: int) -> bytes:
    """A small JPEG."""
    picture = Image.fromarray(np.ascontiguousarray(picture_HW3))
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def local_path(address: str) -> str | None:
    """The absolute path of a local picture; None for a remote one."""
    path = without_file_protocol(address)
    return str(Path(path).absolute()) if is_local(path) else None
