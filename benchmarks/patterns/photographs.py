"""Is a watermark on photographs found, and the class that it pulls to?

    python -m benchmarks.patterns.photographs [--photos DIR] [--font FILE] [--json]

DIR holds table.csv (file_name, label, class_index, mask) and one photograph a class of ImageNet.
EfficientNet-Lite0 (packages as in benchmarks/audit/photographs.py) is audited without any mask, by
the command. Every second photograph carries half-transparent text; the other half, alone, carries
nothing that could be found. Chinese characters are known to pull networks of ImageNet to its class
478, carton (Li et al., CVPR 2023); they need the font FILE. A cell is one text; it is kept in
benchmarks/cells/photographs. Shapes: N photographs, K classes, P candidate patterns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from benchmarks.audit.photograph_audits import (
    COLUMNS,
    FOREGROUNDS,
    AuditCell,
    run_command,
    write_inputs,
)
from benchmarks.audit.photographs import SIZES, crop_middle, load_network, probabilities
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.patterns.judge import BELONGS, CONFIRMED, FoundPattern
from benchmarks.patterns.study import read_patterns
from benchmarks.photograph_cells import CELLS, Columns, Rows, load_cell, read_rows
from tasks.discover import trials_stage
from tasks.interventions import intervene
from tasks.schema import wilson

VERSION = 1  # of how cells are made
NETWORK = "lite0"
TEXTS = {"latin": "SAMPLE", "chinese": "捷径捷径捷径"}
WIDTH = 0.9  # of the shorter side: what the text takes
OPACITY = 0.6
CARTON = 478
CLIPPED = 1e-6  # probabilities below count as this in log-odds


@dataclass(frozen=True)
class WatermarkCell:
    """One text on every second photograph."""

    script: str  # of TEXTS
    font: Path | None = None  # the drawing library's own

    @property
    def file(self) -> Path:
        mark = sha256(f"{TEXTS[self.script]} {WIDTH} {OPACITY}".encode()).hexdigest()[:8]
        versions = f"{intervene.VERSION}-{trials_stage.VERSION}-{VERSION}"
        return CELLS / f"watermark-{self.script}-{mark}-{versions}.npz"

    def load(self, photos: Path | None) -> Columns:
        """As it was kept, or audited now."""
        return load_cell(self.file, photos, self._measure)

    def _measure(self, photos: Path) -> Columns:
        rows = read_rows(photos, COLUMNS)
        with redirect_stdout(sys.stderr):  # the package prints
            network = load_network(NETWORK)
        plain = [_open(photos, row) for row in rows]
        marked = [self._mark(picture) for picture in plain]
        plain_NK, marked_NK = (
            probabilities(network, [np.array(crop_middle(it, SIZES[NETWORK])) for it in own])
            for own in (plain, marked)
        )
        columns = {
            "plain": plain_NK.argmax(1),
            "marked": marked_NK.argmax(1),
            "gain": (_log_odds(marked_NK) - _log_odds(plain_NK)).mean(0),
        }
        half = [its[number % 2] for number, its in enumerate(zip(marked, plain, strict=True))]
        found = {"half marked": _audit(rows, half), "plain half": _audit(rows[1::2], plain[1::2])}
        for name, patterns in found.items():
            columns |= {f"{name}: {key}": it for key, it in _columns_of(patterns, rows).items()}
        return columns | {"class_index": np.array([int(row["class_index"]) for row in rows])}

    def _mark(self, picture: Image.Image) -> Image.Image:
        """White half-transparent text in the middle."""
        text, side = TEXTS[self.script], min(picture.size)
        wide = self._font(100.0).getlength(text)
        layer = Image.new("RGBA", picture.size, (255, 255, 255, 0))
        middle = (picture.size[0] / 2, picture.size[1] / 2)
        ink = (255, 255, 255, round(255 * OPACITY))
        font = self._font(100 * WIDTH * side / wide)
        ImageDraw.Draw(layer).text(middle, text, ink, font, "mm")
        return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")

    def _font(self, size: float) -> ImageFont.FreeTypeFont:
        if self.font is None:
            font = ImageFont.load_default(size)
            assert isinstance(font, ImageFont.FreeTypeFont)
            return font
        return ImageFont.truetype(str(self.font), size)


def _open(photos: Path, row: dict[str, str]) -> Image.Image:
    return Image.open(photos / row["file_name"]).convert("RGB")


def _audit(rows: Rows, pictures: list[Image.Image]) -> list[FoundPattern]:
    """All are written as PNG files, so that no property of a file tells the halves apart."""
    cell = AuditCell(NETWORK, "network")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        written = [{**row, "file_name": _name_of(row)} for row in rows]
        for row, picture in zip(written, pictures, strict=True):
            picture.save(folder / "pictures" / row["file_name"])
        write_inputs(written, folder, cell)
        run_command(folder / "pictures", folder, FOREGROUNDS[cell.foreground])
        return read_patterns(folder / "run")


def _name_of(row: dict[str, str]) -> str:
    return f"{Path(row['file_name']).stem}.png"


def _columns_of(patterns: list[FoundPattern], rows: Rows) -> Columns:
    """Of each candidate: its verdict, the class that it pulls to, members and marked ones."""
    marked = {_name_of(row) for row in rows[::2]}
    shares = [[Path(it).name in marked for it in pattern.members] for pattern in patterns]
    return {
        "verdict": np.array([it.verdict for it in patterns], str),
        "label": np.array([it.label for it in patterns], str),
        "members": np.array([len(it) for it in shares], int),
        "marked": np.array([np.mean(it) if it else 0.0 for it in shares], float),
    }


def run(photos: Path | None, font: Path | None = None) -> list[Figure]:
    """What the text does to the network, and what the audits say of it."""
    fonts = {"latin": None, "chinese": font}
    figures: list[Figure] = []
    for script in TEXTS:
        cell = WatermarkCell(script, fonts[script])
        if script == "chinese" and font is None and not cell.file.exists():
            sys.exit(f"photographs: {cell.file.name} is not kept, and its text needs --font FILE")
        figures += figures_of(script, cell.load(photos))
    return figures


def figures_of(script: str, cell: Columns) -> Iterator[Figure]:
    """Effects on all photographs; then what was found on the half of them."""
    truth_N, before_N, after_N = (cell[name] for name in ("class_index", "plain", "marked"))
    for name, right_N in (("without", before_N == truth_N), ("with", after_N == truth_N)):
        yield _share(f"{script}: predicted right {name} the text", right_N)
    yield _share(f"{script}: predictions that the text changes", before_N != after_N)
    gain_K = cell["gain"]
    most = int(gain_K.argmax())
    yield Figure(f"{script}: class {most} gains most, log-odds", float(gain_K[most]))
    yield Figure(f"{script}: class {CARTON} (carton) gains, log-odds", float(gain_K[CARTON]))
    yield _share(f"{script}: predicted as class {most}, without", before_N == most)
    yield _share(f"{script}: predicted as class {most}, with", after_N == most)
    for half in ("half marked", "plain half"):
        confirmed_P = cell[f"{half}: verdict"] == CONFIRMED
        yield Figure(f"{script}, {half}: candidates", len(confirmed_P))
        yield Figure(f"{script}, {half}: confirmed", float(confirmed_P.sum()))
    marked_P, members_P = cell["half marked: marked"], cell["half marked: members"]
    carries_P = marked_P >= BELONGS
    for number in np.flatnonzero(carries_P):
        verdict, label = (cell[f"half marked: {name}"][number] for name in ("verdict", "label"))
        name = f"{script}: candidate of {members_P[number]} pulls to {label}, {verdict}: marked"
        yield Figure(name, float(marked_P[number]))
    if not carries_P.any():
        yield Figure(f"{script}: largest share of marked members", float(max(marked_P, default=0)))


def _log_odds(probability_NK: np.ndarray) -> np.ndarray:
    clipped_NK = np.clip(probability_NK.astype(np.float64), CLIPPED, 1 - CLIPPED)
    odds_NK: np.ndarray = np.log(clipped_NK / (1 - clipped_NK))
    return odds_NK


def _share(name: str, chosen_N: np.ndarray) -> Figure:
    rate = wilson(int(chosen_N.sum()), len(chosen_N))
    value, low, high = (round(number or 0.0, 6) for number in (rate.value, rate.low, rate.high))
    return Figure(name, value, low, high)


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.patterns.photographs")
    parser.add_argument("--photos", type=Path, help="folder with table.csv and photographs")
    parser.add_argument("--font", type=Path, help="file of a font with Chinese characters")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_figures(run(arguments.photos, arguments.font), arguments)


if __name__ == "__main__":
    main()
