"""Numbers that no setting can mean: each is refused in one line, before anything is done."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from flows.settings.command_settings import (
    AuditSettings,
    CompareMethodsSettings,
    ReleaseSettings,
    RetrainSettings,
)
from flows.settings.compose import AnySettings, compose, plain_type
from models.errors import UserError
from models.methods.registry import find_method
from models.methods.settings import FAMILIES

NEEDED: dict[type[BaseModel], dict[str, Any]] = {
    kind: {"data.path": "p", "model.address": "mlflow:models:/m/1", "output.run": "r"}
    for kind in (AuditSettings, CompareMethodsSettings, ReleaseSettings, RetrainSettings)
}
NEEDED[ReleaseSettings]["gate.policy"] = "policy.toml"
NO_NUMBER = [math.nan, math.inf, -math.inf, 1e300, -1e300, -1, 10**30, -(10**30), "1e999", "x"]


def number_settings() -> Iterator[tuple[type[BaseModel], str]]:
    for kind in NEEDED:
        for section, field in kind.model_fields.items():
            for key, inner in plain_type(field).model_fields.items():
                if plain_type(inner) in (int, float):
                    yield kind, f"{section}.{key}"


@pytest.mark.parametrize(("kind", "name"), list(number_settings()))
@pytest.mark.parametrize("value", NO_NUMBER)
def test_no_setting_takes_a_number_that_it_cannot_mean(
    kind: type[AnySettings], name: str, value: object
) -> None:
    with pytest.raises(UserError) as caught:
        compose(kind, None, NEEDED[kind] | {name: value})
    line = str(caught.value)
    assert line.startswith(f"setting {name}: ")
    assert "\n" not in line
    assert len(line) < 300


def test_there_are_numbers_to_test() -> None:
    names = {name for _, name in number_settings()}
    assert {"data.seed", "compute.batch_size", "finetune.learning_rate"} <= names


def arguments() -> Iterator[str]:
    for family, settings in FAMILIES.items():
        for name, default in vars(settings()).items():
            if isinstance(default, int | float):
                yield f"{family}:{name}"


@pytest.mark.parametrize("argument", list(arguments()))
@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "-1", "1" + "0" * 30, "9" * 5000, "x", "1e300"]
)
def test_no_argument_of_a_method_takes_one(argument: str, value: str) -> None:
    with pytest.raises(UserError) as caught:
        find_method(f"{argument}={value}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_masks_that_no_memory_holds_are_refused() -> None:
    with pytest.raises(
        UserError, match="1,000,000 masks of 1024x1024 cells do not fit into memory"
    ):
        find_method("rise:masks=1000000:cells=1024")
