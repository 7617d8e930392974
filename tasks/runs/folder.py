"""The run folder: where all of one audit lies, and what a part says of itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from upath import UPath

from models.addresses import as_path, write_atomically
from models.errors import RunFolderError
from tasks import schema
from tasks.runs.stages import ESTIMATED, STAGES, Stage
from tasks.runs.state import Identity, RunState
from tasks.storage.files import open_parquet, read_footer, remove, write_text
from tasks.storage.lock import LOCK

FINGERPRINT = b"sightline.fingerprint"  # of the specification and the rows
SPECIFICATION = b"sightline.specification"  # of all that makes a row's numbers but the row
TRANSIENT = b"sightline.transient"  # rows of the shard that a later run may still get


def digest(*parts: object) -> str:
    """Names a specification: the same JSON values give the same 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Mark:
    """What a part must carry to be the wanted one."""

    specification: str
    fingerprint: str


@dataclass(frozen=True)
class RunFolder:
    """Addresses inside a run folder; nothing else spells them."""

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
    def survey(self) -> UPath:
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
        """For each row of the catalog, the shard of the previous run that holds its key."""
        return self.path / "reuse.parquet"

    @property
    def notes(self) -> UPath:
        """What workers are about to do."""
        return self.path / "notes"

    @property
    def model(self) -> UPath:
        """The bundle of a model that came from MLflow."""
        return self.path / "model"

    def stage(self, stage: Stage | str) -> UPath:
        """The folder of a stage, which its name, such as `maps/<method>`, says as well."""
        return self.path / (stage if isinstance(stage, str) else stage.folder)

    def part(self, stage: Stage | str, index: int) -> UPath:
        return self.stage(stage) / f"part-{index:05d}.parquet"

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
                f"{self.path} is no run folder (it has no run.json): give --out of an audit"
            )
        try:
            found = json.loads(self.state.read_text())
        except ValueError as error:
            raise RunFolderError(
                f"{self.state} is broken ({error}): delete the run (sightline remove), or --replace"
            ) from error
        if not (isinstance(found, dict) and {"identity", "schema_version"} <= found.keys()):
            raise RunFolderError(
                f"{self.path} is no run folder (its run.json is not Sightline's): "
                "give --out of an audit"
            )
        return found

    def write_state(self, state: RunState) -> None:
        write_text(self.state, json.dumps(state.as_json(), indent=2) + "\n")

    def update_state(self, **changes: object) -> None:
        self.write_state(self.read_state().change(**changes))

    def holds_run(self) -> bool:
        """Does a run lie here, be its run.json broken or of another version?"""
        try:
            self._read_json()
        except RunFolderError:
            return self._is_half_written()
        return True

    def _is_half_written(self) -> bool:
        """A run.json of ours that a crash of the machine broke: nothing else lies there."""
        if not self.state.is_file():
            return False
        try:
            json.loads(self.state.read_text())
        except ValueError:
            ours = {path.name for path in (*self._contents(), self.state)}
            return {path.name for path in self.path.iterdir()} <= {*ours, LOCK}
        return False

    def _contents(self) -> list[UPath]:
        """All that a run writes, but run.json."""
        inputs = (self.catalog, self.donors, self.survey, self.reuse_plan, self.notes, self.model)
        folders = (ESTIMATED, *(stage.folder for stage in STAGES))
        return [*inputs, *map(self.stage, folders), *self._results()]

    def _results(self) -> list[UPath]:
        """What follows from the parts."""
        files = (self.flags, self.duplicates, self.summary, self.report)
        return [*files, self.methods, self.methods_page]

    def erase(self) -> None:
        """Delete what is ours, run.json last: what is left before that is still a run."""
        _remove(*self._contents(), self.state)

    def restart(self) -> None:
        """Forget what follows from the parts: they may change from here on."""
        for path in self._results():
            path.unlink(missing_ok=True)

    def forget_interventions(self) -> None:
        """Delete what earlier tries changed and predicted again."""
        stages = [stage for stage in STAGES if stage.intervenes]
        failures = filter(None, (stage.failures for stage in stages))
        estimated = (stage.from_estimates() for stage in stages)
        _remove(self.donors, *map(self.stage, (*stages, *failures, *estimated)))

    def finish(self, page: UPath, text: str) -> None:
        """The last word of a run: its page, and that all of it is there."""
        write_text(page, text)
        self.update_state(state="finished")


def _remove(*paths: UPath) -> None:
    for path in paths:
        if path.exists():
            remove(path)


def start_run(run: RunFolder, state: RunState, *, replace: bool = False) -> RunState:
    """Create the run folder, or continue the same identity; another's is refused by field.

    Returns the state with what an earlier try left in it, as it is in run.json now.
    """
    found = _continue(run, state.identity, replace)
    known = {"id": uuid4().hex} | ({} if found is None else found.as_json())
    state = RunState.model_validate(known | state.as_json())
    run.write_state(state)
    return state


def _continue(run: RunFolder, identity: Identity, replace: bool) -> RunState | None:
    """The state of the run that is continued, ready for it; None where a new one begins."""
    if replace and _is_unreadable(run):
        run.erase()
        return None
    found = _find_state(run)
    if found is None:
        return None
    differences = found.identity.describe_differences(identity)
    if differences and not replace:
        raise RunFolderError(
            f"{run.path} holds another run ({differences}): give another --out, or --replace"
        )
    if differences:
        run.erase()
        return None
    run.restart()
    return found


def _is_unreadable(run: RunFolder) -> bool:
    """Does a run lie there whose state cannot be read?"""
    try:
        run.read_state()
    except RunFolderError:
        return run.holds_run()
    return False


def _find_state(run: RunFolder) -> RunState | None:
    """What an earlier try left; refuses a folder that holds anything else."""
    if run.state.is_file():
        return run.read_state()
    if run.path.exists() and not (run.path.is_dir() and _only_lock(run)):
        raise RunFolderError(
            f"{run.path} is not empty and no run folder: give an empty or a new --out"
        )
    return None


def _only_lock(run: RunFolder) -> bool:
    """The lock is the caller's own."""
    return all(path.name == LOCK for path in run.path.iterdir())


def write_part(path: UPath, table: pa.Table, mark: Mark, transient: int = 0) -> None:
    """Write one part whole or not at all, with its mark in the schema's metadata."""
    metadata = {
        b"sightline.schema": str(schema.VERSION).encode(),
        SPECIFICATION: mark.specification.encode(),
        FINGERPRINT: mark.fingerprint.encode(),
        TRANSIENT: str(transient).encode(),
    }
    with write_atomically(path) as file:
        pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")


def is_finished(path: UPath, mark: Mark) -> bool:
    """Is this part there, whole, of this mark, and without rows that may still succeed?"""
    metadata = read_metadata(path)
    return (
        metadata.get(FINGERPRINT) == mark.fingerprint.encode() and metadata.get(TRANSIENT) == b"0"
    )


def read_metadata(path: UPath) -> dict[bytes, bytes]:
    """What a part says of itself; nothing when it is not there or not whole."""
    try:
        return read_footer(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return {}


def read_part(path: UPath, columns: list[str] | None = None) -> pa.Table | None:
    """A part, or None when it is not there."""
    try:
        return open_parquet(path).read(columns=columns)
    except FileNotFoundError:
        return None
