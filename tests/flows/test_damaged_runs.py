"""A damaged file of a run is named in one line with what to do; no number is read from it.

What can be computed again is, by the same command and by one that reuses the run.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tasks.storage.parquet import is_intact, read_table
from tasks.tracking.audit_run import _results_of
from tests.support.audits import run_audit
from tests.support.command_line import invoke
from tests.support.damage import damages_of

IMAGES, SHARD = 8, 4
LINES = 3  # of stderr at most: warnings, and the error


class Audit:
    """A small audit that can be repeated, continued and reused."""

    def __init__(self, benchmark: Path, bundle: Path) -> None:
        self.data = DataSettings(path=str(benchmark), split="test", limit=IMAGES)
        self.model = ModelSettings(address=str(bundle))

    def run(self, folder: Path, reuse: Path | None = None) -> RunFolder:
        attribution = AttributionSettings(methods=("grad_cam_pp", "iba"), shard_size=SHARD)
        asked = AuditRequest(self.data, attribution, InterventionSettings(pool=8))
        run = run_audit(folder, self.data, self.model, asked=asked, reuse=reuse)
        run.finish(run.report, "<html></html>")
        return run


@pytest.fixture(scope="module")
def audit(benchmark_folder: Path, bundle: Path) -> Audit:
    return Audit(benchmark_folder, bundle)


@pytest.fixture(scope="module")
def whole(audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without damage. For reading only."""
    return Path(str(audit.run(tmp_path_factory.mktemp("whole") / "run").path))


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file() and path.suffix != ".html")


def damaged_copies(run: Path, count: int, seed: int) -> Iterator[Path]:
    """The run with one damaged file, which is named, `count` times for each kind of damage."""
    for path in files_of(run):
        content = path.read_bytes()
        for damage in damages_of(path):
            for number in range(count):
                chance = random.Random(f"{seed} {path.relative_to(run)} {damage.__name__} {number}")
                path.write_bytes(damage(content, chance))
                yield path
        path.write_bytes(content)


def check_said(done: Result, path: Path, right: str) -> None:
    """Either the right result, or a refusal in one line that names the file.

    JSON has no checksum: another number in it is read as one.
    """
    if done.exit_code == 0:
        assert done.stdout == right or path.suffix == ".json", path
        return
    assert done.exit_code == 2, (path, done.stderr)
    assert str(path) in done.stderr.replace("\n", ""), (path, done.stderr)
    assert done.stderr.count("\n") <= LINES
    assert "Error" not in done.stderr
    assert done.stdout == ""


COUNTS = [
    pytest.param(1, 0, id="sample"),
    pytest.param(8, 1, id="all", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
]


@pytest.mark.parametrize(("count", "seed"), COUNTS)
@pytest.mark.parametrize("words", [("show",), ("show", "--json")], ids=" ".join)
def test_show_is_right_or_names_the_file(
    run: Path, words: tuple[str, ...], count: int, seed: int
) -> None:
    command = (*words, str(run))
    right = invoke(*command).stdout
    for path in damaged_copies(run, count, seed):
        check_said(invoke(*command), path, right)


@pytest.mark.parametrize(("count", "seed"), COUNTS)
def test_a_comparison_is_right_or_names_the_file(
    run: Path, whole: Path, count: int, seed: int
) -> None:
    right = {order: invoke("compare", *order).stdout for order in orders(run, whole)}
    for path in damaged_copies(run, count, seed):
        for order, expected in right.items():
            check_said(invoke("compare", *order), path, expected)


def orders(run: Path, whole: Path) -> list[tuple[str, str]]:
    return [(str(run), str(whole)), (str(whole), str(run))]


@pytest.mark.parametrize(("count", "seed"), COUNTS)
def test_a_list_names_what_is_damaged_and_hides_nothing(
    run: Path, whole: Path, count: int, seed: int
) -> None:
    shutil.copytree(whole, run.parent / "other")
    for path in damaged_copies(run, count, seed):
        done = invoke("runs", str(run.parent))
        assert done.exit_code == 0, (path, done.stderr)
        assert "other" in done.stdout
        if "damaged" in done.stdout:
            assert str(path) in done.stdout
        elif path.name == "run.json" and "run " not in done.stdout:
            assert path.read_bytes().lstrip()[:1] not in b"{"  # no longer Sightline's


@pytest.mark.parametrize(("count", "seed"), COUNTS)
def test_what_is_published_is_right_or_the_file_is_named(run: Path, count: int, seed: int) -> None:
    right = _results_of(RunFolder.at(run))
    for path in damaged_copies(run, count, seed):
        try:
            assert _results_of(RunFolder.at(run)) == right or path.suffix == ".json"
        except UserError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)


def test_a_damaged_run_is_deleted_whole_or_not_at_all(whole: Path, tmp_path: Path) -> None:
    for path in damaged_copies(Path(shutil.copytree(whole, tmp_path / "run")), 1, 0):
        copy = Path(shutil.copytree(tmp_path / "run", tmp_path / "copy"))
        done = invoke("remove", str(copy), "--yes")
        if done.exit_code == 0:
            assert not copy.exists()
        else:
            assert done.exit_code == 2
            assert path.name == "run.json"
            assert len(files_of(copy)) == len(files_of(whole))
        shutil.rmtree(copy, ignore_errors=True)


def check_same_results(run: RunFolder, whole: Path) -> None:
    """Every table is intact, and holds what it held."""
    for path in whole.rglob("*.parquet"):
        again = run.path / path.relative_to(whole).as_posix()
        assert is_intact(again), again
        assert read_table(again).equals(read_table(RunFolder.at(path).path)), again


@pytest.mark.parametrize("reuses", [False, True], ids=["continued", "reused"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 2, 3))])
def test_damaged_tables_are_computed_again(
    audit: Audit, whole: Path, tmp_path: Path, seed: int, reuses: bool
) -> None:
    """All but run.json at once: nothing is read from a damaged file."""
    run, chance = Path(shutil.copytree(whole, tmp_path / "run")), random.Random(seed)
    catalog = run / "catalog.parquet"
    for path in files_of(run):
        if path.name != "run.json" and not (reuses and path == catalog):
            path.write_bytes(chance.choice(damages_of(path))(path.read_bytes(), chance))
    again = audit.run(tmp_path / "new", reuse=run) if reuses else audit.run(run)
    check_same_results(again, whole)


@pytest.mark.parametrize("name", ["predictions", "maps/iba", "scores/grad_cam_pp", "statistics"])
def test_only_what_is_damaged_is_computed_again(
    audit: Audit, whole: Path, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    path = next((run / name).rglob("part-*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    before = {file: file.stat().st_mtime_ns for file in run.rglob("part-*") if file != path}
    check_same_results(audit.run(run), whole)
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_previous_run_without_a_catalog_is_named(audit: Audit, run: Path, tmp_path: Path) -> None:
    (run / "catalog.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"run/catalog\.parquet is damaged"):
        audit.run(tmp_path / "new", reuse=run)
