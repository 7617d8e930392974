"""Users' code that fails, ends the process, prints, or answers as no classifier does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import audit
from tests.hostile.hostile_input import EITHER, HostileInput
from tests.models.test_unusual_models import FILE, FUNCTIONS, LATER, MODULES, REFUSED, WARNED

GROUP = "models"
PREPARED = (
    *("--size", "16", "--mean", "0", "--std", "1", "--classes", "classes.txt"),
    *("--methods", "rise:masks=8", "--flag-method", "rise"),
)
CLASSES = {"classes.txt": "fish\nmushroom\nbird\n"}

hostile = partial(HostileInput, GROUP, quotes_code=True)

CODE = {
    "no Python": "this is not Python",
    "an endless bracket": "x = (",
    "an error": "raise ValueError('two\\nlines')",
    "an exit": "raise SystemExit(0)",
    "an exit of the gate's": "import sys; sys.exit(1)",
    "an interrupt": "raise KeyboardInterrupt",
    "an unknown import": "import nowhere_at_all",
    "another name": "def other(): pass",
    "a value": "build = 7",
    "nothing": "build = None",
    "a class that needs arguments": "class build:\n    def __init__(self, a, b): pass",
    "a function that returns None": "def build(): return None",
    "a function that returns itself": "def build(): return build",
    "a message with an escape": "def build(): raise RuntimeError('\\x1b[2Jred')",
    "a message of many lines": "def build(): raise RuntimeError('line\\n' * 500)",
    "a message of a megabyte": "def build(): raise RuntimeError('x' * 1000000)",
    "an error without words": "def build(): raise AssertionError",
    "an error whose words fail": (
        "class E(Exception):\n    def __str__(self): raise ValueError\ndef build(): raise E"
    ),
    "a generator": "def build(): yield 1",
    "a coroutine": "async def build(): return 1",
    "zero bytes": "x = 1\0",
    "a recursion": "def build(): return build()",
    "a warning": "import warnings; warnings.warn('mine'); build = None",
    "output": "print('{\"accuracy\": 1}')\nbuild = None",
    "a secret": "def build(): raise RuntimeError('https://u:password-7@host/')",
}
NAMES = ("", "a b", "__class__", "build.x", "build()", "os.system", "\x1b[31m", "x" * 5000)


def inputs() -> Iterator[HostileInput]:
    for name, code in CODE.items():
        words = audit(*PREPARED, "--model", "code.py:build")
        files = CLASSES | {"code.py": code}
        yield hostile(f"code, {name}", words, files, never=("password-7", "\x1b"))
        methods = audit("--methods", "grad_cam_pp,code.py:build")
        yield hostile(f"method, {name}", methods, files, never=("password-7", "\x1b"))
    for name in NAMES:
        words = audit(*PREPARED, "--model", f"code.py:{name}")
        files = CLASSES | {"code.py": "def build(): pass"}
        yield hostile(f"name {name[:20]!r}", words, files)
    for name in REFUSED:
        yield hostile(f"model {name}", audit(*PREPARED, "--model", f"{FILE}:{name}"), CLASSES)
    for name in (*FUNCTIONS, *MODULES, *WARNED, *LATER):
        words = audit(*PREPARED, "--model", f"{FILE}:{name}")
        yield hostile(f"model {name}", words, CLASSES, EITHER)
