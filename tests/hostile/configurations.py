"""Files of settings that are no TOML or YAML, or say what no setting means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from tests.hostile.hostile_input import EITHER, Content, HostileInput

GROUP = "configurations"
GOOD = {
    "data": {"path": "data", "split": "test"},
    "model": {"address": "model"},
    "output": {"run": "out"},
}

hostile = partial(HostileInput, GROUP)

TEXTS: dict[str, Content] = {
    "empty.toml": "",
    "empty.yaml": "",
    "null.yaml": "null",
    "a word.yaml": "word",
    "a list.yaml": "- a\n- b\n",
    "a number.yaml": "17",
    "open bracket.toml": "[data",
    "open string.toml": '[data]\npath = "data',
    "a key twice.toml": '[data]\npath = "a"\npath = "b"\n',
    "a section twice.toml": "[data]\npath = 'a'\n[data]\nsplit = 'b'\n",
    "YAML as TOML.toml": "data:\n  path: data\n",
    "TOML as YAML.yaml": "[data]\npath = 'data'\n",
    "tabs.yaml": "data:\n\tpath: data\n",
    "deep.yaml": "[" * 20_000,
    "deep.toml": "a = " + "[" * 20_000,
    "deep closed.toml": "a = " + "[" * 5000 + "]" * 5000,
    "itself.yaml": "data: &a [*a]",
    "itself inside.yaml": "data: &a\n  path: *a\n",
    "laughs.yaml": "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}' if n else 'ha'] * 9)}]\n" for n in range(9)
    ),
    "object.yaml": "!!python/object/apply:os.system ['true']\n",
    "module.yaml": "data: !!python/module:os\n",
    "name.yaml": "data: !!python/name:os.system\n",
    "tag.yaml": "data: !nope x\n",
    "two documents.yaml": "data: {path: a}\n---\nmodel: {address: b}\n",
    "unknown anchor.yaml": "data: *nope\n",
    "zero bytes.toml": b"[data]\npath = 'a\0b'\n",
    "zero bytes.yaml": b"data:\n  path: a\0b\n",
    "zero byte in quotes.yaml": 'data:\n  path: "a\\0b"\n',
    "only zeros.toml": bytes(300),
    "utf-16.toml": "[data]\npath = 'data'\n".encode("utf-16"),
    "latin.toml": "[data]\npath = 'é'\n".encode("latin-1"),
    "latin.yaml": "data:\n  path: é\n".encode("latin-1"),
    "surrogate.yaml": 'data:\n  path: "\\ud800"\n',
    "control.toml": '[data]\npath = "\\u001b[31mred"\n',
    "line end.toml": '[data]\npath = "two\\nlines"\n',
    "picture.toml": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "archive.yaml": b"PK\x03\x04" + bytes(200),
    "classes.toml": "fish\nmushroom\n",
    "classes.yaml": "fish\nmushroom\n",
    "policy.toml": '[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n',
    "huge number.yaml": "data:\n  sample: 1" + "0" * 5000 + "\n",
    "huge number.toml": "[data]\nsample = 1" + "0" * 5000 + "\n",
    "unknown section.toml": "[dta]\npath = 'data'\n",
    "section is text.toml": "data = 'data'\n",
    "section is a list.toml": "data = ['data']\n",
    "section is null.yaml": "data:\nmodel:\noutput:\n",
    "key is a number.yaml": "1: 2\n",
    "key is null.yaml": "null: 2\n",
    "key is a list.yaml": "? [a, b]\n: 2\n",
    "key inside is a number.yaml": "data:\n  1: 2\n",
    "key with control.yaml": '"\\e[31m": 1\n',
    "long key.toml": f"{'k' * 10_000} = 1\n",
    "long value.toml": f"[data]\npath = '{'v' * 100_000}'\n",
    "dates.toml": "[data]\npath = 2026-01-01\n",
    "merge of nothing.yaml": "data:\n  <<: 7\n",
    "binary.yaml": "data: !!binary nope\n",
}
VALUES: dict[str, tuple[object, ...]] = {  # that a key cannot have
    "data.path": (7, None, True, [], ["a"], {}, {"a": 1}, ""),
    "data.sample": (0, -1, 1.5, "x", [], {}, 1e300, 10**30),
    "data.seed": (-1, "x", 1e20, [0]),
    "data.box_columns": (7, {}, ["a", "b"], [1, 2, 3, 4], "a,b"),
    "data.labels": (7, [], {"fish": "mushroom"}),
    "data.allow_addresses": (7, ["x"], "s3://b/p", {"a": "b"}),
    "data.nope": (1, "x"),
    "model.address": (7, [], {}, "", "nope:x"),
    "model.preprocessing": (7, [], "nope.json", {"crop": 7}, {"x": 1}),
    "model.size": (0, "x", [1, 2, 3], {}, 1e9, [64, -1]),
    "model.mean": ("x", [1, 2], {}, "nan", [[1], [2], [3]]),
    "model.allow_pickle": ("perhaps", 7, [], {}),
    "output.run": (7, [], {}, ""),
    "output.replace": ("perhaps", 2, []),
    "attribution.methods": (7, [], {}, [7], "", [""], ["nope"], [[]]),
    "attribution.shard_size": (0, -1, "x", 1.5, 10**20),
    "interventions.choice": ("nope", 7, []),
    "foreground.confidence": (-1, 2, "x", []),
    "compute.workers": (-1, 1.5, "x", 10**9),
    "compute.batch_size": (0, -1, "x", 10**12),
    "flags.false_alarm": (-1, 2, "x"),
    "tracking.uri": (7, [], "http://u:password-7@h"),
    "tracking.experiment": (7, []),
}


def inputs() -> Iterator[HostileInput]:
    for name, content in TEXTS.items():
        yield hostile(name, ("audit", "--config", name), {name: content})
    for name, values in VALUES.items():
        section, _, key = name.partition(".")
        for value in values:
            text = json.dumps(GOOD | {section: {**GOOD.get(section, {}), key: value}})
            words, never = ("audit", "--config", "a.yaml"), ("password-7",)
            title = f"{name} = {json.dumps(value)[:60]}"
            yield hostile(title, words, {"a.yaml": text}, never=never)
    for number in ("nan", "inf", "-inf"):
        settings_text = (
            "[data]\npath = 'data'\n[model]\naddress = 'model'\n[output]\nrun = 'out'\n"
            f"[flags]\nfalse_alarm = {number}\n"
        )
        yield hostile(
            f"false_alarm = {number}", ("audit", "--config", "a.toml"), {"a.toml": settings_text}
        )
    bom = b"\xef\xbb\xbf" + b"[data]\npath = 'data'\n"
    yield hostile("bom.toml", ("audit", "--config", "a.toml"), {"a.toml": bom})
    retraining = json.dumps(GOOD | {"finetune": {"nope": 1}})
    yield hostile(
        "retrain with an unknown key", ("retrain", "--config", "a.yaml"), {"a.yaml": retraining}
    )
    yield hostile(
        "audit with a section of retrain",
        ("audit", "--config", "a.yaml"),
        {"a.yaml": json.dumps(GOOD | {"finetune": {"epochs": 1}})},
    )
    yield hostile(
        "a good one", ("audit", "--config", "a.yaml"), {"a.yaml": json.dumps(GOOD)}, EITHER
    )
