"""A user's own method on the command line: computed by workers, named in every result."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli.commands import main
from tasks.runs import open_run
from tasks.tracking.metrics import metrics_of_methods

pytestmark = pytest.mark.usefixtures("prefect_server")

OWN = """
def saliency(model, images, targets):
    images.requires_grad_(True)
    model(images).gather(1, targets[:, None]).sum().backward()
    return images.grad.abs().amax(1)


def shared(model, images, targets):
    return images[:, 0] / images.amax()
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def command(name: str, benchmark: Path, bundle: Path, *more: str) -> Result:
    data = ["--data", str(benchmark), "--split", "test", "--sample", "8"]
    return CliRunner().invoke(main, [name, *data, "--model", str(bundle), "--workers", "1", *more])


def test_methods_are_compared_with_a_users_own(
    own: Path, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    methods = f"saliency,{own}:saliency"
    more = ["--out", str(run), "--methods", methods, "--tested", "4", "--shard-size", "4"]
    done = command("compare-methods", benchmark_folder, bundle, *more)
    assert done.exit_code == 0, done.stderr
    assert "own.py:saliency" in done.stdout
    summary = open_run(run).methods_summary()
    ours, theirs = summary.methods
    assert (ours.method, theirs.method) == ("saliency", "own.py:saliency")
    assert theirs.figures == ours.figures
    assert theirs.cost.forwards is None
    assert "own.py:saliency.faithfulness" in metrics_of_methods(summary)
    assert sorted(path.name for path in (run / "maps").iterdir()) == ["own.py:saliency", "saliency"]
    assert "own.py:saliency" in (run / "methods.html").read_text(encoding="utf-8")


def test_a_method_that_cannot_be_used_is_refused_before_anything_is_computed(
    own: Path, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    more = ["--out", str(tmp_path / "run"), "--methods", f"grad_cam_pp,{own}:shared"]
    done = command("audit", benchmark_folder, bundle, *more)
    assert done.exit_code == 2
    *_, line = done.stderr.splitlines()
    assert line.startswith(f"sightline: method {own}:shared gives an image another map when")
    assert not (tmp_path / "run").exists()
