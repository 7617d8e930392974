"""Workers elsewhere may have other versions than this command, and then other numbers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from distributed import Client
from packaging.version import Version

from models.errors import UserError

PACKAGES = ("sightline", "torch")
Versions = Mapping[str, str]  # by package


def own_versions() -> Versions:
    return {package: version(package) for package in PACKAGES}


def check_workers(client: Client) -> None:
    """Refuse a cluster with a worker of another version, before it is sent anything of ours."""
    for package, wanted in own_versions().items():
        answers: dict[str, str | Exception] = client.run(version, package, on_error="return")
        for worker, found in sorted(answers.items()):
            if isinstance(found, PackageNotFoundError):
                refuse(worker, f"no {package}", f"{package} {wanted}")
            elif isinstance(found, str):  # else it did not answer, and its shards go elsewhere
                check_version(worker, package, found, wanted)


def check_version(worker: str, package: str, found: str, wanted: str) -> None:
    """Builds of one version for other devices (2.11.0+cpu, 2.11.0+cu126) belong together."""
    if Version(found).public != Version(wanted).public:
        refuse(worker, f"{package} {found}", f"{package} {wanted}")


def refuse(worker: str, found: str, wanted: str) -> None:
    raise UserError(
        f"worker {worker} has {found}, and this command has {wanted}: install the same version on "
        "both"
    )
