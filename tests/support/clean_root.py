"""Carry out a Dockerfile without Docker, in a clean root that debootstrap has made.

    debootstrap --variant=minbase bookworm ROOT
    python -m tests.support.clean_root ROOT examples/deploy/Dockerfile [--share PATH ...] -- COMMAND

Needs root. `--share` shows a file or folder of this machine inside, read only, such as pip's
configuration; the command then runs as the image's user. Mounts end with the program.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHARED = ("/etc/resolv.conf", "/etc/hosts")
KEPT = ("PIP_", "TORCH", "EXTRAS")  # of the environment: pip's settings, and build arguments


@dataclass
class Image:
    """A root folder with what instructions have set so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    user: str = "0"
    folder: str = "/"

    def run(self, command: str) -> None:
        """As `RUN` does: by sh, in the working folder, with what ARG and ENV have set."""
        words = (
            "/usr/sbin/chroot",
            f"--userspec={self.user}:{self.user}",
            str(self.root),
            "/bin/sh",
            "-c",
        )
        settings = {name: text for name, text in os.environ.items() if name.startswith(KEPT)}
        inside = f"cd {shlex.quote(self.folder)} && {command}"
        subprocess.run([*words, inside], env=self.environment | settings, check=True)

    def follow(self, name: str, text: str) -> None:
        """Carry out one instruction; one that is not known here is an error."""
        match name:
            case "RUN":
                self.run(text)
            case "ARG" | "ENV":
                for word in shlex.split(text):
                    key, _, value = word.partition("=")
                    self.environment[key] = value.replace("$PATH", self.environment["PATH"])
            case "COPY":
                copy_sources(self.root / text.split()[1].lstrip("/"))
            case "WORKDIR":
                self.folder = text
                (self.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = text
            case "FROM" | "CMD":
                pass  # the root is what FROM names; CMD is for whoever starts the image
            case _:
                sys.exit(f"{name} is not carried out here: add it to clean_root.py")


def copy_sources(target: Path) -> None:
    """What Dockerfile.dockerignore lets through."""
    ignored = (REPOSITORY / "examples/deploy/Dockerfile.dockerignore").read_text().splitlines()
    for name in (line.removeprefix("!") for line in ignored if line.startswith("!")):
        source = REPOSITORY / name
        if source.is_dir():
            hidden = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=hidden, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.partition(" ") for line in joined.splitlines()]
    return [(name, rest.strip()) for name, _, rest in found]


def share(root: Path, path: str) -> None:
    source, target = Path(path), root / path.lstrip("/")
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    subprocess.run(["mount", "--bind", "--read-only", source, target], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--share", action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    for path in (*SHARED, *options.share):
        share(options.root, path)
    subprocess.run(["mount", "-t", "proc", "proc", options.root / "proc"], check=True)
    image = Image(options.root)
    for name, text in instructions(options.dockerfile.read_text(encoding="utf-8")):
        print(f"{name} {text}", flush=True)  # noqa: T201
        image.follow(name, text)
    image.run(shlex.join(options.command))


if __name__ == "__main__":
    if os.environ.get("IN_NAMESPACE") is None:
        words = [*NAMESPACE, sys.executable, "-m", "tests.support.clean_root", *sys.argv[1:]]
        os.execvpe(NAMESPACE[0], words, os.environ | {"IN_NAMESPACE": "1"})
    main()
