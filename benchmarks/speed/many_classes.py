"""What the report of many images and a thousand classes costs, and how large its page is.

The run is an audit of generated pictures by a network that is nearly nothing: it takes the colour
of the middle for the class, and is led astray by that of the border. All parts are written as
those of any other audit; only what follows them is timed.
"""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from benchmarks.audit_in_process import attribute_in_process
from benchmarks.measure import Figure, main
from benchmarks.speed.peak_memory import track_peak_memory
from models.classifier.settings import ModelSettings
from reports.audit_page import render_page
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.flags.settings import FlagSettings
from tasks.runs.folder import RunFolder
from tasks.schema import CostSummary
from tasks.summary.examples import examples_of
from tasks.summary.summarise import summarise

Found = TypeVar("Found")

SIDE, BORDER = 16, 4  # of a picture, and around its object
SHADES = 10  # of each colour: a thousand classes
GROUPS = 25
METHOD = "grad_cam_pp"
PLACES = {"reef": (20, 60, 200), "sand": (220, 200, 120), "lawn": (40, 170, 60)}
MODEL = """
import torch

SHADES = torch.linspace(0.05, 0.95, 10)
CODES = torch.cartesian_prod(SHADES, SHADES, SHADES)

class ByColour(torch.nn.Module):
    classes = tuple(f"species {number:03}" for number in range(1000))
    preprocessing = {"crop": [16, 16], "mean": [0, 0, 0], "std": [1, 1, 1]}

    def __init__(self):
        super().__init__()
        self.cells = torch.nn.Conv2d(3, 3, 4, stride=4, bias=False)
        self.head = torch.nn.Linear(3, 1000)
        window_HW = torch.full((4, 4), 0.06 / 12)
        window_HW[1:3, 1:3] = 0.94 / 4
        self.register_buffer("window_HW", window_HW)
        with torch.no_grad():
            self.cells.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)
            self.head.weight.copy_(400 * CODES)
            self.head.bias.copy_(-200 * CODES.square().sum(1))

    def forward(self, image):
        return self.head((self.cells(image).relu() * self.window_HW).sum((2, 3)))

def build():
    return ByColour()
"""


@dataclass(frozen=True)
class Report:
    """What follows the parts: seconds by stage, the size of the page, and memory."""

    seconds: dict[str, float]
    page: int  # bytes
    memory: int  # bytes above the start


def run(quick: bool) -> list[Figure]:
    """Size of the page, seconds and memory of both audits: many images a class, and one."""
    torch.set_num_threads(1)
    many = 5_000 if quick else 50_000
    with tempfile.TemporaryDirectory() as folder:
        return [
            figure
            for rows, grouped in ((many, True), (1_000, False))
            for figure in _figures(rows, measure(rows, Path(folder) / str(rows), grouped=grouped))
        ]


def _figures(rows: int, report: Report) -> list[Figure]:
    audit = f"{rows:,} images, 1,000 classes"
    page, seconds = report.page / 1e6, report.seconds
    render = seconds["examples"] + seconds["page"]
    return [
        Figure(f"{audit}: page, MB", page, goal="at most 3", holds=page <= 3),
        Figure(f"{audit}: examples and page, s", render, goal="at most 60", holds=render <= 60),
        Figure(f"{audit}: of it the page, s", seconds["page"]),
        Figure(f"{audit}: flags and figures before it, s", seconds["summary"]),
        Figure(f"{audit}: memory above the start, MB", report.memory / 1e6),
    ]


def measure(rows: int, folder: Path, *, grouped: bool) -> Report:
    """The report of an audit of so many images; its page stays in the folder."""
    run, cost = make_run(rows, folder, grouped=grouped)
    seconds = {}
    with track_peak_memory() as memory:
        summary, seconds["summary"] = _timed(
            lambda: summarise(run, FlagSettings(method=METHOD), cost)
        )
        examples, seconds["examples"] = _timed(lambda: examples_of(run, METHOD))
        page, seconds["page"] = _timed(lambda: render_page(summary, examples))
    (folder / "report.html").write_text(page, encoding="utf-8")
    return Report(seconds, len(page.encode()), memory.most - memory.before)


def _timed(work: Callable[[], Found]) -> tuple[Found, float]:
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def make_run(rows: int, folder: Path, *, grouped: bool) -> tuple[RunFolder, CostSummary]:
    """An audit of so many generated pictures, up to its parts."""
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(MODEL)
    write_pictures(rows, folder)
    data = DataSettings(
        path=str(folder / "images.csv"),
        class_groups=str(folder / "groups.csv") if grouped else None,
    )
    model = ModelSettings(address=f"{folder / 'net.py'}:build")
    request = AuditRequest(data, AttributionSettings(methods=(METHOD,)))
    return attribute_in_process(folder / "run", model, request)


def write_pictures(rows: int, folder: Path) -> None:
    """Pictures whose object has the colour of its class, a mask, a table and groups of classes."""
    chance = np.random.default_rng(0)
    mask_HW = np.zeros((SIDE, SIDE), np.uint8)
    mask_HW[BORDER:-BORDER, BORDER:-BORDER] = 255
    Image.fromarray(mask_HW).save(folder / "mask.png")
    names = tuple(PLACES)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "label", "mask", "place", "camera"))
        for row in range(rows):
            number, place = row % SHADES**3, names[chance.integers(len(names))]
            (folder / f"{row:06}.png").write_bytes(_picture(number, PLACES[place], chance))
            table.writerow(
                (f"{row:06}.png", f"species {number:03}", "mask.png", place, chance.integers(7))
            )
    lines = [f"species {number:03},group {number // 40:02}" for number in range(SHADES**3)]
    (folder / "groups.csv").write_text("class,group\n" + "\n".join(lines) + "\n")


def _picture(number: int, place: tuple[int, int, int], chance: np.random.Generator) -> bytes:
    """A square in the colour of the class on the colour of a place, both with noise."""
    shades = np.array([number // 100, number // 10 % 10, number % 10])
    picture_HW3 = np.empty((SIDE, SIDE, 3))
    picture_HW3[:] = place
    picture_HW3[BORDER:-BORDER, BORDER:-BORDER] = 255 * (0.05 + 0.1 * shades)
    picture_HW3 += chance.normal(0, 12, picture_HW3.shape) + chance.normal(0, 5, 3)
    file = io.BytesIO()
    Image.fromarray(picture_HW3.clip(0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


if __name__ == "__main__":
    main(run)
