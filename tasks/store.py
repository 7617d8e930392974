"""The run folder: where all of one audit lies, and how a part is written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from models.mistakes import Mistake
from tasks import schema

FINGERPRINT = b"sightline.fingerprint"
TRANSIENT = b"sightline.transient"  # rows of the shard that a later run may still get


class RunMistake(Mistake):
    """A run folder that is not what the command needs."""


class OutputSettings(BaseModel):
    """Where the run folder goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(description="Run folder to write.")
    replace: bool = Field(False, description="Delete another run that lies there.")


def digest(*parts: object) -> str:
    """Names a specification: the same JSON values give the same 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RunFolder:
    """Addresses inside a run folder; the only place that spells them."""

    path: Path

    @property
    def state(self) -> Path:
        return self.path / "run.json"

    @property
    def catalog(self) -> Path:
        return self.path / "catalog.parquet"

    @property
    def flags(self) -> Path:
        return self.path / "flags.parquet"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def part(self, stage: str, index: int) -> Path:
        """A stage is `predictions`, `features`, `maps/<method>`, `scores/<method>`, `failures/…`"""
        return self.path / stage / f"part-{index:05d}.parquet"

    def parts(self, stage: str) -> list[Path]:
        return sorted((self.path / stage).glob("part-*.parquet"))

    def sweep(self) -> None:
        """Remove what killed writers left: temporary neighbours that took no file's place."""
        for path in self.path.rglob(".*.tmp"):
            path.unlink(missing_ok=True)

    def read_state(self) -> dict[str, Any]:
        if not self.state.is_file():
            raise RunMistake(
                f"{self.path} is no run folder (it has no run.json): give --out of an audit"
            )
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except ValueError as error:
            raise RunMistake(
                f"{self.state} is not JSON ({error}): the run must start anew"
            ) from error
        return state

    def update_state(self, **changes: object) -> None:
        state = self.read_state() if self.state.is_file() else {}
        write_text(self.state, json.dumps(state | changes, indent=2, default=str) + "\n")


def start_run(output: OutputSettings, identity: dict[str, Any], **state: object) -> RunFolder:
    """Create the run folder, or continue the same identity; another's is refused by field."""
    path = Path(output.run).absolute()
    run = RunFolder(path)
    if run.state.is_file():
        other = _differences(run.read_state().get("identity", {}), identity)
        if other and not output.replace:
            raise RunMistake(
                f"{path} holds another run ({other}): give another --out, or --replace"
            )
        if other:
            shutil.rmtree(path)
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunMistake(f"{path} is not empty and no run folder: give an empty or a new --out")
    path.mkdir(parents=True, exist_ok=True)
    run.update_state(schema_version=schema.VERSION, identity=identity, **state)
    return run


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The fields in which two identities differ, with both values; empty when they are the same."""
    return "; ".join(
        f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}"
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    )


def write_text(path: Path, text: str) -> None:
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_part(path: Path, table: pa.Table, fingerprint: str, transient: int = 0) -> None:
    """Write one part atomically, with its fingerprint in the schema's metadata."""
    metadata = {
        b"sightline.schema": str(schema.VERSION).encode(),
        FINGERPRINT: fingerprint.encode(),
        TRANSIENT: str(transient).encode(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary neighbour that takes the file's place when all went well, else disappears."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_finished(path: Path, fingerprint: str) -> bool:
    """Is this part there, whole, of this fingerprint, and without rows that may still succeed?"""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return metadata.get(FINGERPRINT) == fingerprint.encode() and metadata.get(TRANSIENT) == b"0"
