"""The run folder: where all of one audit lies, and what a part says of itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from models.addresses import as_path, write_whole
from models.errors import RunFolderError
from tasks import schema
from tasks.runs.settings import OutputSettings
from tasks.storage.files import open_parquet, read_footer, remove, write_text
from tasks.storage.lock import LOCK

FINGERPRINT = b"sightline.fingerprint"  # of the specification and the rows
SPECIFICATION = b"sightline.specification"  # of all that makes a row's numbers but the row
OURS = (
    *("catalog.parquet", "flags.parquet", "duplicates.parquet", "patterns.parquet"),
    "donors.parquet",
    *("summary.json", "report.html", "reuse.parquet", "notes", "model"),
    *(
        "predictions",
        "features",
        "maps",
        "scores",
        "failures",
        "interventions",
        "votes",
        "foregrounds",
        "estimated",
        "merits",
        "trials",
        "statistics",
    ),
    *("survey.parquet", "methods.json", "methods.html"),
)
INTERVENTIONS = ("donors.parquet", "interventions", "votes", "estimated/interventions")
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
    """Addresses inside a run folder; the only place that spells them."""

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

    def part(self, stage: str, index: int) -> UPath:
        """A stage is `predictions`, `features`, `maps/<method>`, `scores/<method>`, `failures/…`"""
        return self.path / stage / f"part-{index:05d}.parquet"

    def parts(self, stage: str) -> list[UPath]:
        return sorted((self.path / stage).glob("part-*.parquet"), key=str)

    def read_state(self) -> dict[str, Any]:
        if not self.state.is_file():
            raise RunFolderError(
                f"{self.path} is no run folder (it has no run.json): give --out of an audit"
            )
        try:
            state = json.loads(self.state.read_text())
        except ValueError as error:
            raise RunFolderError(
                f"{self.state} is broken ({error}): delete the run (sightline remove), or --replace"
            ) from error
        if not (isinstance(state, dict) and {"identity", "schema_version"} <= state.keys()):
            raise RunFolderError(
                f"{self.path} is no run folder (its run.json is not Sightline's): "
                "give --out of an audit"
            )
        return state

    def erase(self) -> None:
        """Delete what is ours, run.json last: what is left before that is still a run."""
        for name in (*OURS, self.state.name):
            if (self.path / name).exists():
                remove(self.path / name)

    def restart(self) -> None:
        """Forget what follows from the parts: they may change from here on."""
        ours = (self.flags, self.duplicates, self.summary, self.report, self.methods)
        for path in (*ours, self.methods_page):
            path.unlink(missing_ok=True)

    def forget_interventions(self) -> None:
        """Delete what earlier tries changed and predicted again."""
        for name in (*INTERVENTIONS, "failures/interventions"):
            if (self.path / name).exists():
                remove(self.path / name)

    def finish(self, page: UPath, text: str) -> None:
        """The last word of a run: its page, and that all of it is there."""
        write_text(page, text)
        self.update_state(state="finished")

    def update_state(self, **changes: object) -> None:
        state = self.read_state() if self.state.is_file() else {}
        write_text(self.state, json.dumps(state | changes, indent=2, default=str) + "\n")


def failures_beside(stage: str) -> str | None:
    """The folder of failures that a stage vouches for; scores and features have none."""
    kind, _, method = stage.partition("/")
    own = {"predictions": "predictions", "interventions": "interventions", "maps": method}
    return own.get(kind)


def start_run(output: OutputSettings, identity: dict[str, Any], **state: object) -> RunFolder:
    """Create the run folder, or continue the same identity; another's is refused by field."""
    run = RunFolder.at(output.folder)
    known: dict[str, Any] = {"id": uuid4().hex}
    if _is_broken(run) and output.replace:
        run.erase()
    if run.state.is_file():
        found = run.read_state()
        other = _differences(found["identity"], identity)
        if other and not output.replace:
            raise RunFolderError(
                f"{run.path} holds another run ({other}): give another --out, or --replace"
            )
        if other:
            run.erase()
        else:
            known |= found
            run.restart()
    elif run.path.exists() and not (run.path.is_dir() and _only_lock(run)):
        raise RunFolderError(
            f"{run.path} is not empty and no run folder: give an empty or a new --out"
        )
    run.update_state(**known | state | {"schema_version": schema.VERSION, "identity": identity})
    return run


def is_run(run: RunFolder) -> bool:
    """Does a run lie there, be its run.json broken or not?"""
    try:
        run.read_state()
    except RunFolderError:
        return _is_broken(run)
    return True


def _is_broken(run: RunFolder) -> bool:
    """A run.json of ours that a crash of the machine left half written: nothing else lies there."""
    if not run.state.is_file():
        return False
    try:
        json.loads(run.state.read_text())
    except ValueError:
        return {path.name for path in run.path.iterdir()} <= {*OURS, run.state.name, LOCK}
    return False


def _only_lock(run: RunFolder) -> bool:
    """The lock is the caller's own."""
    return all(path.name == LOCK for path in run.path.iterdir())


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The fields in which two identities differ, with both values; empty when they are the same."""
    return "; ".join(
        f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}"
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    )


def write_part(path: UPath, table: pa.Table, mark: Mark, transient: int = 0) -> None:
    """Write one part whole or not at all, with its mark in the schema's metadata."""
    metadata = {
        b"sightline.schema": str(schema.VERSION).encode(),
        SPECIFICATION: mark.specification.encode(),
        FINGERPRINT: mark.fingerprint.encode(),
        TRANSIENT: str(transient).encode(),
    }
    with write_whole(path) as file:
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
