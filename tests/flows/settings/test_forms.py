"""A setting has the same form in TOML, YAML, Prefect's parameters and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from flows.audit import audit
from flows.cli.options_from_settings import settings_from_options
from flows.compare_methods import compare_methods
from flows.release import release
from flows.retrain import retrain
from flows.settings.command_settings import AuditSettings, RetrainSettings
from flows.settings.compose import check_settings, compose, option_name
from models.errors import UserError

ROOT = Path(__file__).parent.parent.parent.parent
FLOWS: dict[str, Any] = {
    "audit": audit,
    "release": release,
    "retrain": retrain,
    "compare_methods": compare_methods,
}
TOML = """
[data]
path = "photos"
box_columns = "x, y, w, h"
[model]
address = "m"
preprocessing = {file}
[output]
run = "r"
[attribution]
methods = "grad_cam_pp, layer_cam"
"""


def parameters(file: Path) -> dict[str, Any]:
    return {
        "data": {"path": "photos", "box_columns": "x, y, w, h"},
        "model": {"address": "m", "preprocessing": str(file)},
        "output": {"run": "r"},
        "attribution": {"methods": "grad_cam_pp, layer_cam"},
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pre.json"
    file.write_text(
        '{"resize": 64, "crop": [56, 56], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    )
    return file


def from_toml(file: Path) -> AuditSettings:
    path = file.with_name("audit.toml")
    path.write_text(TOML.replace("{file}", json.dumps(str(file))))
    return compose(AuditSettings, path, {})


def from_yaml(file: Path) -> AuditSettings:
    path = file.with_name("audit.yaml")
    path.write_text(yaml.safe_dump(parameters(file)))
    return compose(AuditSettings, path, {})


def from_prefect(file: Path) -> AuditSettings:
    given = parameters(file)
    validate(given, parameter_schema(audit).model_dump(), raise_on_error=True)
    return check_settings(AuditSettings, given)


def from_options(file: Path) -> AuditSettings:
    given = {
        **{option_name(name): None for name in dotted_names()},
        "data": "photos",
        "box_columns": "x, y, w, h",
        "model": "m",
        "out": "r",
        "preprocessing": str(file),
        "methods": "grad_cam_pp, layer_cam",
    }
    return compose(AuditSettings, None, settings_from_options(AuditSettings, given))


def dotted_names() -> list[str]:
    return [
        f"{section}.{key}"
        for section, field in AuditSettings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize("read", [from_toml, from_yaml, from_prefect, from_options])
def test_names_and_files_are_texts_everywhere(read: Any, file: Path) -> None:
    settings = read(file)
    assert settings.attribution.methods == ("grad_cam_pp", "layer_cam")
    assert settings.data.box_columns == ("x", "y", "w", "h")
    assert settings.model.preprocessing is not None
    assert settings.model.preprocessing.size == (56, 56)
    assert settings == from_toml(file)
    again = settings.model_dump(mode="json")  # as run.json and Prefect keep it
    assert check_settings(AuditSettings, again) == settings


def test_kinds_with_other_defaults_take_texts_as_well() -> None:
    given = {"attribution": {"methods": "grad_cam_pp,vjp"}, "data": {"path": "d"}}
    settings = check_settings(
        RetrainSettings, given | {"model": {"address": "m"}, "output": {"run": "r"}}
    )
    assert settings.attribution.methods == ("grad_cam_pp", "vjp")


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        (
            "model",
            "preprocessing",
            "nowhere.json",
            "'nowhere.json' is neither a file nor a known preprocessing",
        ),
        ("model", "preprocessing", 3, "a section with keys is needed (found 3)"),
        ("model", "preprocessing", {"resize": "x" * 9999}, "(found 'xxxx"),
        ("model", "preprocessing", {"crop": [8]}, "crop.1: it is missing (found [8])"),
        ("attribution", "methods", "grad_cam,gradcam", "unknown method 'gradcam'"),
        ("attribution", "methods", {"a": 1}, "a list is needed (found {'a': 1})"),
        ("attribution", "methods", [1], "setting attribution.methods.0: a text is needed"),
        ("attribution", "methods", "", "unknown method ''"),
        ("data", "box_columns", "x,y", "give four columns that make a box"),
        ("compute", "workers", "many", "setting compute.workers: a whole number is needed"),
        ("compute", "workers", 1.5, "a whole number is needed (found 1.5)"),
        ("compute", "wrokers", 1, "unknown setting compute.wrokers (did you mean 'workers'?)"),
        ("data", "polarity", "white", "allowed are 'foreground' or 'background'"),
        ("flags", "false_alarm", 0.9, "it must be below 0.5 (found 0.9)"),
        ("output", "replace", "perhaps", "true or false is needed"),
    ],
)
@pytest.mark.parametrize("name", FLOWS)
def test_a_wrong_one_is_one_short_line(
    name: str, section: str, key: str, value: Any, words: str
) -> None:
    given: dict[str, Any] = {"data": {"path": "d"}, "model": {"address": "m"}}
    given |= {"output": {"run": "r"}}
    if name == "release":
        given["gate"] = {"policy": "p"}
    if name == "compare_methods" and section == "flags":
        return
    given[section] = {**given.get(section, {}), key: value}
    with pytest.raises(UserError) as caught:
        FLOWS[name].fn(**given)
    line = str(caught.value)
    assert words in line
    assert "\n" not in line
    assert len(line) < 500


@pytest.mark.parametrize("name", FLOWS)
def test_deployments_leave_the_check_to_the_flow(name: str) -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert not any(deployment["enforce_parameter_schema"] for deployment in deployments)
    assert not FLOWS[name].should_validate_parameters


def test_a_preprocessing_that_is_no_json_says_where(file: Path) -> None:
    file.write_text('{"resize": 64,\n "crop": }')
    with pytest.raises(UserError, match=r"pre.json is not JSON at line 2, column 10: give a file"):
        from_toml(file)
