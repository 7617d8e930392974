"""What an installation has, and what it lacks: versions, folders, servers, devices."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from flows.runtime.findings import TOO_LITTLE, Finding, describe_free
from flows.runtime.run_addresses import RunAddresses, check_run_addresses, check_server_clock
from models.addresses import remove_secrets
from models.answering_servers import find_fault
from models.errors import describe_error

DISTRIBUTION = "sightline"
DEVELOPMENT = {"test", "check"}  # extras that no setting needs


@dataclass(frozen=True)
class Surroundings:
    """What the environment says: where the databases are, and which servers are named."""

    home: Path
    prefect: str | None
    mlflow: str | None
    run: RunAddresses = field(default_factory=RunAddresses)


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Every finding, in the order in which they would be met."""
    yield from check_packages()
    yield check_torch()
    yield find_gpu()
    yield from check_extras()
    yield check_home(surroundings.home)
    yield check_space(surroundings.home)
    yield check_loopback()
    yield check_prefect(surroundings.prefect)
    yield check_mlflow(surroundings.mlflow)
    for name, url in (("Prefect", surroundings.prefect), ("MLflow", surroundings.mlflow)):
        if url is not None and (clock := check_server_clock(name, url)) is not None:
            yield clock
    yield from check_run_addresses(surroundings.run)


def check_packages() -> Iterator[Finding]:
    """The installed version of each package that is needed, against those that work."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", f"Python {python}, Sightline {version(DISTRIBUTION)}")
    needed = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    essential = [requirement for requirement in needed if requirement.marker is None]
    problems = [problem for it in essential if (problem := _problem_of(it)) is not None]
    yield from (Finding("missing", f"{it}: install Sightline again") for it in problems)
    if not problems:
        yield Finding("ok", f"all {len(essential)} packages have versions that work")


def check_extras() -> Iterator[Finding]:
    """Packages that only some settings need."""
    needed = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    extras = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    for extra in sorted(set(extras) - DEVELOPMENT):
        packages = [it for it in needed if it.marker and it.marker.evaluate({"extra": extra})]
        problems = [problem for it in packages if (problem := _problem_of(it)) is not None]
        if problems:
            install = f"pip install '{DISTRIBUTION}[{extra}]'"
            yield Finding("optional", f"{extra}: {problems[0]}; if you need it: {install}")
        else:
            yield Finding("ok", f"{extra}: installed")


def _problem_of(needed: Requirement) -> str | None:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is not installed"
    if needed.specifier.contains(found, prereleases=True):
        return None
    return f"{needed.name} is {found}, and {needed.specifier} works"


def check_torch() -> Finding:
    """Do torch and torchvision fit each other? Only importing them tells."""
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        return Finding(
            "missing",
            f"torch {version('torch')} and torchvision {version('torchvision')} do not load "
            f"together ({describe_error(error)[:200]}): install a pair, see docs/install.md",
        )
    pair = f"torch {version('torch')}, torchvision {version('torchvision')}"
    return Finding("ok", f"{pair} load")


def find_gpu() -> Finding:
    """The graphics card that audits run on, or one that torch does not see."""
    try:
        import torch

        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except Exception:  # said above
        names = []
    if names:
        return Finding("ok", f"GPU: {', '.join(names)}")
    if Path("/dev/nvidia0").exists():
        return Finding("odd", "GPU: there is one, but this torch has no CUDA: see docs/install.md")
    return Finding("ok", f"GPU: none; audits run on {os.cpu_count()} processor cores")


def check_home(home: Path) -> Finding:
    """Can the databases of the embedded servers be written?"""
    folder = next(path for path in (home, *home.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("ok", f"home: {home} is writable")
    except OSError as error:
        reason = error.strerror or describe_error(error)
        return Finding(
            "missing", f"home: {home} cannot be written ({reason}): set SIGHTLINE_HOME to a folder"
        )


def check_space(home: Path) -> Finding:
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    state, text = describe_free(free, folder)
    if free < TOO_LITTLE:
        text += ": make room, or set SIGHTLINE_HOME to another disk"
    return Finding(state, text)


def check_loopback() -> Finding:
    """Workers and embedded servers talk through 127.0.0.1."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        return Finding(
            "missing", f"ports: 127.0.0.1 takes no connection ({error.strerror}): allow loopback"
        )
    return Finding("ok", "ports: 127.0.0.1 takes connections")


def check_prefect(url: str | None) -> Finding:
    if url is None:
        return Finding("ok", "Prefect: a server of its own, started when it is needed")
    return _check_server("Prefect", url, f"{url}/health", "PREFECT_API_URL")


def check_mlflow(uri: str | None) -> Finding:
    if uri is None:
        return Finding("ok", "MLflow: a database of its own")
    if not uri.startswith(("http://", "https://")):
        return Finding("ok", f"MLflow: {remove_secrets(uri)}")
    return _check_server("MLflow", uri, f"{uri}/health", "MLFLOW_TRACKING_URI")


def _check_server(name: str, address: str, health: str, variable: str) -> Finding:
    fault = find_fault(health)
    shown = remove_secrets(address)
    if fault is None:
        return Finding("ok", f"{name}: {shown} answers")
    reason = remove_secrets(describe_error(fault))[:200]
    return Finding(
        "missing", f"{name}: {shown} does not answer ({reason}): start it, or unset {variable}"
    )
