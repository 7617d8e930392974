"""The settings of a release, which may be those of an audit that is finished already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.settings.compose import compose, read_config
from flows.settings.sections import AuditSettings, ReleaseSettings


def compose_release(config: Path | None, given: Mapping[str, Any]) -> ReleaseSettings:
    """Of a file and options; a finished audit's own settings are the defaults."""
    run = _find("gate.run", config, given)
    if run is None:
        return compose(ReleaseSettings, config, given)
    defaults = _audit_settings(run)
    if not _find("output.series", config, given):
        defaults["output.run"] = run
    return compose(ReleaseSettings, config, given, defaults)


def _find(name: str, config: Path | None, given: Mapping[str, Any]) -> Any:
    section, _, key = name.partition(".")
    values = None if config is None else read_config(config).get(section)
    return given.get(name) or (values.get(key) if isinstance(values, dict) else None)


def _audit_settings(run: str) -> dict[str, Any]:
    from tasks.runs.reader import open_run

    settings = open_run(run).state.settings
    return {
        f"{section}.{key}": value
        for section in AuditSettings.model_fields.keys() - {"output"}
        for key, value in settings.get(section, {}).items()
    }
