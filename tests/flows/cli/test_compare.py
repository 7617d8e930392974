"""`sightline compare`: since the last run, and two models on the same images."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import Result

from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.schema import PairedSummary
from tests.support.audits import audit_test_split
from tests.support.command_line import invoke


def compare(run: RunFolder, before: RunFolder, *words: str) -> Result:
    return invoke("compare", str(run.path), str(before.path), *words)


def test_two_models_are_compared_on_the_same_images(
    other_run: RunFolder, finished_run: RunFolder, tmp_path: Path
) -> None:
    done = compare(other_run, finished_run, "--out", str(tmp_path / "pair"))
    assert done.exit_code == 0
    assert "differs: model was" in done.stdout
    assert "verdict: " in done.stdout
    assert "on the same images" in done.stdout
    files = {path.name: path for path in (tmp_path / "pair").iterdir()}
    assert set(files) == {"compare.html", "compare.md", "compare.json"}
    paired = PairedSummary.model_validate_json(files["compare.json"].read_text())
    assert paired.images == 64
    assert (paired.before.run, paired.after.run) == (str(finished_run.path), str(other_run.path))
    assert paired.before.digest != paired.after.digest
    page = files["compare.html"].read_text()
    assert page.count("data:image/jpeg") == 4 * len(paired.changed) > 0
    assert "| figure | before | after | change |" in files["compare.md"].read_text()


def test_json_says_what_moved_as_before(
    other_run: RunFolder, finished_run: RunFolder, tmp_path: Path
) -> None:
    plain = compare(other_run, finished_run, "--json")
    assert plain.exit_code == 0
    moved = json.loads(plain.stdout)
    assert moved["same"] == 64
    assert moved["before"] == str(finished_run.path)
    with_files = compare(other_run, finished_run, "--json", "--out", str(tmp_path / "pair"))
    assert json.loads(with_files.stdout) == moved
    assert (tmp_path / "pair/compare.json").is_file()


def test_the_same_model_twice_has_files_but_no_verdict(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    assert "verdict" not in compare(finished_run, finished_run).stdout
    done = compare(finished_run, finished_run, "--out", str(tmp_path / "pair"))
    assert done.exit_code == 0
    assert "None of" in (tmp_path / "pair/compare.md").read_text()


def test_runs_that_are_no_pair_write_nothing_and_say_why(
    benchmark_folder: Path, bundle: Path, finished_run: RunFolder, tmp_path: Path
) -> None:
    other = audit_test_split(
        tmp_path / "other", benchmark_folder, bundle, InterventionSettings(others=1)
    )
    done = compare(other, finished_run)
    assert done.exit_code == 0
    assert "verdict" not in done.stdout
    refused = compare(other, finished_run, "--out", str(tmp_path / "pair"))
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert "are not a pair (donors was" in refused.stderr
    assert not (tmp_path / "pair").exists()
