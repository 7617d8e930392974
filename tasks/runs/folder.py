"""The run folder: the addresses of everything that one audit writes, and the marks of its parts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pyarrow as pa
from pydantic import ValidationError
from upath import UPath

from models.addresses import as_path, is_file
from models.errors import DamagedFile, RunFolderError, printable
from tasks import schema
from tasks.runs.stages import MAPS, Stage
from tasks.runs.state import RunState
from tasks.storage.files import write_text
from tasks.storage.parquet import (
    ParquetReader,
    is_intact,
    kept_footer,
    open_parquet,
    read_footer,
    read_table,
    write_table,
)

FINGERPRINT = b"sightline.fingerprint"  # of the specification and the rows
SPECIFICATION = b"sightline.specification"  # of all that determines a row's numbers except the row
TRANSIENT = b"sightline.transient"  # rows of the shard that a later try may still compute


def digest(*parts: object) -> str:
    """A name for a specification: the same JSON values give the same 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Mark:
    """What identifies a part: one with another mark is computed again."""

    specification: str
    fingerprint: str


@dataclass(frozen=True)
class RunFolder:
    """The addresses inside a run folder, defined here alone."""

    path: UPath

    @classmethod
    def at(cls, address: object) -> RunFolder:
        return cls(as_path(str(address)))

    @property
    def state(self) -> UPath:
        return self.path / "run.json"

    @property
    def catalog(self) -> UPath:
        return self.path / "catalog.parquet"

    @property
    def flags(self) -> UPath:
        return self.path / "flags.parquet"

    @property
    def donors(self) -> UPath:
        return self.path / "donors.parquet"

    @property
    def statistics_images(self) -> UPath:
        """The images that layer statistics are computed from."""
        return self.path / "survey.parquet"

    @property
    def duplicates(self) -> UPath:
        return self.path / "duplicates.parquet"

    @property
    def patterns(self) -> UPath:
        """One row per candidate, the confirmed ones first."""
        return self.path / "patterns.parquet"

    @property
    def pattern_members(self) -> UPath:
        return self.path / "pattern_members.parquet"

    @property
    def pattern_spaces(self) -> UPath:
        """Projection and centres, by which images of another run are assigned alike."""
        return self.path / "pattern_spaces.parquet"

    @property
    def coordinates(self) -> UPath:
        """Of the explorer's plot (tasks/explorer/projection.py), once somebody has opened it."""
        return self.path / "coordinates.parquet"

    @property
    def image_table(self) -> UPath:
        """Every column of every image (tasks/query), once somebody has opened a large run."""
        return self.path / "images.parquet"

    @property
    def scenarios(self) -> UPath:
        """Filters that the user saved under a name (tasks/scenarios)."""
        return self.path / "scenarios.json"

    @property
    def summary(self) -> UPath:
        return self.path / "summary.json"

    @property
    def methods(self) -> UPath:
        """The figures of a comparison of methods."""
        return self.path / "methods.json"

    @property
    def methods_page(self) -> UPath:
        return self.path / "methods.html"

    @property
    def report(self) -> UPath:
        return self.path / "report.html"

    @property
    def reuse_plan(self) -> UPath:
        """For each row of the catalog, the shard of the previous run that contains it."""
        return self.path / "reuse.parquet"

    @property
    def notes(self) -> UPath:
        """Batches that workers are about to read (tasks/execution/worker_deaths.py)."""
        return self.path / "notes"

    @property
    def model(self) -> UPath:
        """The bundle of a model that came from MLflow."""
        return self.path / "model"

    def open_catalog(self) -> ParquetReader:
        return open_parquet(self.catalog, kept_footer(self.catalog), schema.CATALOG)

    def open_flags(self) -> ParquetReader:
        return open_parquet(self.flags, kept_footer(self.flags), schema.FLAGS_TABLE)

    def stage(self, stage: Stage | str) -> UPath:
        """The folder of a stage; a string such as `maps/<method>` names it too."""
        return self.path / (stage if isinstance(stage, str) else stage.folder)

    def part(self, stage: Stage | str, index: int) -> UPath:
        return self.stage(stage) / f"part-{index:05d}.parquet"

    def read_part(
        self, stage: Stage | str, index: int, columns: list[str] | None = None
    ) -> pa.Table | None:
        """A part, or None when it is missing; refuses a damaged one."""
        expected = None
        if isinstance(stage, Stage) and not stage.is_one_of(MAPS):  # whose type has their size
            expected = stage.columns
        try:
            return read_table(self.part(stage, index), columns, expected=expected)
        except FileNotFoundError:
            return None

    def parts(self, stage: Stage | str) -> list[UPath]:
        return sorted(self.stage(stage).glob("part-*.parquet"), key=str)

    def check_not_deleted(self) -> None:
        """Refuse to go on where somebody has deleted the folder: parts alone are no run."""
        if not is_file(self.state):
            raise RunFolderError(
                f"{self.path} was deleted while it was written: run the same command again"
            )

    def read_state(self) -> RunState:
        """The content of run.json; refuses a folder that it does not identify as a run."""
        content = self._read_json()
        if not (isinstance(content, dict) and {"identity", "schema_version"} <= content.keys()):
            raise RunFolderError(
                f"{self.path} is not a run folder ({self.state} is not Sightline's): "
                "give the --out of an audit"
            )
        try:
            state = RunState.model_validate(content)
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise self._damaged(f"see {printable(field)}") from error
        if state.schema_version > schema.VERSION:
            raise DamagedFile(
                f"{self.state} is of version {state.schema_version} of the run folder, written by "
                f"Sightline {printable(state.sightline)}, and this one reads up to "
                f"{schema.VERSION}: upgrade it"
            )
        state._file = str(self.state)
        return state

    def _read_json(self) -> object:
        if not is_file(self.state):
            raise RunFolderError(
                f"{self.path} is not a run folder (it has no run.json): give the --out of an audit "
                "(sightline runs FOLDER lists those in a folder)"
            )
        try:
            return json.loads(self.state.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise self._damaged("it is not JSON") from error

    def _damaged(self, reason: str) -> DamagedFile:
        return DamagedFile(
            f"{self.state} is damaged, or of another version of Sightline ({reason}), and nothing "
            "else identifies the run: audit again with another --out"
        )

    def write_state(self, state: RunState) -> None:
        write_text(self.state, json.dumps(state.as_json(), indent=2) + "\n")

    def update_state(self, **changes: object) -> None:
        self.write_state(self.read_state().change(**changes))

    def is_stage_finished(self, stage: Stage, shard: int, mark: Mark) -> bool:
        """Is a stage's part finished, and are its failures, if there are any, of the same try?"""
        failures = stage.failures
        path = None if failures is None else self.part(failures, shard)
        finished = is_finished(self.part(stage, shard), mark)
        return finished and (path is None or not path.exists() or is_finished(path, mark))

    def holds_run(self) -> bool:
        """Is this a run, or what may be one with a damaged run.json?"""
        try:
            self.read_state()
        except DamagedFile:
            return True
        except RunFolderError:
            return False
        return True

    def finish(self, page: UPath, text: str) -> None:
        """Write the run's page, then mark the run as finished."""
        write_text(page, text)
        self.update_state(state="finished")


def write_part(path: UPath, table: pa.Table, mark: Mark, transient: int = 0) -> None:
    """Write one part whole or not at all, with its mark in the schema's metadata."""
    metadata = {
        b"sightline.schema": str(schema.VERSION).encode(),
        SPECIFICATION: mark.specification.encode(),
        FINGERPRINT: mark.fingerprint.encode(),
        TRANSIENT: str(transient).encode(),
    }
    write_table(path, table.replace_schema_metadata(metadata))


def is_finished(path: UPath, mark: Mark) -> bool:
    """Is this part intact, with this mark, and without rows that may still succeed?"""
    metadata = read_metadata(path)
    return (
        metadata.get(FINGERPRINT) == mark.fingerprint.encode()
        and metadata.get(TRANSIENT) == b"0"
        and is_intact(path)
    )


def read_metadata(path: UPath) -> dict[bytes, bytes]:
    """The metadata of a part; empty when it is missing or damaged."""
    try:
        return read_footer(path).metadata or {}
    except (OSError, DamagedFile):
        return {}
