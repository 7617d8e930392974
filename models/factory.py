"""Networks that the user's own code builds: `path/to/file.py:function`.

The file is loaded as its author runs it: its own folder comes first, and our packages, whose plain
names a user's project may have too, are hidden while it loads and builds.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from models.mistakes import Mistake, nearest, told

OURS = ("flows", "tasks", "models", "reports")
PREFIX = "_user_"  # of the name that the file itself gets


class FactoryMistake(Mistake):
    """A factory that cannot be loaded or does not build a network."""


def split_address(address: str) -> tuple[Path, str]:
    """`path/to/file.py:function` as a path and a name."""
    file, _, name = address.rpartition(":")
    return Path(file), name


def build_from_file(address: str) -> nn.Module:
    """Run the user's function, without arguments, and return the network that it builds."""
    path, name = split_address(address)
    if not path.is_file():
        raise FactoryMistake(f"model file {path} not found: give path/to/file.py:function")
    with _as_its_author(path.resolve().parent):
        module = _load(path)
        factory = getattr(module, name, None)
        if not callable(factory):
            known = [key for key, value in vars(module).items() if callable(value)]
            raise FactoryMistake(
                f"{path} has no function {name!r}{nearest(name, known)}: "
                "give path/to/file.py:function"
            )
        try:
            network = factory()
        except (Exception, SystemExit) as error:
            raise FactoryMistake(f"{address} raised {told(error)}: run it by itself") from error
    if not isinstance(network, nn.Module):
        raise FactoryMistake(
            f"{address} gives a {type(network).__name__}: return the torch.nn.Module"
        )
    return network


def _load(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(PREFIX + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles in the file look themselves up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script without its `if __name__` guard exits
        raise FactoryMistake(
            f"model file {path} does not load: {told(error)}: run it by itself"
        ) from error
    return module


@contextmanager
def _as_its_author(folder: Path) -> Iterator[None]:
    """The user's folder first on the path, our four packages out of sight; undone afterwards."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in _loaded_from(folder, before):
            del sys.modules[name]  # its objects live on, its name must not hide ours or the next's
        sys.modules.update(hidden)


def _loaded_from(folder: Path, before: set[str]) -> list[str]:
    """The modules that are new and the user's: our names, and those that lie in the folder."""
    new = [name for name in sys.modules if name not in before and not name.startswith(PREFIX)]
    users = {name for name in new if _is_ours(name) or _lies_in(folder, sys.modules[name])}
    return [name for name in new if name in users or name.partition(".")[0] in users]


def _lies_in(folder: Path, module: ModuleType) -> bool:
    places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None) or ""]
    return any(Path(place).parent == folder for place in places)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS
