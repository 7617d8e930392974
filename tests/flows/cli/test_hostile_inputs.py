"""A thousand hostile or broken inputs: each is refused in one line or stops before computing.

Nothing is opened, written, started or asked that the input's command did not name. The last tests
show that the corpus fails when one of this is not so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.runtime.local_server import LocalServer
from tasks.runs.folder import RunFolder
from tests.hostile.corpus import SAMPLE, all_inputs, sample
from tests.hostile.hostile_input import HostileInput, find_problems
from tests.hostile.try_input import Surroundings, stop_before_servers, try_input

INPUTS = all_inputs()
SAMPLED = sample(INPUTS)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::Warning"),  # of what users' files make libraries say
]


@pytest.fixture(scope="module")
def surroundings(
    benchmark_folder: Path,
    bundle: Path,
    finished_run: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Surroundings:
    home = tmp_path_factory.mktemp("home")
    return Surroundings(benchmark_folder, bundle, Path(str(finished_run.path)), home)


@pytest.fixture(autouse=True)
def _without_servers(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_before_servers(monkeypatch)
    monkeypatch.setenv("SIGHTLINE_HOME", str(surroundings.home))
    monkeypatch.setenv("PREFECT_HOME", str(surroundings.home / "prefect"))


def identify(tried: HostileInput) -> str:
    return ascii(str(tried))[1:-1][:100]


def check_input(tried: HostileInput, folder: Path, surroundings: Surroundings) -> None:
    outcome = try_input(tried, folder, surroundings)
    problems = find_problems(tried, outcome)
    assert not problems, "\n".join((*problems, outcome.stdout, outcome.stderr))


@pytest.mark.parametrize("tried", SAMPLED, ids=identify)
def test_a_sample(tried: HostileInput, tmp_path: Path, surroundings: Surroundings) -> None:
    check_input(tried, tmp_path, surroundings)


@pytest.mark.full
@pytest.mark.parametrize("tried", [one for one in INPUTS if one not in SAMPLED], ids=identify)
def test_all_others(tried: HostileInput, tmp_path: Path, surroundings: Surroundings) -> None:
    check_input(tried, tmp_path, surroundings)


def test_there_are_enough_and_each_has_its_own_name() -> None:
    assert len(INPUTS) >= 1000
    assert len({str(tried) for tried in INPUTS}) == len(INPUTS)
    assert len(SAMPLED) == SAMPLE


# What the corpus must notice: a mistake is planted in the product for each.


def find(name: str) -> HostileInput:
    return next(tried for tried in INPUTS if str(tried) == name)


def problems_of(name: str, folder: Path, surroundings: Surroundings) -> str:
    tried = find(name)
    return "\n".join(find_problems(tried, try_input(tried, folder, surroundings)))


def fail(*_: object) -> None:
    raise ZeroDivisionError


def test_a_planted_traceback_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    monkeypatch.setattr("flows.settings.compose.read_config", fail)
    found = problems_of("configurations: empty.toml", tmp_path, surroundings)
    assert "a traceback" in found
    assert "exit code 3, not 2" in found


def test_an_opened_reference_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    monkeypatch.setattr("models.addresses.refuse_address", lambda address: address)
    name = "addresses: show show reference://a.png::http://127.0.0.1:9/evil.json"
    assert "touched the network" in problems_of(name, tmp_path, surroundings)


def test_an_unescaped_name_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    monkeypatch.setattr("flows.cli.one_line_errors.visible", lambda text: text)
    found = problems_of("names: show, a title", tmp_path, surroundings)
    assert r"sends the control character '\x1b'" in found


def test_a_file_that_nobody_named_fails(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    surroundings: Surroundings,
) -> None:
    other = tmp_path_factory.mktemp("other") / "secret"
    other.write_text("secret")
    monkeypatch.setattr("tasks.runs.open_run", lambda _: other.read_text())
    found = problems_of("runs: show 'nowhere'", tmp_path, surroundings)
    assert f"touched read: {other}" in found


def test_a_started_program_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    monkeypatch.setattr("flows.settings.compose.read_config", lambda _: os.system("true"))
    found = problems_of("configurations: empty.toml", tmp_path, surroundings)
    assert "touched a process" in found


def test_a_server_that_is_started_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surroundings: Surroundings
) -> None:
    monkeypatch.setattr("flows.settings.compose.read_config", lambda _: LocalServer(tmp_path))
    outcome = try_input(find("configurations: empty.toml"), tmp_path, surroundings)
    assert "a server was started" in outcome.stderr
    assert find_problems(find("configurations: empty.toml"), outcome)
