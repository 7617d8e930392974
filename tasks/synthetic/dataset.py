"""Writes the benchmark as an ordinary dataset: images, masks and a table for the catalog.

    images/<split>/00017.png  masks/<split>/00017.png  metadata.csv  benchmark.json

benchmark.json is written first and identifies the folder, metadata.csv last: with it the folder is
complete.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from io import StringIO
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from models.addresses import as_path
from models.errors import UserError
from tasks.storage.files import write_text
from tasks.synthetic.primitives import Draw
from tasks.synthetic.scene import Scene, render
from tasks.synthetic.settings import SPLITS, VERSION, BenchmarkSettings, Split

log = logging.getLogger("sightline")

TABLE, IDENTITY = "metadata.csv", "benchmark.json"
FOLDERS = ("images", "masks")
SEEDS = 2**31
BATCH = 100  # pictures that a process draws at a time


@dataclass(frozen=True)
class Row:
    """One line of metadata.csv."""

    file_name: str
    label: str
    mask: str
    split: str
    group: str
    background: str
    object_seed: int
    background_seed: int
    tagged: bool


def scene_of(row: Mapping[str, Any]) -> Scene:
    """The scene of a row, typed or as text from the table."""
    return Scene(
        label=str(row["label"]),
        background=str(row["background"]),
        object_seed=int(row["object_seed"]),
        background_seed=int(row["background_seed"]),
        tagged=str(row["tagged"]).lower() == "true",
    )


def plan(settings: BenchmarkSettings) -> list[Row]:
    """The rows of all pictures; a row does not depend on how many others there are."""
    return [
        _plan_row(settings, split, index)
        for split in SPLITS
        for index in range(settings.size_of(split))
    ]


def write_benchmark(folder: Path, settings: BenchmarkSettings, processes: int = 1) -> Path:
    """Draw all pictures into the folder, unless it is complete; returns the path of the table.

    With more than one process, the main module must be importable.
    """
    if (folder / IDENTITY).exists():
        _refuse_other_benchmark(folder, settings)
        if (folder / TABLE).exists():
            return folder / TABLE
    _refuse_foreign_files(folder)
    rows = plan(settings)
    log.info(
        "drawing %s pictures, in training %.0f%% of each class on its own background",
        *(f"{len(rows):,}", 100 * settings.strength),
    )
    identity = {"version": VERSION, **settings.model_dump()}
    write_text(as_path(folder / IDENTITY), json.dumps(identity, indent=2) + "\n")
    for split in SPLITS:
        for kind in FOLDERS:
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    _write_pictures(folder, settings, rows, processes)
    _write_table(folder / TABLE, rows)
    return folder / TABLE


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of the table, as text."""
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def read_settings(folder: Path) -> BenchmarkSettings:
    """The settings that a benchmark folder was drawn with."""
    try:
        identity = json.loads((folder / IDENTITY).read_text())
        version = identity.pop("version")
        settings = BenchmarkSettings.model_validate(identity)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"{folder / IDENTITY} does not describe a generated benchmark: generate it again"
        ) from error
    if version != VERSION:
        raise UserError(
            f"{folder} was drawn by version {version} of the benchmark, this is version {VERSION}: "
            "draw it again in another folder"
        )
    return settings


def _plan_row(settings: BenchmarkSettings, split: Split, index: int) -> Row:
    draw = Draw(settings.seed, SPLITS.index(split), index)
    label = settings.classes[index % len(settings.classes)]
    background = _choose_background(draw, settings, split, index)
    name = f"{split}/{index:05d}.png"
    return Row(
        file_name=f"images/{name}",
        label=label,
        mask=f"masks/{name}",
        split=split,
        group=f"{label} on {background}",
        background=background,
        object_seed=int(draw.between(0, SEEDS)),
        background_seed=int(draw.between(0, SEEDS)),
        tagged=_is_tagged(draw, settings, split, label),
    )


def _choose_background(draw: Draw, settings: BenchmarkSettings, split: Split, index: int) -> str:
    """With probability `strength` that of the class; in the test split all in turn."""
    names, classes = settings.backgrounds, settings.classes
    kind = index % len(classes)
    if split == "test":
        return names[(index // len(classes) + kind // len(names)) % len(names)]
    own = names.index(settings.drawing.own_background(classes[kind]))
    other = (own + draw.count(1, len(names) - 1)) % len(names)
    return names[own if draw.chance(settings.strength) else other]


def _is_tagged(draw: Draw, settings: BenchmarkSettings, split: Split, label: str) -> bool:
    """One class has the tag where the shortcut is learnt; half of each class in the test split."""
    half = draw.chance(0.5)
    if settings.tag is None:
        return False
    return half if split == "test" else label == settings.tag


def _write_pictures(
    folder: Path, settings: BenchmarkSettings, rows: Sequence[Row], processes: int
) -> None:
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    if processes == 1:
        for batch in batches:
            _write_batch(folder, settings, batch)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(_write_batch, repeat(folder), repeat(settings), batches))


def _write_batch(folder: Path, settings: BenchmarkSettings, rows: Sequence[Row]) -> None:
    for row in rows:
        picture = render(scene_of(vars(row)), settings)
        _save(picture.image_HW3, folder / row.file_name)
        _save(picture.mask_HW.astype("uint8") * 255, folder / row.mask)


def _save(pixels: Any, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows)
    write_text(as_path(path), text.getvalue())


def _refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder that no benchmark.json identifies, with files that would be overwritten."""
    foreign = [folder / name for name in (*FOLDERS, TABLE) if (folder / name).exists()]
    if foreign and not (folder / IDENTITY).exists():
        raise UserError(
            f"{foreign[0]} is not of a generated benchmark, and is not overwritten: "
            "use another folder"
        )


def _refuse_other_benchmark(folder: Path, settings: BenchmarkSettings) -> None:
    existing = read_settings(folder)
    if existing != settings:
        differ = sorted(name for name, value in existing if value != getattr(settings, name))
        raise UserError(
            f"{folder} holds another benchmark, its {', '.join(differ)} differ: use another folder"
        )
