"""An image that kills its worker costs its own row, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UnfinishedRun
from tasks.attribution.retry_policy import RetryPolicy, write_note
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.cluster import DASK_SETTINGS
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.execution.work_size import died_here
from tasks.execution.worker_deaths import DEATHS_WITHOUT_NOTE, ShardFailures, take_note
from tasks.pictures.rows import Row
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tests.support.waiting import PATIENCE

ROWS = [Row(str(index), f"{index}.png", None) for index in range(10)]
MODEL = '''
import os, signal, torch

class Deadly(torch.nn.Module):
    """Killed by a white picture, as native code can be by a malformed one."""

    classes = ("dark", "light")
    preprocessing = {"crop": [16, 16]}

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3, stride=2)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, image):
        if image.amin((1, 2, 3)).max() > 0.99:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(self.convolution(image).relu().mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Deadly()
'''


DIE_ONCE = """
import os, pathlib, signal

def die_once():
    killed = pathlib.Path({file!r})
    if not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""

LATE = """
import os, pathlib, time

folder = pathlib.Path(FOLDER)
late = len(list(folder.glob("start-*"))) == 1
(folder / f"start-{os.getpid()}").touch()
if late:
    time.sleep(17)
"""

OWN_PROCESS = """
from tasks.execution.attribution_stage import attribute_run
from tasks.execution.cluster import DASK_SETTINGS
from tasks.execution.settings import ComputeSettings
from tasks.runs.folder import RunFolder

compute = ComputeSettings(batch_size=4)
attribute_run(RunFolder.at({run!r}), compute, {scratch!r}, lambda _: None)
"""


def names(batches: object) -> list[list[str]]:
    return [[row.row_id for row in batch] for batch in batches]  # type: ignore[attr-defined]


def test_removing_a_row_from_a_batch_changes_no_other_batch() -> None:
    assert names(RetryPolicy().batches(ROWS, 4)) == [list("0123"), list("4567"), list("89")]
    policy = RetryPolicy(noted=True, alone=frozenset("45"), blamed=frozenset("1"))
    assert names(policy.batches(ROWS, 4)) == [list("023"), list("67"), ["4"], ["5"], list("89")]
    assert [failure.row_id for failure in policy.failures(ROWS)] == ["1"]


def test_deaths_narrow_down_from_the_note_to_one_row(tmp_path: Path) -> None:
    run, failures = RunFolder.at(tmp_path), ShardFailures()
    assert failures.add_death(run, 3) == RetryPolicy(noted=True)
    write_note(run, 3, ROWS[4:8])
    policy = failures.add_death(run, 3)
    assert policy == RetryPolicy(noted=True, alone=frozenset("4567"))
    for blamed in (frozenset(""), frozenset("6")):
        write_note(run, 3, ROWS[6:7])
        policy = failures.add_death(run, 3)
        assert policy is not None
        assert policy.blamed == blamed
    assert take_note(run, 3) == []


def test_a_shard_that_dies_without_a_note_is_given_up(tmp_path: Path) -> None:
    run, failures = RunFolder.at(tmp_path), ShardFailures()
    tries = [failures.add_death(run, 0) for _ in range(DEATHS_WITHOUT_NOTE + 1)]
    assert tries[-1] is None
    assert None not in tries[:-1]


@pytest.fixture
def deadly(tmp_path: Path) -> tuple[Path, str]:
    """24 grey pictures, number 13 white, and a model that is killed by it."""
    (tmp_path / "net.py").write_text(MODEL)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(24):
        shade = 255 if index == 13 else 5 * index
        Image.new("RGB", (16, 16), (shade, shade, shade)).save(folder / f"{index:02d}.png")
    return folder, f"{tmp_path / 'net.py'}:build"


def prepare(
    folder: Path, model: str, run: Path, methods: tuple[str, ...] = ("grad_cam",)
) -> RunFolder:
    data, settings = DataSettings(path=str(folder)), ModelSettings(address=model)
    attribution = AttributionSettings(methods=methods, shard_size=8)
    request, output = AuditRequest(data, attribution), OutputSettings(run=str(run))
    return prepare_run(request, FetchedModel(settings), output, {"model": settings.model_dump()})


def test_the_image_that_kills_is_found_and_the_others_are_computed(
    deadly: tuple[Path, str], tmp_path: Path
) -> None:
    folder, model = deadly
    run = prepare(folder, model, tmp_path / "run")
    one = ComputeSettings(workers=1, batch_size=4)
    cost = attribute_run(run, one, str(tmp_path / "dask"), lambda _: None)
    assert cost.computed == 23
    reader = open_run(run.path)
    assert "13.png" not in reader.table()["row_id"].to_pylist()
    failures = reader.part("failures/predictions", 1)
    assert failures is not None
    (failure,) = failures.to_pylist()
    assert (failure["row_id"], failure["stage"], failure["kind"]) == (
        "13.png",
        "worker",
        "permanent",
    )
    assert not (run.path / "notes").exists()

    again = attribute_run(run, one, str(tmp_path / "dask"), lambda _: None)
    assert (again.computed, again.reused) == (0, 23)


def test_a_worker_that_dies_over_layer_statistics_is_replaced(
    deadly: tuple[Path, str], tmp_path: Path
) -> None:
    """Killed once by the white picture, which is read for them before the first shard."""
    killed = tmp_path / "killed"
    model = MODEL.replace("os.kill(os.getpid(), signal.SIGKILL)", "die_once()")
    (tmp_path / "net.py").write_text(DIE_ONCE.format(file=str(killed)) + model)
    run = prepare(*deadly, tmp_path / "run", methods=("iba",))
    one = ComputeSettings(workers=1, batch_size=4)
    cost = attribute_run(run, one, str(tmp_path / "dask"), lambda _: None)
    assert killed.exists()
    assert cost.computed == 24


@pytest.mark.full
def test_an_image_that_kills_the_command_itself_is_found_by_the_next_try(
    deadly: tuple[Path, str], tmp_path: Path
) -> None:
    run = prepare(*deadly, tmp_path / "run")
    compute, scratch = ComputeSettings(batch_size=4), str(tmp_path / "dask")
    program = OWN_PROCESS.format(run=str(run.path), scratch=scratch)
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=PATIENCE)
    assert done.returncode == -signal.SIGKILL
    assert died_here(run)
    cost = attribute_run(run, compute, scratch, lambda _: None)
    assert cost.computed + cost.reused == 23
    assert cost.workers > 0
    assert not run.notes.exists()


@pytest.mark.full
def test_a_worker_that_comes_back_late_is_waited_for(
    deadly: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """17 seconds late, where Dask waits for 15."""
    (tmp_path / "late.py").write_text(LATE.replace("FOLDER", repr(str(tmp_path))))
    run = prepare(*deadly, tmp_path / "run")
    name = "distributed.worker.preload"
    monkeypatch.setitem(DASK_SETTINGS, name, [*DASK_SETTINGS[name], str(tmp_path / "late.py")])
    one = ComputeSettings(workers=1, batch_size=4)
    cost = attribute_run(run, one, str(tmp_path / "dask"), lambda _: None)
    assert cost.computed == 23
    assert len(list(tmp_path.glob("start-*"))) > 1


@pytest.mark.full
def test_too_many_failures_stop_the_run_and_keep_what_is_done(
    deadly: tuple[Path, str], tmp_path: Path
) -> None:
    folder, model = deadly
    for index in range(4):
        (folder / f"{index:02d}.png").write_bytes(b"no picture")
    (folder / "13.png").unlink()
    run = prepare(folder, model, tmp_path / "run")
    strict = ComputeSettings(workers=1, batch_size=4, max_failures=3)
    with pytest.raises(UnfinishedRun, match="4 images failed, more than --max-failures 3"):
        attribute_run(run, strict, str(tmp_path / "dask"), lambda _: None)
    kept = run.part("predictions", 0).stat().st_mtime_ns
    with pytest.raises(UnfinishedRun, match="4 images failed"):  # counted again, not computed
        attribute_run(run, strict, str(tmp_path / "dask"), lambda _: None)
    generous = strict.model_copy(update={"max_failures": 4})
    cost = attribute_run(run, generous, str(tmp_path / "dask"), lambda _: None)
    assert cost.computed + cost.reused == 19
    assert run.part("predictions", 0).stat().st_mtime_ns == kept
