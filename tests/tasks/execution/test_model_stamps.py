"""What must be unchanged for a finished run to stand."""

from __future__ import annotations

from pathlib import Path

from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.finished_runs import read_model_stamps
from tasks.pictures.settings import ForegroundSettings
from tests.support.onnx_segmenters import red_segmenter


def stamps(folder: Path, source: str) -> dict[str, str]:
    weights = folder / "weights.pt"
    if not weights.exists():
        weights.touch()
    request = AuditRequest(
        DataSettings(path=str(folder)),
        AttributionSettings(),
        foreground=ForegroundSettings(source=source),
    )
    return read_model_stamps(
        request, ModelSettings(address="torchvision:resnet18", weights=str(weights))
    )


def test_a_segmenters_files_are_watched(tmp_path: Path) -> None:
    address = red_segmenter(tmp_path / "red.onnx")
    before = stamps(tmp_path, address)
    assert set(before) == {str(tmp_path / "weights.pt"), str(tmp_path / "red.onnx")}
    assert stamps(tmp_path, address) == before
    (tmp_path / "red.json").write_text("{}")
    assert stamps(tmp_path, address) != before


def test_a_segmenter_of_code_leaves_no_run_finished(tmp_path: Path) -> None:
    assert stamps(tmp_path, "estimate")
    assert stamps(tmp_path, "segment.py:build") == {}
