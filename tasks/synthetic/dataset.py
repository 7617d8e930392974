"""The benchmark as an ordinary dataset: images, mask files and a table that the catalog reads.

    images/<split>/00017.png  masks/<split>/00017.png  metadata.csv  benchmark.json

benchmark.json comes last and says that the folder is whole.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from models.errors import UserError
from tasks.synthetic.primitives import Draw
from tasks.synthetic.scene import Scene, render
from tasks.synthetic.settings import SPLITS, VERSION, BenchmarkSettings, Split

log = logging.getLogger("sightline")

TABLE, IDENTITY = "metadata.csv", "benchmark.json"
SEEDS = 2**31
BATCH = 100  # what a process draws before it asks for more


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
    """The scene of a line of the table, as text or with types."""
    return Scene(
        label=str(row["label"]),
        background=str(row["background"]),
        object_seed=int(row["object_seed"]),
        background_seed=int(row["background_seed"]),
        tagged=str(row["tagged"]).lower() == "true",
    )


def plan(settings: BenchmarkSettings) -> list[Row]:
    """Every picture of the benchmark; a row does not depend on how many others there are."""
    return [
        _plan_row(settings, split, index)
        for split in SPLITS
        for index in range(settings.size_of(split))
    ]


def write_benchmark(folder: Path, settings: BenchmarkSettings, processes: int = 1) -> Path:
    """Draw all pictures into the folder, unless they are there already; returns the table's path.

    More than one process needs a main module that may be imported again.
    """
    if (folder / IDENTITY).exists():
        _refuse_other_benchmark(folder, settings)
        return folder / TABLE
    rows = plan(settings)
    log.info(
        "drawing %s pictures, %.0f%% of each class to learn from on the background of their class",
        *(f"{len(rows):,}", 100 * settings.strength),
    )
    for split in SPLITS:
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
    _write_pictures(folder, settings, rows, processes)
    _write_table(folder / TABLE, rows)
    identity = {"version": VERSION, **settings.model_dump()}
    (folder / IDENTITY).write_text(json.dumps(identity, indent=2) + "\n")
    return folder / TABLE


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The table's lines, as text."""
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def read_settings(folder: Path) -> BenchmarkSettings:
    """What a benchmark folder was drawn with."""
    try:
        identity = json.loads((folder / IDENTITY).read_text())
        version = identity.pop("version")
        settings = BenchmarkSettings.model_validate(identity)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        told = " ".join(str(error).split())
        raise UserError(
            f"{folder / IDENTITY} does not describe a generated benchmark: {told}"
        ) from error
    if version != VERSION:
        raise UserError(
            f"{folder} was drawn by version {version} of the benchmark, this is version {VERSION}: "
            "draw it again in another folder"
        )
    return settings


def _plan_row(settings: BenchmarkSettings, split: Split, index: int) -> Row:
    draw = Draw(settings.seed, SPLITS.index(split), index)
    kind = index % len(settings.classes)
    label = settings.classes[kind]
    background = _choose_background(draw, settings, split, index, kind)
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


def _choose_background(
    draw: Draw, settings: BenchmarkSettings, split: Split, index: int, kind: int
) -> str:
    """With probability `strength` the class's own; in the test split all in turn."""
    names = settings.backgrounds
    if split == "test":
        return names[index // len(names) % len(names)]
    other = (kind + draw.count(1, len(names) - 1)) % len(names)
    return names[kind if draw.chance(settings.strength) else other]


def _is_tagged(draw: Draw, settings: BenchmarkSettings, split: Split, label: str) -> bool:
    """On one class where the shortcut is learnt; on half of every class where it is tested."""
    half = draw.chance(0.5)
    if settings.tag is None:
        return False
    return half if split == "test" else label == settings.tag


def _write_pictures(
    folder: Path, settings: BenchmarkSettings, rows: Sequence[Row], processes: int
) -> None:
    turns = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    if processes == 1:
        for turn in turns:
            _write_batch(folder, settings, turn)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(_write_batch, repeat(folder), repeat(settings), turns))


def _write_batch(folder: Path, settings: BenchmarkSettings, rows: Sequence[Row]) -> None:
    for row in rows:
        picture = render(scene_of(vars(row)), settings)
        _save(picture.image_HW3, folder / row.file_name)
        _save(picture.mask_HW.astype("uint8") * 255, folder / row.mask)


def _save(pixels: Any, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)


def _refuse_other_benchmark(folder: Path, settings: BenchmarkSettings) -> None:
    there = read_settings(folder)
    if there != settings:
        differ = sorted(name for name, value in there if value != getattr(settings, name))
        raise UserError(
            f"{folder} holds another benchmark, its {', '.join(differ)} differ: "
            "use another folder or delete this one"
        )
