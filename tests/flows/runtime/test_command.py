"""A command prepares its run, lets go of what that took, and then runs the flow."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from flows.runtime import command
from flows.settings.command_settings import AuditSettings
from models.classifier.settings import ModelSettings
from tasks.catalog.listing import Listing
from tasks.catalog.settings import DataSettings
from tasks.execution.prepare import CheckedRun
from tasks.runs.settings import OutputSettings


def test_nothing_of_the_data_is_held_while_the_flow_runs(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a million images, the listing and the catalog would be half a gigabyte."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(command, "connect_prefect", lambda *_: None)
    held: list[object] = []

    def call(flow: str, server: None, parameters: dict[str, object]) -> str:
        gc.collect()
        held.extend(it for it in gc.get_objects() if type(it) in (Listing, CheckedRun))
        prepared = command.prepared_run.get()
        assert prepared is not None
        assert prepared.catalog.exists()
        return str(prepared.path)

    monkeypatch.setattr(command, "_call", call)
    settings = AuditSettings(
        data=DataSettings(path=str(benchmark_folder), split="test", limit=8),
        model=ModelSettings(address=str(bundle)),
        output=OutputSettings(run=str(tmp_path / "run")),
    )
    assert command.run_audit("flows.audit:audit", settings) == str(tmp_path / "run")
    assert command.prepared_run.get() is None
    assert held == []
