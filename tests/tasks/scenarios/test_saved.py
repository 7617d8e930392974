"""Scenarios in their file: names, several writers at once, and files that are damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DamagedFile, UserError
from tasks.query.filters import ContainsText, Filter, HasValue, InRange
from tasks.runs.contents import erase, list_contents, restart, stamp_results
from tasks.runs.folder import RunFolder
from tasks.scenarios.saved import (
    LONGEST,
    Scenario,
    check_name,
    delete_scenario,
    find_scenario,
    read_scenarios,
    save_scenario,
)

SNOW = Filter(conditions=(HasValue(column="weather", values=("snow", None)),))
SURE = Filter(conditions=(InRange(column="score", low=0.5),))


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))


def names(run: RunFolder) -> list[str]:
    return [scenario.name for scenario in read_scenarios(run)]


def test_what_is_saved_is_read_and_can_be_deleted(run: RunFolder) -> None:
    assert read_scenarios(run) == ()
    save_scenario(run, "night, snow", SNOW)
    save_scenario(run, "  sure ", SURE)
    assert read_scenarios(run) == (
        Scenario(name="night, snow", filter=SNOW),
        Scenario(name="sure", filter=SURE),
    )
    delete_scenario(run, "night, snow")
    assert names(run) == ["sure"]
    delete_scenario(run, "sure")
    assert read_scenarios(run) == ()


def test_a_name_is_given_once(run: RunFolder) -> None:
    save_scenario(run, "caf\u00e9", SNOW)
    with pytest.raises(UserError, match="has a scenario 'café' already: give another name"):
        save_scenario(run, "cafe\u0301", SURE)
    assert read_scenarios(run)[0].filter == SNOW


def test_a_name_that_is_not_there_is_refused_with_those_that_are(run: RunFolder) -> None:
    save_scenario(run, "snow", SNOW)
    with pytest.raises(UserError, match=r"no scenario 'snwo' \(did you mean 'snow'\?\); it has"):
        delete_scenario(run, "snwo")
    with pytest.raises(UserError, match="x has no scenario 'a'; it has none: save it"):
        find_scenario((), "a", "x", "save it")


HOSTILE = (
    *("", " ", "\t", "a\nb", "a\rb", "\x1b[31mred", "a\x00b", "a\u2028b", "\u202eevil"),
    *("a\u200bb", "\ud800", "a" * (LONGEST + 1), "\u00a0", "\ufeffname", "\x7f"),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_line_that_can_be_printed(run: RunFolder, name: str) -> None:
    with pytest.raises(UserError) as refused:
        save_scenario(run, name, SNOW)
    assert str(refused.value).isprintable()
    assert not run.scenarios.exists()


@given(st.text(max_size=2 * LONGEST))
def test_any_text_is_a_name_that_is_kept_or_is_refused_in_one_line(text: str) -> None:
    try:
        name = check_name(text)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert name.isprintable()
        assert 0 < len(name) <= LONGEST
        assert name == unicodedata.normalize("NFC", text).strip() == check_name(name)
        saved = Scenario(name=text, filter=Filter(conditions=(ContainsText(text=text[:5]),)))
        assert Scenario.model_validate_json(saved.model_dump_json()) == saved


def test_no_writer_loses_what_another_saves(run: RunFolder) -> None:
    """Threads of one explorer, and a command beside it."""
    program = (
        "import sys; from tasks.query.filters import Filter; "
        "from tasks.runs.folder import RunFolder; from tasks.scenarios.saved import save_scenario; "
        "[save_scenario(RunFolder.at(sys.argv[1]), f'command {i}', Filter()) for i in range(3)]"
    )
    command = subprocess.Popen([sys.executable, "-c", program, str(run.path)])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: save_scenario(run, f"thread {number}", SNOW), range(6)))
    assert command.wait() == 0
    expected = {f"thread {number}" for number in range(6)} | {f"command {it}" for it in range(3)}
    assert set(names(run)) == expected
    assert not (run.path / "lock").exists()


GOOD = {"name": "snow", "filter": {"conditions": []}}
DAMAGED = {
    "empty": "",
    "cut": json.dumps({"scenarios": [GOOD]})[:30],
    "a list": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "zeros": "\0" * 64,
    "an unknown key": json.dumps({"scenarios": [], "\x1b[31m": 1}),
    "a name of two lines": json.dumps({"scenarios": [GOOD | {"name": "a\nb"}]}),
    "a name twice": json.dumps({"scenarios": [GOOD, GOOD]}),
    "no filter": json.dumps({"scenarios": [{"name": "snow"}]}),
    "an unknown condition": json.dumps(
        {"scenarios": [GOOD | {"filter": {"conditions": [{"kind": "sql", "sql": "DROP"}]}}]}
    ),
    "a number as text": json.dumps(
        {"scenarios": [{"name": 7, "filter": {"conditions": [{"kind": 7}]}}]}
    ),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_in_one_line_and_stays(run: RunFolder, content: str) -> None:
    run.scenarios.write_text(content)
    for attempt in (
        lambda: read_scenarios(run),
        lambda: save_scenario(run, "sure", SURE),
        lambda: delete_scenario(run, "snow"),
    ):
        with pytest.raises(
            DamagedFile, match=r"scenarios.json is damaged.*correct it there, or"
        ) as it:
            attempt()
        assert str(it.value).isprintable()
        assert run.scenarios.read_text() == content


def test_a_user_s_scenarios_outlive_a_restart_and_go_with_the_run(run: RunFolder) -> None:
    stamp = stamp_results(run)
    save_scenario(run, "snow", SNOW)
    assert "scenarios.json" in list_contents(run).ours
    assert stamp_results(run) == stamp
    restart(run)
    assert names(run) == ["snow"]
    assert not run.summary.exists()
    erase(run)
    assert not run.scenarios.exists()
