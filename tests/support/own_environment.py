"""Environments of their own for tools that are not among our packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def own_environment(folder: Path, *packages: str, with_ours: bool = False) -> Iterator[Path]:
    """Its folder of programs; `with_ours`, it sees our code and packages, too."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        programs = folder / "bin"
        words = ["--quiet", *packages]
        if with_ours:
            (site,) = folder.glob("lib/python*/site-packages")
            (site / "ours.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
            words += ["--constraint", str(ROOT / "constraints.txt")]
        install = [str(programs / "python"), "-m", "pip", "install", *words]
        subprocess.run(install, check=True, env=clean_environment())
        yield programs
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
