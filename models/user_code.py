"""Functions of the user's own code, by `path/to/file.py:function`; and the networks they build.

The file is loaded as its author runs it: its own folder comes first, and our packages, whose plain
names a user's project may have too, are hidden while it loads and builds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from models.errors import UserError, describe_error, suggest

OURS = ("flows", "tasks", "models", "reports")
PREFIX = "_user_"  # of the name that the file itself gets
STANDARD = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")]
PACKAGES = {"site-packages", "dist-packages"}  # folders of what others wrote


class Bare(nn.Module):
    """A function of pictures in a network's place: nothing inside it can be seen or moved."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.function(image_BCHW)


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's and the files it comes from, by names that are the same on every
    machine."""

    function: Callable[..., object]
    files: Mapping[str, Path]

    @property
    def digests(self) -> str:
        """A line a file: any change of the user's code changes it."""
        return "\n".join(
            f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}"
            for name, file in sorted(self.files.items())
        )


@dataclass(frozen=True)
class Before:
    """What there was before a user's file was loaded."""

    file: Path  # that is loaded
    modules: frozenset[str]
    path: tuple[str, ...]

    def loaded(self) -> dict[str, Path | None]:
        """The modules that are new and the user's, and where they lie: those of our names, and
        those below the folder or below what the user's code put on the path."""
        added = {Path(entry).resolve() for entry in sys.path if entry not in self.path}
        new = [name for name in sys.modules if name not in self.modules]
        places = {name: _place_of(name) for name in new if not name.startswith(PREFIX)}
        roots = {self.file.resolve().parent, *added}
        return {
            name: place
            for name, place in places.items()
            if _is_ours(name) or _is_users(roots, place or places.get(_top(name)))
        }

    def files(self) -> dict[str, Path]:
        """The file itself, and those of the modules that are files."""
        loaded = {self.file.name: self.file, **self.loaded()}
        return {name: file for name, file in loaded.items() if file is not None and file.is_file()}


def split_address(address: str) -> tuple[Path, str]:
    """`path/to/file.py:function` as a path and a name."""
    file, _, name = address.rpartition(":")
    return Path(file), name


def build_from_file(address: str) -> tuple[nn.Module, str]:
    """Call the user's function, without arguments: the network that it builds, and the digests of
    the code that did it."""
    with _user_function(address, "model") as (factory, before):
        try:
            network = factory()
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{address} raised {describe_error(error)}: run it by itself"
            ) from error
        digests = UserFunction(factory, before.files()).digests
    if not callable(network) or isinstance(network, type):
        raise UserError(
            f"{address} gives a {type(network).__name__}: return the torch.nn.Module, or a "
            "function of pictures (batch, 3, rows, columns) that gives logits (batch, classes)"
        )
    if not isinstance(network, nn.Module):
        network = Bare(network)
    return network, digests


def load_function(address: str, role: str) -> UserFunction:
    """The user's function, not called; its `role` is named where there is none."""
    with _user_function(address, role) as (function, before):
        return UserFunction(function, before.files())


@contextmanager
def _user_function(address: str, role: str) -> Iterator[tuple[Callable[..., object], Before]]:
    """The function, and what there was before; inside, more of the user's code may load."""
    path, name = split_address(address)
    if not path.is_file():
        raise UserError(f"{role} file {path} not found: give path/to/file.py:function")
    with _as_its_author(path) as before:
        module = _load(path, role)
        function = getattr(module, name, None)
        if not callable(function):
            known = [key for key, value in vars(module).items() if callable(value)]
            raise UserError(
                f"{path} has no function {name!r}{suggest(name, known)}: "
                "give path/to/file.py:function"
            )
        yield function, before


def _load(path: Path, role: str) -> object:
    spec = importlib.util.spec_from_file_location(PREFIX + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles in the file look themselves up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script without its `if __name__` guard exits
        raise UserError(
            f"{role} file {path} does not load: {describe_error(error)}: run it by itself"
        ) from error
    return module


@contextmanager
def _as_its_author(file: Path) -> Iterator[Before]:
    """The file's folder first on the path, our four packages out of sight; undone afterwards."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    before = Before(file, frozenset(sys.modules), tuple(sys.path))
    sys.path.insert(0, str(file.resolve().parent))
    importlib.invalidate_caches()
    try:
        yield before
    finally:
        theirs = before.loaded()
        sys.path[:] = before.path
        for name in theirs:
            del sys.modules[name]  # its objects live on, its name must not hide ours or the next's
        sys.modules.update(hidden)


def _place_of(name: str) -> Path | None:
    """A module's file, a package's folder where it has none; None for what code made up."""
    module = sys.modules[name]
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return Path(place).resolve() if isinstance(place, str) and Path(place).is_absolute() else None


def _is_users(roots: set[Path], place: Path | None) -> bool:
    """Does it lie below one of the folders, and is nothing that was installed there?"""
    return (
        place is not None
        and any(place.is_relative_to(root) for root in roots)
        and not any(place.is_relative_to(folder) for folder in STANDARD)
        and not PACKAGES & set(place.parts)
    )


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_ours(name: str) -> bool:
    return _top(name) in OURS
