"""A folder that cannot be written, or holds files of others, is refused before anything starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.output_folders import check_demo, check_output
from flows.settings.command_settings import AuditSettings, ReleaseSettings, RetrainSettings
from flows.settings.compose import compose
from models.errors import UserError
from tasks.runs.folder import RunFolder
from tests.support.command_line import check_refused, invoke

THEIRS = "theirs, and not JSON"


def audit_into(out: Path) -> AuditSettings:
    options = {"data.path": "d", "model.address": "sightline:small_resnet", "output.run": str(out)}
    return compose(AuditSettings, None, options)


def release_into(out: Path) -> ReleaseSettings:
    options = {"data.path": "d", "model.address": "mlflow:models:/m/1", "output.run": str(out)}
    return compose(ReleaseSettings, None, options | {"gate.policy": "policy.toml"})


def retrain_into(out: Path) -> RetrainSettings:
    options = {"data.path": "d", "model.address": "sightline:small_resnet", "output.run": str(out)}
    return compose(RetrainSettings, None, options)


@pytest.mark.parametrize("name", ["thesis.tex", "run.json", "summary.json"])
def test_an_audit_refuses_a_folder_of_others(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(THEIRS)
    with pytest.raises(UserError, match=r"neither empty nor a run folder|run\.json is damaged"):
        check_output(audit_into(tmp_path))
    assert (tmp_path / name).read_text() == THEIRS


def test_an_audit_takes_its_own_run_and_new_folders(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    check_output(audit_into(Path(str(finished_run.path))))
    check_output(audit_into(tmp_path / "new"))
    check_output(audit_into(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["result.json", "junit.xml", "release.html", "release.md", "compare.md"]
)
def test_a_release_overwrites_no_file_of_others(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(THEIRS)
    with pytest.raises(UserError, match=f"{name} was not written by Sightline"):
        check_output(release_into(tmp_path))
    (tmp_path / name).unlink()
    (tmp_path / "thesis.tex").write_text(THEIRS)
    check_output(release_into(tmp_path))


def test_a_release_refuses_a_candidate_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate/thesis.tex").touch()
    with pytest.raises(UserError, match="candidate is neither empty nor a run folder"):
        check_output(release_into(tmp_path))


@pytest.mark.parametrize("content", [None, "", "{}", '{"id": 1}', '{"id": "a", "epochs": 3}'])
def test_a_training_refuses_a_folder_of_others(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "training").mkdir()
    if content is not None:
        (tmp_path / "training/training.json").write_text(content)
    with pytest.raises(UserError, match=r"holds no training|training\.json is damaged"):
        check_output(retrain_into(tmp_path))
    (tmp_path / "training/training.json").write_text('{"id": "a", "identity": "b"}')
    check_output(retrain_into(tmp_path))


def test_a_demo_refuses_a_folder_of_others(benchmark_folder: Path, tmp_path: Path) -> None:
    for name in ("policy.toml", "metadata.csv"):
        (tmp_path / name).write_text(THEIRS)
    check_refused(invoke("demo", "--out", str(tmp_path)), 2, "holds no demo: give an empty")
    assert (tmp_path / "policy.toml").read_text() == THEIRS
    (tmp_path / "demo/benchmark").mkdir(parents=True)
    shutil.copy(benchmark_folder / "benchmark.json", tmp_path / "demo/benchmark")
    check_demo(tmp_path / "demo")
    check_demo(tmp_path / "new")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("file", "it is a file or a device"),
        ("file/run", "a part of its path is a file"),
        ("dangling", "it is a link to nothing"),
        ("x" * 300, "its name is too long"),
        ("/dev/null", "it is a file or a device"),
    ],
)
@pytest.mark.parametrize("option", ["--out", "--series"])
def test_the_command_refuses_it_before_anything(
    tmp_path: Path, out: str, words: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text(THEIRS)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("run_flow", "run_audit"):
        monkeypatch.setattr(
            f"flows.runtime.command.{name}", lambda *_, **__: pytest.fail("started")
        )
    options = ("--data", "d", "--model", "m", option, str(tmp_path / out))
    check_refused(invoke("audit", *options), 2, words)
    check_refused(invoke("compare-methods", *options), 2, words)
    assert (tmp_path / "file").read_text() == THEIRS


def test_a_home_that_is_a_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    options = ("--data", "d", "--model", "m", "--out", str(tmp_path / "run"))
    said = f"SIGHTLINE_HOME {tmp_path / 'home'} cannot be written as a folder"
    check_refused(invoke("audit", *options), 2, said)


def test_a_comparison_overwrites_no_file_of_others(
    finished_run: RunFolder, other_run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "compare.md").write_text(THEIRS)
    runs = (str(finished_run.path), str(other_run.path))
    done = invoke("compare", *runs, "--out", str(tmp_path))
    check_refused(done, 2, "compare.md was not written by Sightline")
    (tmp_path / "compare.md").unlink()
    for _ in range(2):  # its own files are written again
        assert invoke("compare", *runs, "--out", str(tmp_path)).exit_code == 0
