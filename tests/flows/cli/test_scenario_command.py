"""`sightline scenario` and `sightline show --scenarios`, on a real run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.query.filters import Filter, HasValue, InLasso
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.scenarios.figures import RunScenarios
from tasks.scenarios.saved import read_scenarios, save_scenario
from tests.support.command_line import SIGHTLINE, invoke

SEA = Filter(conditions=(HasValue(column="background", values=("sea",)),))


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))


def test_a_scenario_is_saved_shown_and_deleted(run: RunFolder) -> None:
    folder = str(run.path)
    done = invoke("show", folder, "--scenarios")
    assert done.exit_code == 0
    assert "has no scenario yet: sightline scenario" in done.stdout
    done = invoke("scenario", folder, "at sea", "--filter", SEA.model_dump_json())
    assert done.exit_code == 0
    table = open_run(run.path).table().to_pandas()
    count = int((table["background"] == "sea").sum())
    assert done.stdout == f"at sea: background is 'sea' ({count} images)\n"
    assert [(it.name, it.filter) for it in read_scenarios(run)] == [("at sea", SEA)]
    shown = invoke("show", folder, "--scenarios").stdout
    assert "at sea: background is 'sea'" in shown
    accuracy = open_run(run.path).summary().accuracy
    assert f"{accuracy.value:.1%} (" in shown
    done = invoke("scenario", folder, "at sea", "--delete")
    assert (done.exit_code, read_scenarios(run)) == (0, ())


def test_json_has_every_figure(run: RunFolder) -> None:
    invoke("scenario", str(run.path), "at sea", "--filter", SEA.model_dump_json())
    done = invoke("show", str(run.path), "--scenarios", "--json")
    found = RunScenarios.model_validate_json(done.stdout)
    assert [it.name for it in found.scenarios] == ["at sea"]
    assert found.all.images == 64
    assert set(json.loads(done.stdout)["scenarios"][0]) == {"name", "filter", "figures"}


def test_images_chosen_by_their_results_are_named_as_such(run: RunFolder) -> None:
    chosen = Filter(conditions=(HasValue(column="correct", values=("false",)),))
    invoke("scenario", str(run.path), "wrong", "--filter", chosen.model_dump_json())
    shown = invoke("show", str(run.path), "--scenarios").stdout
    assert "; chosen by what the model says of them (correct)" in shown


def test_a_lasso_that_was_drawn_in_the_explorer_has_figures(run: RunFolder) -> None:
    """Around the whole plot, which every image has a place in."""
    corners = ((-1, -1), (2, -1), (2, 2), (-1, 2))
    save_scenario(run, "all", Filter(conditions=(InLasso(space="whole", polygon=corners),)))
    done = invoke("show", str(run.path), "--scenarios", "--json")
    found = RunScenarios.model_validate_json(done.stdout)
    assert found.scenarios[0].figures == found.all


MISTAKES = {
    "neither": ((), "give either --filter JSON, to save a scenario, or --delete"),
    "both": (("--filter", "{}", "--delete"), "give either --filter JSON"),
    "no JSON": (("--filter", "weather=snow"), "the filter cannot be read"),
    "no filter": (("--filter", '{"sql": "DROP TABLE images"}'), "the filter cannot be read"),
    "no column": (
        ("--filter", '{"conditions": [{"kind": "values", "column": "backgrund", "values": []}]}'),
        "there is no column 'backgrund' (did you mean 'background'?)",
    ),
    "a lasso": (
        (
            "--filter",
            '{"conditions": [{"kind": "lasso", "space": "whole", "polygon": [[0,0],[1,0],[0,1]]}]}',
        ),
        "there is no plot of the space 'whole' in this run; it has none",
    ),
    "nothing to delete": (("--delete",), "has no scenario 'snow'; it has none"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(run: RunFolder, words: tuple[str, ...], message: str) -> None:
    done = invoke("scenario", str(run.path), "snow", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not run.scenarios.exists()


def test_an_unfinished_run_has_no_figures(run: RunFolder) -> None:
    run.summary.unlink()
    for words in (("show", "--scenarios"), ("scenario", "snow", "--filter", "{}")):
        done = invoke(words[0], str(run.path), *words[1:])
        assert done.exit_code == 2
        assert "is not finished" in done.stderr


def test_the_command_prints_nothing_but_its_figures(run: RunFolder) -> None:
    """DuckDB complains at the end of a process that leaves it no time."""
    done = subprocess.run(
        [SIGHTLINE, "show", str(run.path), "--scenarios", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["all"]["images"] == 64
