"""An environment that says it has another version of a package."""

from __future__ import annotations

from pathlib import Path


def pretend_version(folder: Path, package: str, version: str) -> None:
    """With the folder on its PYTHONPATH, Python finds this one before what is installed."""
    about = folder / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (about / "METADATA").write_text(text)
