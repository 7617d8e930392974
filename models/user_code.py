"""Functions in the user's own code, by `path/to/file.py:function`; and the networks they build.

The file is loaded as its author runs it: its own folder comes first on the path, and our packages,
whose names a user's project may use too, are hidden while it loads and builds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from models.errors import UserError, suggest
from models.function_network import PACKAGES, FunctionNetwork, allow_modes
from models.time_limit import limit_time
from models.user_calls import guard_forward, user_call

OURS = ("flows", "tasks", "models", "reports")
OUR_FOLDER = Path(__file__).resolve().parents[1]
PREFIX = "_user_"  # of the module name that the file itself gets
STANDARD_TEXTS = tuple(sysconfig.get_path(key) for key in ("stdlib", "platstdlib"))
STANDARD = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")]


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's and the files that it comes from, by names that do not depend on the
    machine."""

    function: Callable[..., object]
    files: Mapping[str, Path]

    @property
    def digests(self) -> str:
        """One line per file: any change of the user's code changes it."""
        return "\n".join(
            f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}"
            for name, file in sorted(self.files.items())
        )


@dataclass(frozen=True)
class ImportState:
    """Python's modules and path before a user's file was loaded."""

    file: Path  # the user's
    modules: frozenset[str]
    path: tuple[str, ...]

    def user_modules(self) -> dict[str, Path | None]:
        """The user's modules among the new ones, with their paths: those that have our names, and
        those below one of the user's folders, also one that the user's code put on the path."""
        new = [name for name in sys.modules if name not in self.modules]
        paths = {name: _path_of(name) for name in new if not name.startswith(PREFIX)}
        roots = _users_folders(self.file)
        return {
            name: path
            for name, path in paths.items()
            if _has_our_name(name) or _is_users(roots, path or paths.get(_top(name)))
        }

    def user_files(self) -> dict[str, Path]:
        """The file itself, and the files of the user's modules."""
        paths = {self.file.name: self.file, **self.user_modules()}
        return {name: path for name, path in paths.items() if path is not None and path.is_file()}


def split_address(address: str) -> tuple[Path, str]:
    """`path/to/file.py:function` as a path and a name."""
    file, _, name = address.rpartition(":")
    return Path(file), name


def build_from_file(address: str, role: str = "model") -> tuple[nn.Module, str]:
    """Call the user's function without arguments: the network that it builds, and the digests of
    its code; error messages name its `role`."""
    with _user_function(address, role) as (factory, before):
        with user_call(f"{address} raised"):
            built = factory()
        digests = UserFunction(factory, before.user_files()).digests
    if not callable(built) or isinstance(built, type):
        raise UserError(
            f"{address} gives a {type(built).__name__}: return the torch.nn.Module, or a "
            "function of pictures (batch, 3, rows, columns) that gives logits (batch, classes)"
        )
    with user_call(f"{address} raised"):
        network = built if isinstance(built, nn.Module) else FunctionNetwork(built)
        allow_modes(network)
    guard_forward(network, f"{role} {address}")
    return network, digests


def load_function(address: str, role: str) -> UserFunction:
    """The user's function, not called; error messages name its `role`."""
    with _user_function(address, role) as (function, before):
        return UserFunction(function, before.user_files())


@contextmanager
def _user_function(address: str, role: str) -> Iterator[tuple[Callable[..., object], ImportState]]:
    """The function, and the state before it was loaded; more may load inside the block."""
    path, name = split_address(address)
    if not path.is_file():
        raise UserError(f"{role} file {path} not found: give path/to/file.py:function")
    with _user_imports(path) as before:
        with limit_time(f"loading {role} file {path}"):
            module = _load(path, role)
        function = getattr(module, name, None)
        if not callable(function):
            functions = [key for key, value in vars(module).items() if callable(value)]
            raise UserError(
                f"{path} has no function {name!r}{suggest(name, functions)}: "
                "give path/to/file.py:function"
            )
        yield function, before


def _load(path: Path, role: str) -> object:
    spec = importlib.util.spec_from_file_location(PREFIX + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles in the file look themselves up
    with user_call(f"{role} file {path} does not load:"):  # scripts without a guard exit
        spec.loader.exec_module(module)
    return module


@contextmanager
def _user_imports(file: Path) -> Iterator[ImportState]:
    """Put the file's folder first on the path, and hide our four packages and what is loaded of the
    user's modules, so that every load finds the same ones new; undone afterwards."""
    roots = _users_folders(file)
    names = [  # all, before one goes: a package without a file asks its parent where it lies
        name
        for name in list(sys.modules)
        if name != "__main__" and (_has_our_name(name) or _is_loaded_from(roots, name))
    ]
    hidden = {name: sys.modules.pop(name) for name in names}
    before = ImportState(file, frozenset(sys.modules), tuple(sys.path))
    sys.path.insert(0, str(file.resolve().parent))
    importlib.invalidate_caches()
    try:
        yield before
    finally:
        user_modules = before.user_modules()
        sys.path[:] = before.path
        for name in user_modules:
            del sys.modules[name]  # its objects live on; its name must not hide another module's
        sys.modules.update(hidden)


def _users_folders(file: Path) -> set[Path]:
    """The file's, and those on Python's path where nothing is installed."""
    folders = {Path(entry).resolve() for entry in sys.path if entry} - {OUR_FOLDER}
    return {file.resolve().parent, *(it for it in folders if not _is_installed(it))}


def _path_of(name: str) -> Path | None:
    """A module's file, or a package's folder if it has none; None for one made by code."""
    module = sys.modules[name]
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return _resolved(path) if isinstance(path, str) and Path(path).is_absolute() else None


@lru_cache(maxsize=8192)  # asked of every loaded module at every load
def _resolved(path: str) -> Path:
    return Path(path).resolve()


def _is_users(roots: set[Path], path: Path | None) -> bool:
    """Is it below one of the folders, and not installed there?"""
    return (
        path is not None
        and not _is_installed(path)
        and any(path.is_relative_to(root) for root in roots)
    )


def _is_loaded_from(roots: set[Path], name: str) -> bool:
    """Of thousands of loaded modules, nearly all are known to be installed by their text alone."""
    file = getattr(sys.modules[name], "__file__", None)
    text = file if isinstance(file, str) else ""
    if text.startswith(STANDARD_TEXTS) or any(f"/{folder}/" in text for folder in PACKAGES):
        return False
    return _is_users(roots, _path_of(name))


def _is_installed(path: Path) -> bool:
    standard = any(path.is_relative_to(folder) for folder in STANDARD)
    return standard or bool(PACKAGES & set(path.parts))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _has_our_name(name: str) -> bool:
    return _top(name) in OURS
