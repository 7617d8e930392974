"""The run folder: the addresses of everything that one audit writes, and the marks of its parts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pydantic import ValidationError
from upath import UPath

from models.addresses import as_path
from models.errors import DamagedFile, RunFolderError
from tasks import schema
from tasks.runs.stages import ESTIMATED, MAPS, STAGES, Stage
from tasks.runs.state import Identity, RunState
from tasks.storage.files import remove_folder, write_text
from tasks.storage.lock import LOCK
from tasks.storage.parquet import (
    ParquetReader,
    is_intact,
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
        return open_parquet(self.catalog, expected=schema.CATALOG)

    def open_flags(self) -> ParquetReader:
        return open_parquet(self.flags, expected=schema.FLAGS_TABLE)

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

    def read_state(self) -> RunState:
        try:
            return RunState.model_validate(self._read_json())
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunFolderError(
                f"{self.state} was written by another version of Sightline (see {field}): "
                "audit again with another --out, or --replace"
            ) from error

    def _read_json(self) -> dict[str, Any]:
        if not self.state.is_file():
            raise RunFolderError(
                f"{self.path} is not a run folder (it has no run.json): give the --out of an audit"
            )
        try:
            content = json.loads(self.state.read_text())
        except ValueError as error:
            raise RunFolderError(
                f"{self.state} is broken ({error}): delete the run (sightline remove), or --replace"
            ) from error
        if not (isinstance(content, dict) and {"identity", "schema_version"} <= content.keys()):
            raise RunFolderError(
                f"{self.path} is not a run folder (its run.json is not Sightline's): "
                "give the --out of an audit"
            )
        return content

    def write_state(self, state: RunState) -> None:
        write_text(self.state, json.dumps(state.as_json(), indent=2) + "\n")

    def update_state(self, **changes: object) -> None:
        self.write_state(self.read_state().change(**changes))

    def is_stage_finished(self, stage: Stage, shard: int, mark: Mark) -> bool:
        """Is a stage's part finished, and can its failures be read?"""
        failures = stage.failures
        path = None if failures is None else self.part(failures, shard)
        readable = path is None or not path.exists() or is_intact(path)
        return readable and is_finished(self.part(stage, shard), mark)

    def holds_run(self) -> bool:
        """Is this a run, even one whose run.json is broken or of another version?"""
        try:
            self._read_json()
        except RunFolderError:
            return self._is_half_written()
        return True

    def _is_half_written(self) -> bool:
        """Did a crash break our run.json? Then the folder contains nothing that is not ours."""
        if not self.state.is_file():
            return False
        try:
            json.loads(self.state.read_text())
        except ValueError:
            ours = {path.name for path in (*self._contents(), self.state)}
            return {path.name for path in self.path.iterdir()} <= {*ours, LOCK}
        return False

    def _contents(self) -> list[UPath]:
        """Everything that a run writes except run.json."""
        inputs = (self.catalog, self.donors, self.statistics_images, self.reuse_plan)
        folders = (ESTIMATED, *(stage.folder for stage in STAGES))
        return [*inputs, self.notes, self.model, *map(self.stage, folders), *self._results()]

    def _results(self) -> list[UPath]:
        """What is derived from the parts."""
        files = (self.flags, self.duplicates, self.summary, self.report)
        return [*files, self.methods, self.methods_page]

    def erase(self) -> None:
        """Delete what is ours, run.json last: until then the folder is still a run."""
        _remove_existing(*self._contents(), self.state)

    def restart(self) -> None:
        """Delete what is derived from the parts: they may change from here on."""
        for path in self._results():
            path.unlink(missing_ok=True)

    def forget_interventions(self) -> None:
        """Delete the interventions of earlier tries and everything computed from them."""
        stages = [stage for stage in STAGES if stage.intervenes]
        failures = filter(None, (stage.failures for stage in stages))
        estimated = (stage.from_estimates() for stage in stages)
        _remove_existing(self.donors, *map(self.stage, (*stages, *failures, *estimated)))

    def finish(self, page: UPath, text: str) -> None:
        """Write the run's page, then mark the run as finished."""
        write_text(page, text)
        self.update_state(state="finished")


def _remove_existing(*paths: UPath) -> None:
    for path in paths:
        if path.exists():
            remove_folder(path)


def start_run(run: RunFolder, state: RunState, *, replace: bool = False) -> RunState:
    """Create the run folder, or continue the run there; refuses one with another identity.

    Returns the state as it is in run.json now, with what an earlier try left in it.
    """
    earlier = _continue(run, state.identity, replace)
    kept = {"id": uuid4().hex} | ({} if earlier is None else earlier.as_json())
    state = RunState.model_validate(kept | state.as_json())
    run.write_state(state)
    return state


def _continue(run: RunFolder, identity: Identity, replace: bool) -> RunState | None:
    """The state of the run to continue, whose results are deleted; None where a new run starts."""
    if replace and _is_unreadable(run):
        run.erase()
        return None
    state = _find_state(run)
    if state is None:
        return None
    differences = state.identity.describe_differences(identity)
    if differences and not replace:
        raise RunFolderError(
            f"{run.path} contains another run ({differences}): give another --out, or --replace"
        )
    if differences:
        run.erase()
        return None
    run.restart()
    return state


def _is_unreadable(run: RunFolder) -> bool:
    """Is this a run whose state cannot be read?"""
    try:
        run.read_state()
    except RunFolderError:
        return run.holds_run()
    return False


def _find_state(run: RunFolder) -> RunState | None:
    """The state that an earlier try left; refuses a folder that contains anything else."""
    if run.state.is_file():
        return run.read_state()
    if run.path.exists() and not (run.path.is_dir() and _has_only_lock(run)):
        raise RunFolderError(
            f"{run.path} is neither empty nor a run folder: give an empty or a new --out"
        )
    return None


def _has_only_lock(run: RunFolder) -> bool:
    """The caller holds it."""
    return all(path.name == LOCK for path in run.path.iterdir())


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
