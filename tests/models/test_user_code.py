"""A user's own project: loaded as its author runs it, and not importable afterwards."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
import torch
from torch import nn

import models
import models.methods.cam
from models.errors import UserError
from models.user_code import build_from_file, split_address

NET = """
    from torch import nn
    from models.parts import head          # the user's own `models`
    from tasks import CLASSES              # the user's own `tasks`
    from helper import WIDTH               # a file beside this one
    import lib.deep                        # a folder without __init__.py

    class Net(nn.Sequential):
        pass

    def build():
        return Net(nn.Conv2d(3, WIDTH, 3), nn.AdaptiveAvgPool2d(lib.deep.ONE), head(WIDTH, CLASSES))
"""
PARTS = """
    from torch import nn

    def head(width, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(width, classes))
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))
    return folder


def project(folder: Path, width: int, classes: int) -> str:
    """Write a user's project with packages named like ours; the address of its factory."""
    write(
        folder,
        {
            "net.py": NET,
            "models/__init__.py": "",
            "models/parts.py": PARTS,
            "tasks/__init__.py": f"CLASSES = {classes}",
            "helper.py": f"WIDTH = {width}",
            "lib/deep.py": "ONE = 1",
        },
    )
    return f"{folder / 'net.py'}:build"


def import_state() -> tuple[list[str], dict[str, ModuleType]]:
    """The path and all modules except the user's file itself, which pickles may need."""
    visible = {key: module for key, module in sys.modules.items() if not key.startswith("_user_")}
    return list(sys.path), visible


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in network.parameters() if weight.ndim > 1]


def test_a_project_with_its_own_models_and_tasks_is_built(tmp_path: Path) -> None:
    network, _ = build_from_file(project(tmp_path, width=5, classes=7))
    assert shapes(network) == [(5, 3, 3, 3), (7, 5)]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 7)  # its modules still work


def test_our_modules_and_the_path_are_as_they_were(tmp_path: Path) -> None:
    before = import_state()
    build_from_file(project(tmp_path, width=5, classes=7))
    assert import_state() == before
    assert sys.modules["models"] is models
    assert sys.modules["models.methods.cam"] is models.methods.cam


def test_two_projects_do_not_see_each_other(tmp_path: Path) -> None:
    first, _ = build_from_file(project(tmp_path / "first", width=5, classes=7))
    second, _ = build_from_file(project(tmp_path / "second", width=6, classes=2))
    assert shapes(first) == [(5, 3, 3, 3), (7, 5)]
    assert shapes(second) == [(6, 3, 3, 3), (2, 6)]


def test_a_relative_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, width=5, classes=7)
    monkeypatch.chdir(tmp_path.parent)
    network, _ = build_from_file(f"{tmp_path.name}/net.py:build")
    assert shapes(network)[0] == (5, 3, 3, 3)


def test_the_users_own_changes_of_the_path_are_undone(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/far.py": "WIDTH = 4",
            "net.py": """
                import sys
                from pathlib import Path
                sys.path.insert(0, str(Path(__file__).parent / "src"))
                from far import WIDTH
                from torch import nn
                build = lambda: nn.Linear(WIDTH, 2)
            """,
        },
    )
    before = import_state()
    network, sources = build_from_file(f"{tmp_path / 'net.py'}:build")
    assert shapes(network) == [(2, 4)]
    assert names(sources) == ["far", "net.py"]
    assert import_state() == before


def names(sources: str) -> list[str]:
    return [line.partition(" ")[0] for line in sources.splitlines()]


def test_the_digests_cover_every_file_of_the_users(tmp_path: Path) -> None:
    _, sources = build_from_file(project(tmp_path, width=5, classes=7))
    assert names(sources) == ["helper", "lib.deep", "models", "models.parts", "net.py", "tasks"]


def test_the_same_code_elsewhere_has_the_same_digests(tmp_path: Path) -> None:
    _, first = build_from_file(project(tmp_path / "first", width=5, classes=7))
    _, elsewhere = build_from_file(project(tmp_path / "second", width=5, classes=7))
    _, again = build_from_file(f"{tmp_path}/first/net.py:build")
    assert first == elsewhere == again


@pytest.mark.parametrize("changed", ["net.py", "helper.py", "models/parts.py", "lib/deep.py"])
def test_a_change_of_any_file_changes_the_digests(tmp_path: Path, changed: str) -> None:
    address = project(tmp_path, width=5, classes=7)
    _, before = build_from_file(address)
    with (tmp_path / changed).open("a") as file:
        file.write("\n# another thought\n")
    _, after = build_from_file(address)
    assert names(after) == names(before)
    assert len(set(after.splitlines()) - set(before.splitlines())) == 1


def test_folders_that_the_users_code_puts_on_the_path_count(
    tmp_path: Path,
) -> None:
    """As when experiments/net.py uses the project's package; installed packages do not count."""
    write(
        tmp_path,
        {
            "project/__init__.py": "",
            "project/blocks.py": "from .deep import WIDTH",
            "project/deep.py": "WIDTH = 3",
            "venv/site-packages/theirs.py": "",
            "experiments/net.py": """
                import sys, wave
                from pathlib import Path
                root = Path(__file__).parent.parent
                sys.path += [str(root), str(root / "venv" / "site-packages")]
                import theirs
                from project.blocks import WIDTH
                from torch import nn
                build = lambda: nn.Linear(WIDTH, 2)
            """,
        },
    )
    _, sources = build_from_file(f"{tmp_path / 'experiments' / 'net.py'}:build")
    assert names(sources) == ["net.py", "project", "project.blocks", "project.deep"]
    del sys.modules["theirs"]


FAILING = {
    "build(:": "does not load: SyntaxError: ",
    "import no_such_package": "does not load: ModuleNotFoundError: No module named 'no_such_pac",
    "raise SystemExit(2)": "does not load: SystemExit: 2",
    "def other(): pass": "has no function 'build': give path/to/file.py:function",
    "def built(): pass": "has no function 'build' (did you mean 'built'?): give path/to/file.py",
    "build = 3": "has no function 'build': give path/to/file.py:function",
    "def build(): raise ValueError('first\\nsecond')": "raised ValueError: first second",
    "def build(size): return size": "raised TypeError: build() missing 1 required positional",
    "def build(): raise SystemExit": "raised SystemExit: run it by itself",
    "def build(): return 'resnet'": "gives a str: return the torch.nn.Module",
}


@pytest.mark.parametrize(("text", "words"), FAILING.items())
def test_what_fails_is_one_line_and_leaves_no_trace(text: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, {"net.py": text, "models/__init__.py": ""})
    before = import_state()
    with pytest.raises(UserError) as caught:
        build_from_file(f"{tmp_path / 'net.py'}:build")
    assert re.search(rf"{tmp_path}/net\.py(:build)? ", str(caught.value))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert import_state() == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"net\.py not found: give path/to/file\.py:function"):
        build_from_file(f"{tmp_path / 'net.py'}:build")


def test_an_address_is_a_path_and_a_name() -> None:
    assert split_address("a:b/net.py:build") == (Path("a:b/net.py"), "build")


def test_every_load_finds_the_modules_of_a_library_elsewhere_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library imports a module of the model's folder, and stays loaded between two loads."""
    folder, library = tmp_path / "project", tmp_path / "library"
    folder.mkdir()
    library.mkdir()
    (folder / "sizes.py").write_text("WIDTH = 3\n")
    (library / "shared_nets.py").write_text(
        "import torch\nfrom sizes import WIDTH\n\n"
        "def build():\n    return torch.nn.Linear(WIDTH, 2)\n"
    )
    (folder / "model.py").write_text("from shared_nets import build\n")
    monkeypatch.syspath_prepend(library)
    loads = [build_from_file(f"{folder / 'model.py'}:build")[1] for _ in range(2)]
    assert loads[0] == loads[1]
    assert [line.split()[0] for line in loads[0].splitlines()] == [
        "model.py",
        "shared_nets",
        "sizes",
    ]
    assert "shared_nets" not in sys.modules


def test_packages_of_folders_alone_may_be_loaded_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one lies is asked of the package around it, which is hidden during a load, too."""
    inner = tmp_path / "library/outer_nets/inner"
    inner.mkdir(parents=True)
    (inner / "sizes.py").write_text("WIDTH = 3\n")
    (tmp_path / "model.py").write_text(
        "import torch\nfrom outer_nets.inner.sizes import WIDTH\n\n"
        "def build():\n    return torch.nn.Linear(WIDTH, 2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "library")
    loaded = importlib.import_module("outer_nets.inner.sizes")
    try:
        build_from_file(f"{tmp_path / 'model.py'}:build")
        assert sys.modules["outer_nets.inner.sizes"] is loaded
    finally:
        for name in [it for it in sys.modules if it.startswith("outer_nets")]:
            del sys.modules[name]
