"""Files of settings that refer to themselves or hold impossible numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli.options_from_settings import settings_from_options
from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose, option_name, read_config
from models.errors import UserError
from tasks.gate.policy import read_policy

ITSELF = "data: &a [*a]"


def read_preprocessing(path: Path) -> Any:
    options: dict[str, Any] = dict.fromkeys(
        option_name(f"{section}.{key}")
        for section, field in AuditSettings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    )
    given = settings_from_options(AuditSettings, options | {"preprocessing": str(path)})
    needed = {"data.path": "p", "model.address": "m", "output.run": "r"}
    return compose(AuditSettings, None, needed | given)


def policy_of(line: str) -> str:
    return f'[[rule]]\nfigure = "accuracy"\n{line}\n'


@pytest.mark.parametrize(
    ("read", "name", "text"),
    [
        (read_config, "deep.yaml", "[" * 20_000),
        (read_config, "itself.yaml", ITSELF),
        (read_config, "numbers.yaml", "a: 1" + "0" * 5000),
        (read_policy, "p.toml", policy_of("at_least = nan")),
        (read_policy, "p.toml", policy_of("at_least = inf")),
        (read_policy, "p.toml", policy_of("at_least = -1e999")),
        (read_policy, "p.toml", policy_of("at_least = 1e300")),
        (read_policy, "p.toml", policy_of("at_least = 1" + "0" * 400)),
        (read_policy, "p.toml", policy_of("at_least = 0.5\nimages = -1")),
        (read_policy, "p.toml", policy_of("at_least = 0.5\nimages = 1" + "0" * 40)),
        (read_policy, "p.toml", policy_of("at_least = 0.5\nimages = nan")),
        (read_policy, "p.toml", policy_of("change_at_least = nan")),
        (read_preprocessing, "p.json", '{"crop": [16, 16], "mean": [NaN, 0, 0]}'),
        (read_preprocessing, "p.json", '{"crop": [16, 16], "std": [Infinity, 1, 1]}'),
        (read_preprocessing, "p.json", '{"crop": [1e400, 16]}'),
        (read_preprocessing, "p.json", '{"crop": [16, 16.5]}'),
        (read_preprocessing, "p.json", '{"crop": [-16, 16]}'),
        (read_preprocessing, "p.json", '{"crop": [1000000000, 1000000000]}'),
    ],
)
def test_one_line_says_what_is_wrong(
    read: Callable[[Any], object], name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    argument = str(tmp_path / name) if read is read_policy else tmp_path / name
    with pytest.raises(UserError) as caught:
        read(argument)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
