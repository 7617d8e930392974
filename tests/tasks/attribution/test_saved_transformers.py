"""An audit's shards with a classifier that transformers saved, as workers load it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.audit_in_process import attribute_in_process
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.runs import open_run
from tasks.synthetic.settings import BenchmarkSettings
from tests.support.saved_transformers import PICTURE, save_model


def test_every_image_is_predicted_and_explained(benchmark_folder: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "swin", "swin")
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(BenchmarkSettings().classes))
    model = ModelSettings(address=f"transformers:{tmp_path / 'swin'}", classes=str(classes))
    data = DataSettings(path=str(benchmark_folder), split="test", sample=12)
    asked = AuditRequest(data, AttributionSettings(methods=("grad_cam_pp", "full_grad")))
    run, _ = attribute_in_process(tmp_path / "run", model, asked)
    table = open_run(run.path).table("grad_cam_pp")
    assert table.num_rows == 12
    assert table["prediction"].null_count == 0
    assert run.read_state().identity.preprocessing.size == (PICTURE, PICTURE)
