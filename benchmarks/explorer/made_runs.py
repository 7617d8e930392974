"""An audit of generated pictures by a network with random weights, made large."""

from __future__ import annotations

from pathlib import Path

from benchmarks.audit_in_process import attribute_in_process, random_model
from benchmarks.explorer.enlarged_run import enlarge_run
from models.classifier.small_resnet import small_preprocessing
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.summary.summarise import summarise
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings

AUDITED = 500  # pictures; all others are copies of their rows


def make_run(folder: Path, images: int) -> Path:
    """At least so many images; the folder keeps their pictures too."""
    settings = BenchmarkSettings(train=0, validation=0, test=AUDITED)
    write_benchmark(folder / "pictures", settings)
    (folder / "classes.txt").write_text("\n".join(settings.classes))
    prepared = small_preprocessing(settings.image_size)
    model = random_model("sightline:small_resnet", folder, prepared)
    model = model.model_copy(update={"classes": str(folder / "classes.txt")})
    data = DataSettings(path=str(folder / "pictures"), split="test")
    asked = AuditRequest(data, AttributionSettings(methods=("grad_cam_pp",), shard_size=250))
    run, cost = attribute_in_process(folder / "audited", model, asked)
    summarise(run, FlagSettings(), cost)
    run.finish(run.report, "<html></html>")
    enlarge_run(open_run(run.path), folder / "run", images)
    return folder / "run"
