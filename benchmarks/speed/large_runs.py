"""What commands take on an audit of 100,000 images and of a million: seconds, CPU and memory.

    python -m benchmarks.speed.large_runs [--quick] [--sizes 100000 1000000]

A real audit of 960 pictures is made large (benchmarks/explorer/enlarged_run.py): the night before.
Tonight's audit of a table of as many rows reuses it: it reads every picture and writes every part,
and no network computes anything twice. Each command is a process of its own, as a user starts it;
its memory is that of this process without its workers, which is what grows with the data: all of
it, and without the files that it maps, which the kernel holds once for the process and its workers.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.audit.known_classifiers import (
    ClassifierSpec,
    KnownClassifier,
    load_known_classifier,
)
from benchmarks.explorer.enlarged_run import enlarge_run, new_row_id
from benchmarks.explorer.open_command import open_explorer
from benchmarks.measure import Figure, make_parser, print_figures
from models.classifier.classifier import save_bundle
from tasks.runs.reader import Run

CLASSIFIER = ClassifierSpec("first", "default", 0.95, 1)
SIGHTLINE = str(Path(sys.executable).with_name("sightline"))
SHARD = 240
FLAGGED = (
    '{"conditions": [{"kind": "values", "column": "flag", "values": ["rests_on_background"]}]}'
)
# A release audits and asks MLflow before and after it; this is what it does between them.
DECIDE = """
import sys
from tasks.gate.decide import decide
from tasks.gate.policy import read_policy
from tasks.runs import open_run

policy, candidate, champion = sys.argv[1:]
print(decide(read_policy(policy), open_run(candidate), open_run(champion), "compared").sentence)
"""
POLICY = Path(__file__).parents[2] / "examples/policy.toml"
SIZES = (100_000, 1_000_000)
QUICK = (1_920, 3_840)
MOST = 1000  # MB of a command's own process
GROWTH = 1.2  # of its memory, from the first size to the last
READ_EVERY = 0.05  # seconds, its memory


@dataclass(frozen=True)
class Spent:
    """What a command took."""

    seconds: float
    cpu_seconds: float  # with its workers
    megabytes: float  # the most that its own process held, files that it maps included
    own_megabytes: float  # without those files, which are torch's and other libraries' code


def run(quick: bool, sizes: Sequence[int] = ()) -> list[Figure]:
    """By size and command; then how memory grew, and seconds beside what is linear."""
    sizes = sizes or (QUICK if quick else SIZES)
    with tempfile.TemporaryDirectory() as name:
        night = Night.begin(Path(name))
        found = {size: dict(night.commands(size)) for size in sizes}
    return [*_rows(found, quick), *_growth(found, quick)]


@dataclass(frozen=True)
class Night:
    """The small audit that all of them are copies of."""

    folder: Path
    known: KnownClassifier

    @classmethod
    def begin(cls, folder: Path) -> Night:
        known = load_known_classifier(CLASSIFIER)
        save_bundle(
            folder / "model", replace(known.classifier, architecture="sightline:small_resnet")
        )
        night = cls(folder, known)
        _spend((SIGHTLINE, *night.audit(night.write_table(0), "--out", "audited")), folder)
        return night

    def audit(self, data: Path, *words: str) -> list[str]:
        table = ("--data", str(data), "--key-column", "key", "--images", self.images)
        how = ("--model", "model", "--methods", "grad_cam_pp", "--shard-size", str(SHARD))
        return ["audit", *table, *how, *words]

    @property
    def images(self) -> str:
        return str(self.known.table.parent)

    def commands(self, images: int) -> Iterator[tuple[str, Spent]]:
        """What each took; tonight's audit stands on the night before."""
        before, tonight = f"before-{images}", f"tonight-{images}"
        audited = Run.at(self.folder / "audited")
        enlarge_run(audited, self.folder / before, images)
        table = self.write_table(-(-images // len(audited.catalog)))
        workers = ("--workers", "2")
        audit = self.audit(table, "--reuse", before, "--out", tonight, *workers)
        commands = {
            "audit that reuses the night before": audit,
            "the same again": audit,
            "show": ["show", tonight],
            "runs": ["runs", "."],
            "compare": ["compare", tonight, before, "--out", f"compared-{images}"],
            "discover": ["discover", tonight, *workers],
            "scenario": ["scenario", tonight, "night", "--filter", FLAGGED],
            "export --to csv": ["export", tonight, "--to", "csv", "--out", f"csv-{images}"],
        }
        for name, words in commands.items():
            yield name, _spend((SIGHTLINE, *words), self.folder)
        decide = (sys.executable, "-c", DECIDE, str(POLICY), tonight, before)
        yield "the gate's verdict", _spend(decide, self.folder)
        yield "open, up to the address", _open(self.folder / tonight)
        yield "remove", _spend((SIGHTLINE, "remove", tonight, "--yes"), self.folder)

    def write_table(self, copies: int) -> Path:
        """The rows of the run with so many copies, or of the small one, as a user's table."""
        with self.known.table.open() as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
        path = self.folder / f"rows-{copies}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "key"])
            writer.writeheader()
            for prefix in [new_row_id(copy, "") for copy in range(copies)] or [""]:
                writer.writerows({**row, "key": f"{prefix}{row['file_name']}"} for row in rows)
        return path


def _spend(command: Sequence[str], folder: Path) -> Spent:
    start = time.perf_counter()
    with (folder / "log.txt").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        memory = _OwnMemory(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        log.seek(0)
        assert os.waitstatus_to_exitcode(status) == 0, (command, log.read())
    return Spent(seconds, usage.ru_utime + usage.ru_stime, *memory.most())


def _open(run: Path) -> Spent:
    with tempfile.TemporaryDirectory() as name, open_explorer(Path(name), run) as opened:
        memory = _OwnMemory(opened.process.pid)
        user, system = _times(opened.process.pid)
        return Spent(opened.seconds, user + system, *memory.most())


def _times(process: int) -> tuple[float, float]:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


class _OwnMemory:
    """The most that a process has held, as Linux counts it, read until the process ends."""

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._most, self._done = {"VmHWM": 0.0, "RssAnon": 0.0}, threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def most(self) -> tuple[float, float]:
        """MB, in all and without mapped files."""
        self._done.set()
        self._thread.join()
        return self._most["VmHWM"], self._most["RssAnon"]

    def _read(self) -> None:
        while True:
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            for line in lines:
                name, _, value = line.partition(":")
                if name in self._most:
                    self._most[name] = max(self._most[name], int(value.split()[0]) / 1000)
            if self._done.wait(READ_EVERY):
                return


def _rows(found: dict[int, dict[str, Spent]], quick: bool) -> Iterator[Figure]:
    for size, commands in found.items():
        for name, spent in commands.items():
            what = f"{size:,} images, {name}"
            yield Figure(f"{what}: seconds", spent.seconds)
            yield Figure(f"{what}: CPU seconds", spent.cpu_seconds)
            yield _judge(f"{what}: MB", spent.megabytes, MOST, quick)
            yield Figure(f"{what}: MB without mapped files", spent.own_megabytes)


def _growth(found: dict[int, dict[str, Spent]], quick: bool) -> Iterator[Figure]:
    """From the first size to the last."""
    few, many = min(found), max(found)
    for name, first in found[few].items():
        last = found[many][name]
        grown = last.own_megabytes / first.own_megabytes
        yield _judge(f"{name}: growth of memory", grown, GROWTH, quick)
        linear = last.cpu_seconds / first.cpu_seconds / (many / few)
        yield Figure(f"{name}: CPU an image, of that of {few:,}", linear)


def _judge(name: str, value: float, most: float, quick: bool) -> Figure:
    """Against its goal, which is not one of the quick form's few images."""
    figure = Figure(name, value)
    return figure if quick else replace(figure, goal=f"at most {most:g}", holds=value <= most)


def main() -> None:
    parser = make_parser(__doc__, "python -m benchmarks.speed.large_runs")
    parser.add_argument("--sizes", nargs="+", type=int, default=(), metavar="IMAGES")
    arguments = parser.parse_args()
    print_figures(run(arguments.quick, tuple(arguments.sizes)), arguments)


if __name__ == "__main__":
    main()
