"""Control characters, line ends and markup in texts of users are shown, and never sent."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.progress import Progress

from flows.cli.log_lines import set_up_logging
from flows.cli.one_line_errors import exit_with, one_line_errors
from flows.cli.output import print_gate
from flows.cli.output.audit import print_summary
from flows.cli.output.comparison import print_models
from flows.cli.output.gate import print_gate as print_result
from flows.cli.output.lines import print_json, print_line
from flows.cli.output.methods import print_methods
from flows.cli.output.runs import print_runs
from flows.runtime.progress import ProgressDisplay
from reports.visible_text import visible
from tasks.runs.inventory import Entry
from tests.support.audit_summaries import hostile_summary, summary
from tests.support.command_line import invoke
from tests.support.gate_results import hostile_result as hostile_gate
from tests.support.gate_results import refused
from tests.support.method_comparisons import hostile_comparison as hostile_methods
from tests.support.model_comparisons import hostile_pair
from tests.support.pattern_results import hostile_patterns

ROOT = Path(__file__).parent.parent.parent.parent
SPITEFUL = "cat\x1b[31m\rsightline: all is well\nverdict: passed\x07\x9b2J\u202e\u2028[bold]"


def check_harmless(text: str) -> None:
    """Nothing but printable characters and our own line ends."""
    for line in text.split("\n"):
        assert visible(line) == line, ascii(line)


PRINTS: dict[str, Callable[[], None]] = {
    "audit": lambda: print_summary(hostile_summary()),
    "patterns": lambda: print_summary(summary(patterns=hostile_patterns())),
    "models": lambda: print_models(hostile_pair()),
    "methods": lambda: print_methods(hostile_methods()),
    "gate": lambda: print_result(hostile_gate(), SPITEFUL),
    "runs": lambda: print_runs([Entry(SPITEFUL, "finished", 1, 2, 3, SPITEFUL, SPITEFUL)], "/runs"),
    "line": lambda: print_line(SPITEFUL),
    "json": lambda: print_json(json.dumps({SPITEFUL: SPITEFUL})),
}


@pytest.mark.parametrize("name", PRINTS)
def test_no_output_sends_control_characters(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    PRINTS[name]()
    out = capsys.readouterr().out
    assert out
    check_harmless(out)


def test_a_line_end_in_a_name_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([Entry(SPITEFUL, "finished", 1, 2, 3, SPITEFUL, SPITEFUL)], "/runs")
    print_line(SPITEFUL)
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.lstrip().startswith(("verdict", "sightline")) for line in lines)
    assert any("[bold]" in line for line in lines)  # shown as it is, not taken for markup


def test_a_message_is_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exit_with(f"folder {SPITEFUL} not found", 2)
    err = capsys.readouterr().err
    check_harmless(err)
    assert err.count("\n") == 1
    assert "cat\ufffd[31m\ufffdsightline: all is well↵verdict" in err


def test_a_traceback_of_ours_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_line_errors():
        raise ZeroDivisionError(SPITEFUL)
    err = capsys.readouterr().err
    check_harmless(err)
    assert "ZeroDivisionError: cat" in err


def test_a_log_line_is_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    seen: list[str] = []
    other = logging.Handler()  # as Prefect's
    other.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("sightline")
    log.addHandler(other)
    try:
        log.warning("cannot read %s", SPITEFUL)
    finally:
        log.removeHandler(other)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "cannot read" in line]
    check_harmless(line)
    assert seen == [line]


def test_a_progress_line_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runtime.progress.ProgressArtifact", lambda words: words)
    bar = Progress(disable=True)
    display = ProgressDisplay(SPITEFUL, "images", bar)
    check_harmless(display.what)
    check_harmless(bar.tasks[0].description)
    check_harmless(str(display.artifact))


@pytest.mark.parametrize(
    "words",
    [
        (SPITEFUL,),
        ("show", SPITEFUL),
        ("show", "run", SPITEFUL),
        ("show", f"--{SPITEFUL}"),
        ("policy", SPITEFUL),
        ("audit", "--workers", SPITEFUL),
        ("audit", "--polarity", SPITEFUL),
        ("runs", SPITEFUL),
        ("remove", SPITEFUL),
        ("publish", SPITEFUL),
        ("compare", SPITEFUL, SPITEFUL),
        ("policy", "check", SPITEFUL),
        ("audit", "--config", f"{SPITEFUL}.toml"),
        ("audit", "--data", "d", "--model", "m", "--out", "r", "--preprocessing", SPITEFUL),
        ("audit", "--data", "d", "--model", "m", "--out", "r", "--methods", SPITEFUL),
        ("audit", "--data", "d", "--model", "m", "--out", "r", "--flag-method", SPITEFUL),
        ("audit", "--data", SPITEFUL, "--model", "m", "--out", "r", "--dry-run"),
        ("audit", "--data", "d", "--model", SPITEFUL, "--out", "r", "--dry-run"),
        ("release", "--data", "d", "--model", SPITEFUL, "--out", "r", "--policy", "p"),
    ],
)
def test_no_command_sends_what_it_was_given(words: tuple[str, ...]) -> None:
    done = invoke(*words)
    assert done.exit_code in (0, 2)
    check_harmless(done.stdout)
    check_harmless(done.stderr)


PRINT_NAMES = """
from flows.cli.output.lines import print_json, print_line, write_every_name
from flows.cli.output.tables import PlainTable, print_table
write_every_name()
print_line("šč 猫 \\N{CAT} ↑")
table = PlainTable("name", title="猫")
table.add_row("猫 \\N{CAT}")
print_table(table)
print_json('{"猫": "\\N{CAT}"}')
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_names_outside_of_the_terminals_encoding_print(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_NAMES],
        cwd=ROOT,
        env={"PYTHONIOENCODING": encoding, "COLUMNS": "80"},
        capture_output=True,
        check=True,
    )
    text = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)  # click sends UTF-8
    assert "│ 猫" in text if encoding == "utf-8" else r" \u732b \U0001f408 " in text
    assert json.loads(text[text.index("{") :]) == {"猫": "\N{CAT}"}


def test_a_run_is_printed_through_the_same_door(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spiteful = {"sentence": SPITEFUL, "promotion": SPITEFUL, "policy": SPITEFUL}
    result = refused().model_copy(update=spiteful)
    (tmp_path / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    for quiet in (False, True):
        print_gate(str(tmp_path), as_json=False, quiet=quiet)
    print_gate(str(tmp_path), as_json=True)
    check_harmless(capsys.readouterr().out)
