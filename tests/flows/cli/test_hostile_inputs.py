"""A thousand hostile or broken inputs: each is refused in one line or stops before computing.

Nothing is opened, written, started or asked that the input's command did not name. The last tests
show that the corpus fails when one of this is not so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

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
