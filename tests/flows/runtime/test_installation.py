"""The doctor names what is missing, in a line each, and finds nothing where nothing is."""

from __future__ import annotations

import importlib.metadata
import shutil
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from flows.runtime import installation
from flows.runtime.findings import Finding
from flows.runtime.installation import Surroundings, examine
from tests.support.command_line import invoke
from tests.support.silent_server import silent_server, trickling_server

Change = Callable[[pytest.MonkeyPatch, Path], Surroundings]

pytestmark = pytest.mark.timeout(120)


def surroundings(home: Path, prefect: str | None = None, mlflow: str | None = None) -> Surroundings:
    return Surroundings(home / "not" / "yet", prefect, mlflow)


def essential(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.state == "missing"]


def test_a_whole_installation_lacks_nothing(tmp_path: Path) -> None:
    findings = list(examine(surroundings(tmp_path)))
    assert essential(findings) == []
    assert all("\n" not in finding.text for finding in findings)
    assert not (tmp_path / "not").exists()  # it only looks


def old_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    def version(name: str) -> str:
        return "2.1.3" if name == "sqlalchemy" else importlib.metadata.version(name)

    monkeypatch.setattr(installation, "version", version)
    return surroundings(folder)


def no_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    def version(name: str) -> str:
        if name == "distributed":
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(installation, "version", version)
    return surroundings(folder)


def torch_of_another_build(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    def load(name: str) -> None:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr("importlib.import_module", load)
    return surroundings(folder)


def a_file_as_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    (folder / "home").touch()
    return Surroundings(folder / "home", None, None)


def a_full_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    usage = type(shutil.disk_usage(folder))(10**12, 10**12, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    return surroundings(folder)


def no_prefect(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    return surroundings(folder, prefect="http://me:s3cret@127.0.0.1:9/api")


def no_mlflow(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Surroundings:
    return surroundings(folder, mlflow="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (old_package, "sqlalchemy is 2.1.3, and <2.1 works: install Sightline again"),
        (no_package, "distributed is not installed: install Sightline again"),
        (torch_of_another_build, "do not load together (RuntimeError: operator torchvision::nms"),
        (a_file_as_home, "cannot be written (Not a directory): set SIGHTLINE_HOME to a folder"),
        (a_full_disk, "disk: 0.0 GB free at"),
        (no_prefect, "Prefect: http://127.0.0.1:9/api does not answer"),
        (no_mlflow, "MLflow: http://127.0.0.1:9 does not answer"),
    ],
)
def test_what_is_missing_is_named(
    change: Change, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (line,) = essential(list(examine(change(monkeypatch, tmp_path))))
    assert words in line
    assert "s3cret" not in line
    assert "\n" not in line


@pytest.mark.parametrize("server", [silent_server, trickling_server])
def test_a_server_that_never_ends_its_answer_is_named(
    server: Callable[[], AbstractContextManager[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.answering_servers.TIMEOUT", 1.0)
    with server() as address:
        assert installation.check_prefect(f"http://{address}/api").state == "missing"


def test_every_extra_of_the_project_has_its_line() -> None:
    declared = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    extras = set(declared["project"]["optional-dependencies"]) - installation.DEVELOPMENT
    assert {it.text.partition(":")[0] for it in installation.check_extras()} == extras


def test_an_extra_that_is_not_there_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "timm":
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(installation, "version", version)
    missing = [it.text for it in installation.check_extras() if it.state == "optional"]
    assert any(text.endswith("pip install 'sightline[timm]'") for text in missing)


def test_the_command_prints_a_line_each_and_exits_with_2_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = invoke("doctor")
    assert done.exit_code == 0, done.stderr
    states = {line.split()[0] for line in done.stdout.splitlines()}
    assert states <= {"ok", "odd", "optional"}
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    refused = invoke("doctor")
    assert refused.exit_code == 2
    assert refused.stderr == "sightline: 1 essential thing is missing: see the lines above\n"
    assert "missing  Prefect: http://127.0.0.1:9/api does not answer" in refused.stdout
