"""Policies that are no TOML, name no figure or hold limits that none can keep."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import release
from tests.hostile.hostile_input import Content, HostileInput

GROUP = "policies"

hostile = partial(HostileInput, GROUP)

LINES = (  # of a rule of accuracy
    *("", "at_least = nan", "at_least = inf", "at_most = -inf", "at_least = -1e999"),
    *("at_least = 1e300", "at_least = 2.0", "at_least = -0.5", 'at_least = "0.5"'),
    *("at_least = [0.5]", "at_least = {a = 1}", "at_least = true", "at_least = 2026-01-01"),
    *("at_least = 1" + "0" * 400, "at_least = 0.9\nat_most = 0.1", "at_least = 0.5\nimages = 0"),
    *(
        "at_least = 0.5\nimages = -1",
        "at_least = 0.5\nimages = 1.5",
        "at_least = 0.5\nimages = nan",
    ),
    *("at_least = 0.5\nimages = 1" + "0" * 40, 'at_least = 0.5\nimages = "x"'),
    *("change_at_least = nan", "change_at_least = 5.0", "at_least = 0.5\nchange_at_least = 0.1"),
    *('at_least = 0.5\neach = "image"', "at_least = 0.5\neach = 7", "at_least = 0.5\nnope = 1"),
    *('at_least = 0.5\nmethod = "grad_cam"', 'at_least = 0.5\nmethod = "nope"'),
    *('at_least = 0.5\non_undecided = "nope"', 'at_least = 0.5\non_missing = "nope"'),
    *('at_least = 0.5\nwarn = "yes"', "at_least = 0.5\nwarn = 1", "at_least = 0.5\nat_least = 0.6"),
    *("at_leest = 0.5", "figure = 7\nat_least = 0.5", 'at_least = 0.5\n"" = 1'),
    *('at_least = 0.5\n"\\u001b[31m" = 1', f"at_least = 0.5\n{'k' * 20_000} = 1"),
)
FIGURES = ("", "gap", "nope", "Accuracy", "accuracy ", "\\u001b[31m", "x" * 20_000, "__class__")
TEXTS: dict[str, Content] = {
    "empty": "",
    "blank": "\n\n",
    "a comment": "# nothing",
    "zeros": bytes(100),
    "not UTF-8": b'[[rule]]\nfigure = "\xff"\n',
    "utf-16": '[[rule]]\nfigure = "accuracy"\n'.encode("utf-16"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "open": "[[rule]]\nfigure = ",
    "deep": "a = " + "[" * 20_000,
    "rule is a section": '[rule]\nfigure = "accuracy"\nat_least = 0.5\n',
    "rule is a number": "rule = 7",
    "rule is a list of numbers": "rule = [1, 2]",
    "rule is empty": "rule = []",
    "rules": '[[rules]]\nfigure = "accuracy"\nat_least = 0.5\n',
    "a key beside": 'nope = 1\n[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n',
    "YAML": "rule:\n  - figure: accuracy\n    at_least: 0.5\n",
    "JSON": '{"rule": [{"figure": "accuracy"}]}',
    "a configuration": "[data]\npath = 'data'\n",
    "classes": "fish\nmushroom\n",
    "no figure": "[[rule]]\nat_least = 0.5\n",
    "lift without a method": '[[rule]]\nfigure = "lift"\nat_least = 1.0\n',
    "lift of no method": '[[rule]]\nfigure = "lift"\nmethod = "nope"\nat_least = 1.0\n',
    "lift of a long method": (
        f'[[rule]]\nfigure = "lift"\nmethod = "{"m" * 20_000}"\nat_least = 1.0\n'
    ),
    "method with arguments": (
        '[[rule]]\nfigure = "lift"\nmethod = "rise:masks=nan"\nat_least = 1.0\n'
    ),
    "a number of 5,000 digits": '[[rule]]\nfigure = "accuracy"\nat_least = 1' + "0" * 5000,
}


def inputs() -> Iterator[HostileInput]:
    texts = dict(TEXTS)
    for line in LINES:
        texts[f"rule: {line[:60]!r}"] = f'[[rule]]\nfigure = "accuracy"\n{line}\n'
    for figure in FIGURES:
        texts[f"figure {figure[:60]!r}"] = f'[[rule]]\nfigure = "{figure}"\nat_least = 0.5\n'
    for name, text in texts.items():
        yield hostile(name, ("policy", "check", "policy.toml"), {"policy.toml": text})
        yield hostile(f"release, {name}", release(), {"policy.toml": text})
    for name in ("nowhere.toml", "data", "model/model.json", "", "."):
        yield hostile(f"policy check {name!r}", ("policy", "check", name))
