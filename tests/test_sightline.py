"""`import sightline` reads runs from any folder, and docs/python.md says how."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sightline
from tasks.runs import open_run
from tasks.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
OWN = """
import tasks
from models.network import NAME
assert tasks.__file__ == {folder!r} + "/tasks.py"
assert NAME == "the project's"
"""
READ = """
import sightline
run = sightline.open_run({run!r})
assert run.summary().images.predicted == len(run.table("grad_cam_pp")) == 64
assert len(run.maps(["images/test/00050.png"], "grad_cam", size=(16, 16))) == 1
try:
    run.maps(["images/test/0050.png"], "grad_cam")
except sightline.UserError as error:
    assert "did you mean 'images/test/00050.png'" in str(error)
else:
    raise AssertionError
"""
SHOW = """
assert len(run.frame()) == len(run.frame(table="features")) == 64
assert len(run.flagged()) == (run.frame()["flag"] == "rests_on_background").sum()
assert "Sightline run" in run._repr_html_()
assert "<img" in run.show("images/test/00050.png")._repr_html_()
assert "score" in run.columns().index and "maps" in run.tables().index
for ask in (lambda: run.frame(table="nothing"), lambda: run.show("nothing")):
    try:
        ask()
    except sightline.UserError as error:
        pass
    else:
        raise AssertionError
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project, with a module and a package that have the names of ours."""
    (tmp_path / "tasks.py").write_text("")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/__init__.py").write_text("")
    (tmp_path / "models/network.py").write_text('NAME = "the project\'s"')
    return tmp_path


@pytest.mark.parametrize(
    "order",
    [[OWN, READ, SHOW], [READ, SHOW, OWN], [READ, OWN, SHOW, OWN]],
    ids=["own first", "ours first", "in turn"],
)
def test_it_reads_in_a_project_that_has_our_names(
    order: list[str], project: Path, finished_run: RunFolder
) -> None:
    lines = "".join(order).format(folder=str(project), run=str(finished_run.path))
    (project / "script.py").write_text(lines)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_of_checkpoints_called_models_does_not_hide_ours(
    tmp_path: Path, finished_run: RunFolder
) -> None:
    (tmp_path / "models").mkdir()
    lines = READ.format(run=str(finished_run.path))
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_where_nothing_has_our_names_ours_stay_the_same() -> None:
    from tasks.runs.reader import Run

    assert issubclass(sightline.Run, Run)


def test_the_page_is_carried_out(
    finished_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(finished_run.path, tmp_path / "runs/look")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(block, names)
    printed = capsys.readouterr().out
    assert printed.startswith("64 images, accuracy ")
    assert "did you mean 'images/test/" in printed


def test_the_page_names_every_column(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    own = {*run.catalog.column_names, "content_id", "foreground_id"}
    for name in set(run.table("grad_cam_pp").column_names) - own:
        assert f"`{name}`" in PAGE, name
