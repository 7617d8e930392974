"""The patterns that the run before found, and their images in this run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import UserError
from tasks import schema
from tasks.attribution.job import Job
from tasks.discover.candidates import Candidate, Grouping
from tasks.discover.clusters import NOWHERE, Clusters, Projection, Union
from tasks.discover.groupings import SCALINGS, Divided, KnownClusters
from tasks.discover.known_patterns import KnownPattern
from tasks.discover.spaces import content_numbers
from tasks.pictures.map_region import Region
from tasks.runs import open_run
from tasks.runs.reader import Run, join
from tasks.runs.stages import PREDICTIONS
from tasks.schema import Pattern, PatternSummary
from tasks.storage.parquet import read_table

log = logging.getLogger("sightline")

OF_VECTORS = ("model", "layer", "preprocessing")  # parts of the identity that vectors depend on


@dataclass(frozen=True)
class EarlierPatterns:
    """What the run before knows."""

    summary: PatternSummary
    known_from: str | None  # id of the run
    clusters: KnownClusters
    clusters_of: Mapping[str, int]  # by pattern: which of these its images are assigned by
    members_of: Mapping[str, pa.Table]  # of patterns without: content and distance


NOTHING = EarlierPatterns(
    PatternSummary(candidates=(), halves=(0, 0), forwards=0), None, (), {}, {}
)


def read_earlier_patterns(run: Run, job: Job) -> EarlierPatterns:
    """Those that this run found before, else those of the run that it reuses rows of, or whose
    backgrounds it uses to compare two models."""
    address = job.reuse or (job.interventions and job.interventions.donors)
    try:
        before = run
        if run.summary().patterns is None and address:
            before = open_run(address)
        patterns = before.summary().patterns
        return NOTHING if patterns is None else _read(before, run, patterns)
    except (UserError, OSError) as error:  # it may be unfinished, or of another version
        log.warning("patterns get new ids, those before cannot be read: %s", error)
        return NOTHING


def find_known(earlier: EarlierPatterns, divided: Divided, run: Run) -> list[KnownPattern]:
    """The earlier patterns that have images here."""
    images = _KnownImages(run, earlier, divided)
    known = (images.known(pattern) for pattern in earlier.summary.candidates)
    return [it for it in known if it is not None and it.candidate.member_N.any()]


def _read(before: Run, run: Run, patterns: PatternSummary) -> EarlierPatterns:
    known_from = patterns.known_from if before is run else before.state.id
    spaces = read_table(before.folder.pattern_spaces, expected=schema.PATTERN_SPACES).to_pylist()
    number_of = {(row["pattern"], row["space"]): number for number, row in enumerate(spaces)}
    clusters_of: dict[str, int] = {}
    for it in patterns.candidates if _have_same_vectors(before, run) else ():
        number = number_of.get((it.id, it.space), number_of.get((None, it.space)))
        if it.clusters and number is not None:
            clusters_of[it.id] = number
    others = [
        it.id for it in patterns.candidates if it.id not in clusters_of and not _is_divided_anew(it)
    ]
    return EarlierPatterns(
        patterns,
        known_from,
        [(row["space"], _clusters(row)) for row in spaces] if clusters_of else (),
        clusters_of,
        _members_of(before, others),
    )


def _is_divided_anew(pattern: Pattern) -> bool:
    """Is it in every run the same value of a column, or the same end of a property's values?"""
    is_of_property = bool(pattern.clusters) and pattern.space not in SCALINGS
    return pattern.value is not None or is_of_property


def _have_same_vectors(before: Run, run: Run) -> bool:
    """Does the same picture have the same vectors in both?"""
    if before is run:
        return True
    then, now = (
        (
            it.state.identity.as_json(*OF_VECTORS),
            it.summary().rule.method,
            it.state.settings.get("interventions", {}).get("fill"),
        )
        for it in (before, run)
    )
    return then == now


def _clusters(row: Mapping[str, object]) -> Clusters:
    mean_F, deviation_F, basis_FP, centre_LP, reach_L = (
        np.array(row[name], np.float32)
        for name in ("mean", "deviation", "basis", "centres", "reach")
    )
    scaling = row["scaling"]
    return Clusters(
        Projection(scaling, mean_F, deviation_F, basis_FP),  # type: ignore[arg-type]
        centre_LP,
        reach_L,
        unions=(),
    )


def _members_of(before: Run, patterns: Sequence[str]) -> dict[str, pa.Table]:
    """Known by their bytes: under the same row id, another night may have another picture."""
    if not patterns:
        return {}
    parts = (before.part(PREDICTIONS, it, ["row_id", "content_id"]) for it in before.shards)
    pictures = pa.concat_tables(part for part in parts if part is not None)
    of_patterns = pc.field("pattern").isin(patterns)
    rows = read_table(
        before.folder.pattern_members, filters=of_patterns, expected=schema.PATTERN_MEMBERS
    )
    members = join(rows, pictures).drop_null()
    content = pa.array(content_numbers(members["content_id"]))
    members = members.select(["pattern", "distance"]).append_column("content", content)
    return {it: members.filter(pc.field("pattern") == it) for it in patterns}


@dataclass(frozen=True)
class _KnownImages:
    """Finds the images of known patterns."""

    run: Run
    earlier: EarlierPatterns
    divided: Divided

    def known(self, pattern: Pattern) -> KnownPattern | None:
        """None where nothing says which images are its."""
        grouping, leaves = self._grouping(pattern)
        classes = self.run.state.classes
        if grouping is None or pattern.pulls_to not in classes:
            return None
        region = Region(pattern.region, pattern.grid) if pattern.region else None
        candidate = Candidate(
            grouping,
            Union(leaves, pattern.stability),
            classes.index(pattern.pulls_to),
            pattern.exchanged,
            region,
            log_ratio=0.0,
        )
        return KnownPattern(pattern, candidate)

    def _grouping(self, pattern: Pattern) -> tuple[Grouping | None, tuple[int, ...]]:
        if _is_divided_anew(pattern):
            return self._divided_anew(pattern)
        if pattern.id in self.earlier.clusters_of:
            number = self.earlier.clusters_of[pattern.id]
            return self.divided.by_known[number], pattern.clusters
        return self._by_content(pattern), (0,)

    def _divided_anew(self, pattern: Pattern) -> tuple[Grouping | None, tuple[int, ...]]:
        for it in self.divided.groupings:
            if it.space == pattern.space and it.is_column == (pattern.value is not None):
                if not it.is_column:
                    return it, pattern.clusters[: len(it.unions)]  # there may be fewer steps
                if pattern.value in it.values:
                    return it, (it.values.index(pattern.value),)
        return None, ()

    def _by_content(self, pattern: Pattern) -> Grouping:
        members = self.earlier.members_of[pattern.id]
        content_N = pa.array(self.divided.facts.content_N)
        index = pc.index_in(content_N, members["content"].combine_chunks())
        distance = pc.fill_null(members["distance"].take(index), np.inf)
        nothing = np.zeros(0)
        return Grouping(
            pattern.space,
            leaf_N=np.where(index.is_valid().to_numpy(zero_copy_only=False), 0, NOWHERE).astype(
                np.int16
            ),
            distance_N=distance.to_numpy().astype(np.float32),
            unions=(),
            energy_Lhw=nothing,
            with_energy_L=nothing,
            usual_hw=nothing,
            is_list=True,
        )
