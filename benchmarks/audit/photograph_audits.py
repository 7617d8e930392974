"""What does an audit say of a pretrained ImageNet classifier, with masks and without?

    python -m benchmarks.audit.photograph_audits --photos DIR [--json | --markdown]

DIR holds table.csv (file_name, label, class_index, mask), photographs and masks of every eighth
class of ImageNet. The command audits EfficientNet-Lite0 (packages as in photographs.py) with the
masks, then without them by --foreground network. The judged half are classes of an even eighth.
Shapes: N photographs.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.audit.photographs import DEVIATION, EIGHTH, MEAN, SIZES, load_network
from benchmarks.measure import Figure, make_parser, print_figures
from tasks.runs import open_run
from tasks.schema import Rate, wilson

NETWORK = "lite0"
MODEL = "import benchmarks.audit.photographs as it\nnetwork = lambda: it.load_network('lite0')\n"
COMMAND = (sys.executable, "-c", "from flows.cli import main; main()", "audit")
COLUMNS = ("file_name", "label", "class_index", "mask")
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Audit:
    """What one run says of N photographs, in the order of the table."""

    flag_N: np.ndarray
    reasons: list[str]
    null: Rate  # of those that are decided


def run(photos: Path | None) -> list[Figure]:
    """Both audits, in a temporary folder."""
    if photos is None:
        sys.exit("photograph_audits: --photos DIR is not given: name the folder")
    rows = read_table(photos)
    with redirect_stdout(sys.stderr):  # the package prints
        load_network(NETWORK)  # says what is missing before anything is computed
    with tempfile.TemporaryDirectory() as name:
        _write_model(rows, Path(name))
        audits = [_audit(rows, photos, Path(name) / source) for source in ("masks", "network")]
    return list(figures_of(rows, *audits))


def read_table(photos: Path) -> Rows:
    """Says what is missing."""
    table = photos / "table.csv"
    if not table.is_file():
        sys.exit(f"photograph_audits: {table} does not exist: --photos names a folder with it")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(COLUMNS) <= set(rows[0]):
        sys.exit(f"photograph_audits: {table} needs rows with the columns {', '.join(COLUMNS)}")
    return rows


def _write_model(rows: Rows, folder: Path) -> None:
    """Network, names of its classes and preprocessing, as a user has them in files."""
    names = {int(row["class_index"]): row["label"] for row in rows}
    lines = [names.get(index, f"class {index}") for index in range(1000)]
    size, mean, std = SIZES[NETWORK], round(MEAN / 255, 3), round(DEVIATION / 255, 3)
    preprocessing = {"resize": size, "crop": [size, size], "interpolation": "bicubic"}
    preprocessing |= {"mean": [mean] * 3, "std": [std] * 3}
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "preprocessing.json").write_text(json.dumps(preprocessing), encoding="utf-8")


def _audit(rows: Rows, photos: Path, out: Path) -> Audit:
    """By the command; foregrounds are the table's masks, or the pretrained network's."""
    masked = out.name == "masks"
    with out.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS if masked else COLUMNS[:-1], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    options = f"--data {out.name}.csv --out {out.name} --model model.py:network --fill inpaint "
    options += "--classes classes.txt --preprocessing preprocessing.json --quiet --foreground "
    options += "annotated" if masked else "network"
    command = [*COMMAND, *options.split(), "--images", str(photos.resolve())]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    if subprocess.call(command, cwd=out.parent, env=environment, stdout=sys.stderr):
        sys.exit(f"photograph_audits: the audit by {out.name} failed: see above")
    kept = open_run(out)
    by_name = {Path(row["image"]).name: row for row in kept.table().to_pylist()}
    ordered = [by_name[Path(row["file_name"]).name] for row in rows]
    null = kept.summary().null or wilson(0, 0)
    return Audit(np.array([it["flag"] for it in ordered]), [it["reason"] for it in ordered], null)


def figures_of(rows: Rows, masks: Audit, network: Audit) -> Iterator[Figure]:
    """Each audit on its own, and how far they agree."""
    masked_N = np.array([bool(row["mask"]) for row in rows])
    judged_N = np.array([int(row["class_index"]) // EIGHTH % 2 == 0 for row in rows])
    yield from _audit_figures("masks, all", masks, masked_N)
    yield _share("masks, all: by the null", masks.null.count, masks.null.of)
    yield from _audit_figures("masks, judged on", masks, masked_N & judged_N)
    yield from _audit_figures("network, all", network, np.ones_like(masked_N))
    yield _share("network, all: by the null", network.null.count, network.null.of)
    flag_2N = np.stack([masks.flag_N, network.flag_N])
    flagged_2N, both_N = flag_2N == "rests_on_background", (flag_2N != "undecided").all(0)
    for half, kept_N in (("all", both_N), ("judged on", both_N & judged_N)):
        by_n = flagged_2N[:, kept_N].sum(0)
        yield _share(f"both decide, {half}: flags agree", (by_n != 1).sum(), len(by_n))
        yield _share(
            f"both decide, {half}: of either's, both's", (by_n == 2).sum(), (by_n > 0).sum()
        )


def _audit_figures(name: str, audit: Audit, kept_N: np.ndarray) -> Iterator[Figure]:
    decided_N, of = kept_N & (audit.flag_N != "undecided"), int(kept_N.sum())
    yield _share(f"{name}: decided", decided_N.sum(), of)
    reasons = [audit.reasons[image] for image in np.flatnonzero(kept_N & ~decided_N)]
    for reason, count in Counter(re.sub(r" \(.*", "", it) for it in reasons).most_common():
        yield _share(f"{name}: undecided, {reason}", count, of)
    flagged_N = audit.flag_N == "rests_on_background"
    yield _share(f"{name}: flagged", (decided_N & flagged_N).sum(), decided_N.sum())


def _share(name: str, count: int, of: int) -> Figure:
    rate = wilson(int(count), int(of))
    value = float("nan") if rate.value is None else rate.value
    return Figure(f"{name} ({count} of {of})", value, rate.low, rate.high)


def main() -> None:
    """The command."""
    parser = make_parser(__doc__.partition("\n")[0], "python -m benchmarks.audit.photograph_audits")
    parser.add_argument("--photos", type=Path, required=True, help="folder with table.csv")
    arguments = parser.parse_args()
    print_figures(run(arguments.photos), arguments)


if __name__ == "__main__":
    main()
