"""The corpus: every hostile or broken input, and a sample of it."""

from __future__ import annotations

import random
from collections import defaultdict

from tests.hostile import (
    addresses,
    configurations,
    folders,
    label_files,
    models,
    names,
    options,
    pictures,
    policies,
    runs,
    scenarios,
    tables,
    weights,
)
from tests.hostile.hostile_input import HostileInput

MODULES = (
    *(addresses, options, configurations, tables, pictures, weights, policies, runs, names),
    *(folders, label_files, models, scenarios),
)
SAMPLE = 150
SEED = 8


def all_inputs() -> list[HostileInput]:
    return [tried for module in MODULES for tried in module.inputs()]


def sample(inputs: list[HostileInput]) -> list[HostileInput]:
    """As many of each group, always the same ones."""
    chance = random.Random(SEED)
    groups = defaultdict(list)
    for tried in inputs:
        groups[tried.group].append(tried)
    share, rest = divmod(SAMPLE, len(groups))
    return [
        tried
        for number, group in enumerate(groups.values())
        for tried in chance.sample(group, share + (number < rest))
    ]
