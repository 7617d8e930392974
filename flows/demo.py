"""On generated pictures: a model learns a shortcut, is refused, retrained, and released."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any

from dask.system import CPU_COUNT
from prefect import flow, task

from flows.output_folders import RELEASE
from flows.release import release
from flows.retrain import retrain
from flows.runtime.progress import show_steps
from flows.settings.command_settings import CandidateSettings, GateSettings, RetrainedMethods
from flows.settings.environment import tracking_of
from models.addresses import as_path
from models.classifier.settings import ModelSettings
from models.errors import ReleaseRefused
from tasks.catalog.settings import DataSettings
from tasks.finetune.settings import LearningSettings
from tasks.runs.settings import OutputSettings
from tasks.synthetic.baseline import RETRAINING_RECIPE, register_baseline, train_baseline
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings
from tasks.tracking.settings import RegistrySettings, TrackingSettings

POLICY = Path(__file__).with_name("policy.toml")
CANDIDATE = RegistrySettings(name="demo", alias="candidate")  # in the demo's own MLflow
METHODS = ("grad_cam", "grad_cam_pp", "layer_cam", "input_x_gradient", "full_grad")


@flow(name="demo")
def demo(folder: str) -> str:
    """Generate, train, release: refused. Retrain, release: passed. Returns the folder."""
    root = Path(folder)
    tracking = TrackingSettings(uri=f"sqlite:///{root.absolute() / 'mlflow.db'}")
    data = DataSettings(path=generate(folder), split="test")
    shared: dict[str, Any] = {
        "data": data,
        "attribution": RetrainedMethods(methods=METHODS),
        "tracking": tracking,
    }
    gate = GateSettings(policy=str(root / POLICY.name))
    baseline = train(folder, tracking)
    release_once(baseline, root / "refused", gate, shared)
    retrain(
        model=baseline,
        output=OutputSettings(run=str(root / "retrained"), reuse=str(root / "refused/candidate")),
        learning=LearningSettings(train_split="train", validation_split="validation"),
        finetune=RETRAINING_RECIPE,
        registry=CandidateSettings(name=CANDIDATE.name),
        **shared,
    )
    mended = gate.model_copy(update={"run": str(root / "retrained/after")})
    address = f"mlflow:models:/{CANDIDATE.name}@{CANDIDATE.alias}"
    release_once(ModelSettings(address=address), root / "released", mended, shared)
    return folder


@task
def generate(folder: str) -> str:
    table = write_benchmark(Path(folder) / "benchmark", BenchmarkSettings(), CPU_COUNT)
    policy = Path(folder) / POLICY.name
    if not policy.exists():  # it may have been edited
        copyfile(POLICY, policy)
    return str(table)


@task
def train(folder: str, tracking: TrackingSettings) -> ModelSettings:
    with show_steps("training") as on_step:
        bundle = train_baseline(Path(folder) / "benchmark", Path(folder) / "model", on_step)
    address = register_baseline(bundle, CANDIDATE, tracking_of(tracking))
    return ModelSettings(address=address)


def release_once(
    model: ModelSettings, folder: Path, gate: GateSettings, shared: dict[str, Any]
) -> None:
    """Release, unless the folder holds a verdict already."""
    if not RELEASE.is_written(as_path(folder)):
        with suppress(ReleaseRefused):
            release(model=model, output=OutputSettings(run=str(folder)), gate=gate, **shared)
