"""One image of a run as a figure: its picture, a map over it, and what the audit changed in it.

Shapes: H W pixels of the picture as the model sees it, 3 colours.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.errors import UserError, printable
from reports.notebook import image_as_html
from tasks.explorer.missing_pictures import MissingPicture
from tasks.explorer.pictures import Kind, Pictures
from tasks.explorer.row_details import ChangedPrediction, DetailsReader
from tasks.runs.reader import Run
from tasks.runs.rows import Row, RunRows, UnknownRow, only_row
from tasks.runs.stages import PREDICTIONS, SCORES
from tasks.schema import ChangedPicture, Example

UNFINISHED = "the run is not finished: run the same command again, it continues"


@dataclass(frozen=True)
class ImageFigure:
    """What a notebook displays of one image."""

    words: str
    html: str  # whole: its pictures are inside

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{self.words} (a notebook shows the figure; .html is its text)"


class ImageFigures:
    """Draws the images of a run; what finds them is read once."""

    def __init__(self, run: Run) -> None:
        self._rows = RunRows(run)
        self._pictures = Pictures(self._rows)
        self._details = DetailsReader(self._rows)

    def figure(self, row_id: str, method: str | None) -> ImageFigure:
        """The image with the map of a method: without one, of the method that its flag goes by."""
        self._rows.run.check_method(method)
        self._check_row(row_id)
        flag = only_row(self._rows.flag_row(row_id)) or {}
        said = self._prediction(row_id) | flag
        drawn = method or _usual_method(self._rows, row_id, flag)
        html = image_as_html(self._example(row_id, said, drawn), drawn)
        words = f"{printable(row_id)}: predicted as {printable(said['prediction'])}"
        return ImageFigure(words, html)

    def _check_row(self, row_id: str) -> None:
        """Refuse a row that is not there, with the nearest."""
        try:
            self._rows.number(row_id)
        except UnknownRow:
            self._rows.run.check_rows([row_id])
            raise

    def _prediction(self, row_id: str) -> Row:
        """Refuses an image without one: it has none of all the rest."""
        found = only_row(self._rows.part_row(PREDICTIONS, row_id))
        if found is None:
            failures = [f"{it['message']}: {it['remedy']}" for it in self._rows.failures(row_id)]
            why = "; ".join(failures) or UNFINISHED
            raise UserError(f"{printable(row_id)} has no prediction ({why})")
        return found

    def _example(self, row_id: str, said: Row, method: str | None) -> Example:
        """`said` is of the predictions and of the flags, which an unfinished run has not."""
        picture_HW3 = self._picture(row_id, "picture")
        no_map_HW = np.zeros(picture_HW3.shape[:2])
        scores = (
            None if method is None else only_row(self._rows.part_row(SCORES.of(method), row_id))
        )
        return Example(
            row_id=row_id,
            **{name: said[name] for name in ("label", "prediction", "confidence", "correct")},
            flag=said.get("flag", ""),
            reason=said.get("reason", ""),
            score=said.get("score"),
            lift=None if scores is None else scores["lift"],
            foreground=said.get("foreground", "none"),
            other_object=bool(said.get("other_object")),
            picture_HW3=picture_HW3,
            map_HW=no_map_HW if method is None else self._pictures.map(row_id, method),
            mask_HW=self._foreground(row_id),
            changes=tuple(
                _changed_picture(change, self._picture(row_id, change.kind, change.slot))
                for change in self._details.changes(row_id)
            ),
        )

    def _picture(self, row_id: str, kind: Kind, slot: int = 0) -> np.ndarray:
        """uint8 (H, W, 3)."""
        return np.asarray(Image.open(io.BytesIO(self._pictures.picture(row_id, kind, slot))))

    def _foreground(self, row_id: str) -> np.ndarray | None:
        try:
            return self._pictures.foreground(row_id)
        except MissingPicture:
            return None


def _usual_method(rows: RunRows, row_id: str, flag: Row) -> str | None:
    """None where the image has no map of it."""
    usual = flag.get("method") or next(iter(rows.run.methods), None)
    return usual if usual is not None and rows.has_map(row_id, usual) else None


def _changed_picture(change: ChangedPrediction, picture_HW3: np.ndarray) -> ChangedPicture:
    return ChangedPicture(
        change=change.kind,
        probability=change.probability,
        prediction=change.prediction,
        picture_HW3=picture_HW3,
        donor=change.donor,
        donor_label=change.donor_label,
        same_class=bool(change.same_class),
        words=change.words,
    )
