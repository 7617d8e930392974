"""Scenarios: filters that a user saved under a name, in a file of the run.

A policy names such a file, too: a copy of the run's.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, ValidationError, model_validator
from upath import UPath

from models.addresses import is_file
from models.errors import DamagedFile, UserError, list_names, printable, suggest
from tasks.query.filters import Filter
from tasks.runs.folder import RunFolder
from tasks.schema import VERSION, Value
from tasks.storage.files import write_text
from tasks.storage.lock import hold_lock

LONGEST = 80  # characters of a name
PATIENCE = 30.0  # seconds that a writer waits for another one


def check_name(name: str) -> str:
    """The name as it is kept: one form of each letter, without spaces around it."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name.isprintable():
        raise ValueError(
            f"the name {printable(name, LONGEST)} has characters that cannot be printed: give one "
            "line of letters, digits, signs and spaces"
        )
    if not 0 < len(name) <= LONGEST:
        raise ValueError(f"a scenario's name of {len(name)} characters: give 1 to {LONGEST}")
    return name


class Scenario(Value):
    """A filter, and its name."""

    name: Annotated[str, AfterValidator(check_name)]
    filter: Filter


class Scenarios(Value):
    """scenarios.json"""

    schema_version: int = VERSION
    scenarios: tuple[Scenario, ...] = ()

    @model_validator(mode="after")
    def _has_unique_names(self) -> Self:
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ValueError(f"two scenarios are called {twice[0]!r}")
        return self

    @property
    def names(self) -> list[str]:
        return [scenario.name for scenario in self.scenarios]


def read_scenarios(run: RunFolder) -> tuple[Scenario, ...]:
    """Those of a run, in the order in which they were saved."""
    return read_file(run.scenarios) if is_file(run.scenarios) else ()


def read_file(path: UPath) -> tuple[Scenario, ...]:
    """Those of a file; refuses a damaged one."""
    try:
        return Scenarios.model_validate_json(path.read_bytes()).scenarios
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = first.get("ctx", {}).get("error", first["msg"])
        raise DamagedFile(
            f"{path} is damaged, or of another version of Sightline "
            f"({printable(f'{where}: {reason}' if where else str(reason))}): correct it there, or "
            "delete it and save the scenarios again"
        ) from error


def save_scenario(run: RunFolder, name: str, chosen: Filter) -> Scenario:
    """Add a scenario to those of a run; refuses a name that another one has, and a run that was
    deleted while it was looked at, whose folder would be made again."""
    try:
        name = check_name(name)
    except ValueError as error:
        raise UserError(str(error)) from error
    scenario = Scenario(name=name, filter=chosen)
    run.read_state()
    with hold_lock(str(run.path), PATIENCE):
        saved = read_scenarios(run)
        if scenario.name in (it.name for it in saved):
            raise UserError(
                f"{run.path} has a scenario {scenario.name!r} already: give another name, or "
                "delete that one first"
            )
        write_scenarios(run, (*saved, scenario))
    return scenario


def delete_scenario(run: RunFolder, name: str) -> None:
    """Delete a scenario of a run; refuses a name that none has."""
    with hold_lock(str(run.path), PATIENCE):
        saved = read_scenarios(run)
        name = unicodedata.normalize("NFC", name).strip()
        unwanted = find_scenario(saved, name, str(run.path), "give the name of one of these")
        write_scenarios(run, [scenario for scenario in saved if scenario is not unwanted])


def write_scenarios(run: RunFolder, scenarios: Sequence[Scenario]) -> None:
    """For a caller that holds the run's lock."""
    content = Scenarios(scenarios=tuple(scenarios))
    write_text(run.scenarios, content.model_dump_json(indent=2) + "\n")


def find_scenario(scenarios: Sequence[Scenario], name: str, where: str, remedy: str) -> Scenario:
    """The scenario of this name; refuses one that is not there, with those that are."""
    names = [scenario.name for scenario in scenarios]
    if name not in names:
        has = f"it has {list_names(names)}" if names else "it has none"
        raise UserError(
            f"{where} has no scenario {printable(name)!r}{suggest(name, names)}; {has}: {remedy}"
        )
    return scenarios[names.index(name)]
