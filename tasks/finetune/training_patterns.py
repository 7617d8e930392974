"""The confirmed patterns that a training makes use of, and their images among those to train on.

Shapes: N training images, n of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.errors import UserError
from tasks import schema
from tasks.pictures.map_region import Region
from tasks.runs import open_run
from tasks.schema import Pattern
from tasks.storage.parquet import read_table

FEWEST = 2  # training images that a pattern needs


@dataclass(frozen=True)
class TrainingPattern:
    """A pattern as an audit of the training images confirmed it."""

    id: str
    region: Region | None  # that is pasted and filled; None: backgrounds are exchanged
    row_ids: pa.Array

    def among(self, row_ids: pa.Array) -> PatternRows:
        """Its images among the training images with these keys."""
        member = pc.is_in(row_ids, value_set=self.row_ids).to_numpy(zero_copy_only=False)
        return PatternRows(self.region, torch.from_numpy(member).nonzero()[:, 0])


@dataclass(frozen=True, eq=False)
class PatternRows:
    """The rows of a pattern's images in the training images."""

    region: Region | None
    row_n: Tensor


def read_training_patterns(address: str, catalog: pa.Table) -> tuple[TrainingPattern, ...]:
    """The confirmed patterns of an audit; refuses one that has none among the images to train
    on."""
    run = open_run(address)
    found = run.summary().patterns
    if found is None:
        raise UserError(f"{run.folder.path} looked for no patterns: sightline discover does")
    if not found.confirmed:
        raise UserError(
            f"{run.folder.path} has no confirmed pattern to draw donors from: leave --donors-from "
            "out"
        )
    members = read_table(run.folder.pattern_members, expected=schema.PATTERN_MEMBERS)
    known = catalog["row_id"].combine_chunks()
    patterns = [
        _pattern(it, members, known) for it in found.confirmed if it.exchanged != "property"
    ]
    used = tuple(it for it in patterns if len(it.row_ids) >= FEWEST)
    if not used:
        raise UserError(
            f"no image of a confirmed pattern of {run.folder.path} is among the {len(known):,} "
            "images to train on: name an audit of these with --patterns-run, or leave it out"
        )
    return used


def identity_of(patterns: Sequence[TrainingPattern]) -> list[object]:
    """What of them determines a training."""
    return [
        [it.id, it.region and (it.region.cells, it.region.grid), sorted(it.row_ids.to_pylist())]
        for it in patterns
    ]


def _pattern(pattern: Pattern, members: pa.Table, known: pa.Array) -> TrainingPattern:
    row_ids = members.filter(pc.field("pattern") == pattern.id)["row_id"].combine_chunks()
    region = Region(pattern.region, pattern.grid) if pattern.exchanged == "region" else None
    return TrainingPattern(pattern.id, region, row_ids.filter(pc.is_in(row_ids, value_set=known)))
