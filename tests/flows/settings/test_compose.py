"""Settings come from a file and options; an unknown key is named with the nearest known one."""

from __future__ import annotations

import traceback
from pathlib import Path
from uuid import uuid4

import pytest

from flows.cli.options_from_settings import settings_from_options
from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose, option_name
from flows.settings.environment import tracking_uri
from flows.settings.plain_commands import LogSettings, PublishSettings
from models.errors import UserError
from tasks.tracking.settings import TrackingSettings

LEAST = {"data.path": "d", "model.address": "m", "output.run": "r"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "audit.toml",
            '[data]\npath = "from file"\nsplit = "test"\n[attribution]\nshard_size = 9\n',
        ),
        ("audit.yaml", "data: {path: from file, split: test}\nattribution: {shard_size: 9}\n"),
    ],
)
def test_options_override_the_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    settings = compose(AuditSettings, tmp_path / name, LEAST)
    assert settings.data.path == "d"
    assert settings.data.split == "test"
    assert settings.attribution.shard_size == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\npaht = 1\n", r"unknown setting data.paht \(did you mean 'path'\?\); known are"),
        ("[dta]\nx = 1\n", r"unknown setting dta \(did you mean 'data'\?\)"),
        (
            "[flags]\nfalse_alarm = 0\n",
            r"setting flags.false_alarm: it must be above 0 \(found 0\)",
        ),
        (
            '[data]\npolarity = "up"\n',
            "setting data.polarity: allowed are 'foreground' or 'background'",
        ),
        ("[data\n", "audit.toml is not TOML at line 1, column 6: correct it there"),
        ('data = "photos"\n', "setting data is 'photos': a section with keys is needed"),
        ("[model.preprocessing]\ncropp = 1\n", r"model.preprocessing.cropp \(did you mean 'crop'"),
    ],
)
def test_a_file_that_does_not_fit_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "audit.toml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        compose(AuditSettings, tmp_path / "audit.toml", LEAST)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "option"),
    [
        ("tracking.uri", "--mlflow"),
        ("data.path", "--data"),
        ("output.run", "--out"),
        ("model.weights", "--weights"),
    ],
)
def test_a_password_is_refused_and_not_shown(key: str, option: str) -> None:
    """Settings are kept in run.json, in MLflow and in Prefect."""
    secret = uuid4().hex  # a traceback has this line, too
    with pytest.raises(UserError) as caught:
        compose(AuditSettings, None, LEAST | {key: f"s3://me:{secret}@there/it"})
    assert str(caught.value) == (
        f"setting {key} ({option}) holds a password, a token or a signature, which would be kept "
        "with the run: give it in the environment (MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI; AWS_... for storage)"
    )
    assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", [LogSettings, PublishSettings])
def test_no_command_takes_a_password(kind: type[LogSettings | PublishSettings]) -> None:
    given = {"tracking.uri": "https://me:s3cret@there"}
    if kind is LogSettings:
        given |= {"model.address": "m", "registry.name": "n"}
    with pytest.raises(UserError, match=r"tracking.uri \(--mlflow\) holds a password") as caught:
        compose(kind, None, given)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audit.toml", 'tracking = "https://me:s3cret@there"\n'),
        ("audit.toml", '[tracking]\nuri = ["https://me:s3cret@there"]\n'),
        ("audit.toml", '[tracking]\nexperiment = 3\nuri = {at = "https://me:s3cret@there"}\n'),
        ("audit.yaml", "tracking: {uri: https://me:s3cret@there: x}\n"),
    ],
)
def test_a_misplaced_password_is_not_shown_either(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        compose(AuditSettings, tmp_path / name, LEAST)
    assert "s3cret" not in str(caught.value)


def test_a_missing_file_or_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        compose(AuditSettings, tmp_path / "nowhere.toml", {})
    with pytest.raises(UserError, match=r"give --model \(or model.address in --config\)"):
        compose(AuditSettings, None, {"data.path": "d", "output.run": "r"})


def test_options_become_settings(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"crop": [8, 8], "mean": [0, 0, 0], "std": [1, 1, 1]}')
    options = dict.fromkeys(
        option_name(f"{section}.{key}")
        for section, field in AuditSettings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ) | {
        "data": "d",
        "model": "m",
        "out": "r",
        "methods": "grad_cam_pp, layer_cam",
        "preprocessing": str(tmp_path / "p.json"),
    }
    settings = compose(AuditSettings, None, settings_from_options(AuditSettings, options))
    assert settings.attribution.methods == ("grad_cam_pp", "layer_cam")
    assert settings.model.preprocessing is not None
    assert settings.model.preprocessing.crop == (8, 8)


def test_no_two_settings_share_an_option() -> None:
    names = [
        option_name(f"{section}.{key}")
        for section, field in AuditSettings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ]
    assert len(names) == len(set(names))


def test_tracking_is_the_users_then_the_environments_then_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri, artifacts = tracking_uri(TrackingSettings())
    assert uri == f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
    assert artifacts == (tmp_path / "home" / "mlflow-artifacts").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(TrackingSettings()) == ("http://127.0.0.1:5000", None)
    theirs = TrackingSettings(uri=f"sqlite:///{tmp_path}/a.db")
    assert tracking_uri(theirs)[1] == (tmp_path / "mlflow-artifacts").as_uri()


def test_a_name_that_is_no_text_is_refused_before_anything_is_written() -> None:
    with pytest.raises(UserError, match=r"setting data.path \(--data\) is not UTF-8: 'a.udcff'"):
        compose(AuditSettings, None, LEAST | {"data.path": "a\udcff"})
