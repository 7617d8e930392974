"""Files of classes, labels and mask values that hold something else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import audit
from tests.hostile.hostile_input import EITHER, Content, HostileInput

GROUP = "files of labels"

hostile = partial(HostileInput, GROUP)

CONTENTS: dict[str, Content] = {
    "empty": "",
    "blank lines": "\n\n \n",
    "one name": "fish",
    "two names": "fish\nmushroom\n",
    "names twice": "fish\nfish\nfish\nfish\n",
    "names of another model": "a\nb\nc\nd\n",
    "5,000 names": "".join(f"class {n}\n" for n in range(5000)),
    "a name of a megabyte": "n" * (1 << 20),
    "zeros": bytes(500),
    "not UTF-8": b"fish\n\xff\xfe\xfa\n",
    "utf-16": "fish\nmushroom\n".encode("utf-16"),
    "escapes": "\x1b[31mfish\n\x1b[2J\n\x07\nd\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "an open quote": '"fish\nmushroom\n',
    "a huge field": '"' + "f" * (1 << 18) + '",fish\n',
    "labels to classes": "0,fish\n1,nowhere\n",
    "labels in JSON": '{"0": "fish", "1": "nowhere"}',
    "labels of numbers": '{"0": 7, "1": 99}',
    "labels of lists": '{"0": ["fish"], "1": []}',
    "labels of null": '{"0": null}',
    "JSON that is a list": '["fish", "mushroom"]',
    "JSON that is a number": "7",
    "JSON that is open": '{"0": ',
    "JSON that is deep": "[" * 100_000,
    "JSON with a huge number": '{"0": 1' + "0" * 5000 + "}",
    "JSON with an escape": '{"\\u001b[31m": "\\u001b[2J"}',
    "a table": "file_name,label\na.png,fish\n",
    "a bundle": '{"architecture": "sightline:small_resnet", "classes": ["a"]}',
    "a preprocessing": '{"crop": [64, 64], "mean": [0, 0, 0], "std": [1, 1, 1]}',
    "COCO": '{"images": [], "annotations": [], "categories": []}',
    "a policy": '[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n',
    "a configuration": "[data]\npath = 'data'\n",
}
OPTIONS = ("--classes", "--labels", "--mask-values")
HARMLESS = (  # for an option that reads it as what it is
    *(("--labels", "empty"), ("--mask-values", "empty")),
)


def inputs() -> Iterator[HostileInput]:
    for name, content in CONTENTS.items():
        for option in OPTIONS:
            for suffix in ("txt", "json", "csv"):
                codes = EITHER if (option, name) in HARMLESS else frozenset({2})
                title = f"{option}, {name} as .{suffix}"
                file = f"f.{suffix}"
                yield hostile(title, audit(option, file), {file: content}, codes)
