"""Which donor pool a run has, without reading its pictures; and the pool of a run that is named."""

from __future__ import annotations

from models.addresses import is_file, write_atomically
from models.errors import UserError
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.storage.parquet import damage, is_intact, read_footer

SPECIFICATION, DIGEST = b"sightline.specification", b"sightline.digest"


def find_named_pool(
    settings: InterventionSettings, specification: str, run: RunFolder
) -> RunFolder | None:
    """The run that --donors names; refuses a pool that was chosen or read differently."""
    if settings.donors is None:
        return None
    other = RunFolder.at(settings.donors)
    if other.path == run.path:
        raise UserError(f"--donors {settings.donors} is the run itself: leave it out")
    if not is_file(other.donors):
        raise UserError(f"{other.path} has no donor pool: name a run that made interventions")
    other_specification = donor_specification(other)
    if other_specification is None:
        raise damage(other.donors, "its content differs from its checksums")
    if other_specification != specification:
        raise UserError(
            f"the donor pool of {other.path} was chosen or read differently: give the same --pool, "
            "--fill, --donor-seed, preprocessing, kind of foreground and --foreground-confidence "
            "as that run, or leave --donors out"
        )
    return other


def copy_pool(run: RunFolder, other: RunFolder) -> None:
    """Copy another run's pool to this run."""
    with write_atomically(run.donors) as file:
        file.write(other.donors.read_bytes())


def donor_digest(run: RunFolder) -> str | None:
    """The digest of a run's pool; None without a pool."""
    return _metadata(run, DIGEST)


def donor_specification(run: RunFolder) -> str | None:
    """The specification that a run's pool was chosen by; None where no pool can be read."""
    return _metadata(run, SPECIFICATION) if is_intact(run.donors) else None


def _metadata(run: RunFolder, name: bytes) -> str | None:
    if not is_file(run.donors):
        return None
    value: bytes = (read_footer(run.donors).metadata or {}).get(name, b"")
    return value.decode()
