"""The settings of a release, by default those of the finished audit that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.settings.command_settings import AuditSettings, ReleaseSettings
from flows.settings.compose import compose, read_config


def compose_release(config: Path | None, overrides: Mapping[str, Any]) -> ReleaseSettings:
    """Compose the settings from a file and options, with those of a finished audit as defaults."""
    run = _find("gate.run", config, overrides)
    if run is None:
        return compose(ReleaseSettings, config, overrides)
    defaults = _audit_settings(run)
    if not _find("output.series", config, overrides):
        defaults["output.run"] = run
    return compose(ReleaseSettings, config, overrides, defaults)


def _find(name: str, config: Path | None, overrides: Mapping[str, Any]) -> Any:
    section, _, key = name.partition(".")
    values = None if config is None else read_config(config).get(section)
    return overrides.get(name) or (values.get(key) if isinstance(values, dict) else None)


def _audit_settings(run: str) -> dict[str, Any]:
    from tasks.runs import open_run

    settings = open_run(run).state.settings
    return {
        f"{section}.{key}": value
        for section in AuditSettings.model_fields.keys() - {"output"}
        for key, value in settings.get(section, {}).items()
    }
