"""A whole retraining for real: it ends the same, wherever it was killed or refused."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from flows.settings.command_settings import RetrainSettings
from flows.settings.compose import compose
from flows.train_and_register import train
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import fetch
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.catalog.settings import DataSettings
from tasks.runs import open_run
from tasks.synthetic.dataset import write_benchmark
from tasks.synthetic.settings import BenchmarkSettings
from tests.support.audits import run_audit
from tests.support.command_line import (
    SIGHTLINE,
    Spoil,
    check_refused,
    invoke,
    mlflow_of,
    put_table,
    set_option,
    with_options,
    without_option,
)
from tests.support.prefect_artifacts import check_artifacts
from tests.support.waiting import PATIENCE

HELD_OUT = ("accuracy", "most_said", "worst_group", "accuracy_exchanged")

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 pictures to learn from and 16 to audit, with masks."""
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    write_benchmark(folder, BenchmarkSettings(train=32, validation=0, test=16))
    return folder


def command(data: Path, bundle: Path, folder: Path) -> list[str]:
    return [
        *("retrain", "--data", str(data), "--split", "test", "--train-split", "train"),
        *("--model", str(bundle), "--out", str(folder / "run"), "--name", "scenes"),
        *("--epochs", "2", "--training-batch-size", "8", "--methods", "grad_cam_pp"),
        *("--workers", "1", "--mlflow", mlflow_of(folder)),
    ]


@pytest.fixture(scope="module")
def options(scenes: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a retraining that ran undisturbed."""
    options = command(scenes, bundle, tmp_path_factory.mktemp("undisturbed"))
    done = invoke(*options, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 16
    return options


@pytest.fixture(scope="module")
def undisturbed(options: list[str]) -> Path:
    return Path(options[options.index("--out") + 1])


def weights_of(run: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = load_file(run / "model/model.safetensors")
    return weights


def check_same_weights(run: Path, other: Path) -> None:
    torch.testing.assert_close(weights_of(run), weights_of(other), rtol=1e-3, atol=1e-5)


def the_training(folder: Path) -> Run:
    """The one MLflow run that trained; the audits have runs of their own."""
    client = MlflowClient(tracking_uri=mlflow_of(folder))
    experiment = client.get_experiment_by_name("sightline").experiment_id
    whose = "tags.`sightline.training_id` LIKE '%'"
    (run,) = client.search_runs([experiment], whose)
    assert run.info.status == "FINISHED"
    assert len(client.search_runs([experiment])) == 3  # and the two audits
    return run


def the_version(folder: Path) -> ModelVersion:
    client = MlflowClient(tracking_uri=mlflow_of(folder))
    (version,) = client.search_model_versions("name = 'scenes'")
    assert client.get_model_version_by_alias("scenes", "candidate").version == version.version
    return version


def test_everything_is_there_at_the_end(undisturbed: Path) -> None:
    files = ("compare.html", "compare.md", "compare.json", "training/checkpoint.pt")
    assert all((undisturbed / name).stat().st_size for name in files)
    epochs = json.loads((undisturbed / "training/history.json").read_text())
    assert [(epoch["number"], epoch["step"]) for epoch in epochs] == [(1, 4), (2, 8)]
    before, after = (open_run(undisturbed / name) for name in ("before", "after"))
    bundle = load_classifier(ModelSettings(address=str(undisturbed / "model")))
    assert before.state.state == after.state.state == "finished"
    assert after.state.identity.model == bundle.digest
    assert before.state.identity.model != bundle.digest
    assert not [path for path in undisturbed.rglob("*") if path.name.startswith(".")]
    assert not (undisturbed / "lock").exists()
    check_artifacts(undisturbed / "compare.html", "| figure | before | after | change |")


def test_the_epoch_that_validation_prefers_is_the_bundle(undisturbed: Path) -> None:
    kept = torch.load(undisturbed / "training/checkpoint.pt", weights_only=True)
    standing = kept["standing"]
    judged = [it["figures"]["validation.accuracy_exchanged"] for it in standing["history"]]
    assert standing["best"] == judged.index(max(judged)) + 1
    torch.testing.assert_close(weights_of(undisturbed), dict(standing["best_weights"]))


def test_mlflow_has_the_training_epoch_by_epoch(undisturbed: Path) -> None:
    run, client = the_training(undisturbed.parent), MlflowClient(mlflow_of(undisturbed.parent))
    names = {"epoch", "train.loss", "train.cross_entropy", "train.background"}
    names |= {f"validation.{name}" for name in HELD_OUT}
    assert names <= run.data.metrics.keys()
    for name in names:
        points = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in points] == [1, 2], name
    pictures = [file.path for file in client.list_artifacts(run.info.run_id, "maps")]
    assert pictures == ["maps/epoch-001.png", "maps/epoch-002.png"]
    drawn = client.download_artifacts(run.info.run_id, pictures[0])
    with Image.open(drawn) as picture:
        assert min(picture.size) >= 64
    assert run.data.params["finetune.objective"] == "sib"
    contexts = [
        {tag.value for tag in given.tags if tag.key == "mlflow.data.context"}
        for given in run.inputs.dataset_inputs
    ]
    assert sorted(map(sorted, contexts)) == [["audit"], ["training"], ["validation"]]


def test_the_version_has_its_evidence_and_loads_by_its_alias(undisturbed: Path) -> None:
    version = the_version(undisturbed.parent)
    paired = json.loads((undisturbed / "compare.json").read_text())
    assert version.tags["sightline.verdict"] == paired["sentence"]
    assert version.tags["sightline.folder"] == str(undisturbed)
    assert " -> " in version.tags["sightline.accuracy"]
    assert version.run_id == the_training(undisturbed.parent).info.run_id
    settings = ModelSettings(address="mlflow:models:/scenes@candidate")
    with fetch(settings, mlflow_of(undisturbed.parent)) as model:
        found = load_classifier(model.settings)
    assert found.digest == open_run(undisturbed / "after").state.identity.model


@pytest.mark.full
def test_the_same_command_again_trains_nothing_and_registers_nothing(
    options: list[str], undisturbed: Path
) -> None:
    kept, version = (
        (undisturbed / "training/checkpoint.pt").stat().st_mtime_ns,
        the_version(undisturbed.parent),
    )
    weights, training = weights_of(undisturbed), the_training(undisturbed.parent)
    for more in ((), ("--replace",)):
        done = invoke(*options, *more)
        assert done.exit_code == 0, done.stderr
        assert (undisturbed / "training/checkpoint.pt").stat().st_mtime_ns == kept
        assert all(weights_of(undisturbed)[name].equal(weights[name]) for name in weights)
        assert the_version(undisturbed.parent).version == version.version
        assert the_training(undisturbed.parent).info.run_id == training.info.run_id


def test_other_settings_are_refused_and_change_nothing(
    options: list[str], undisturbed: Path
) -> None:
    known = (undisturbed / "training/training.json").read_text()
    done = invoke(*options, "--learning-rate", "0.01")
    assert done.exit_code == 2
    line = done.stderr.splitlines()[-1]
    assert "checkpoint.pt is a checkpoint of another training (data, model or settings" in line
    assert line.endswith("give another --out, or --replace to begin again")
    assert (undisturbed / "training/training.json").read_text() == known
    assert the_training(undisturbed.parent)


def test_what_an_alias_named_is_what_is_audited_before(
    scenes: Path, undisturbed: Path, tmp_path: Path
) -> None:
    settings = settings_of(
        scenes,
        tmp_path,
        model__address="mlflow:models:/scenes@candidate",
        tracking__uri=mlflow_of(undisturbed.parent),
        tracking__experiment="alias",
        finetune__steps=1,
    )
    trained = train(settings)
    assert trained.start.address == "mlflow:models:/scenes/1"
    assert settings.registry.of(settings.model, trained.architecture).name == "scenes"


Moment = Callable[[Path, str], bool]  # the folder, and the log so far


def is_reading(run: Path, log: str) -> bool:
    return (run / "training/training.json").is_file()


def is_in_the_first_epoch(run: Path, log: str) -> bool:
    return "training: 28 images" in log


def has_an_epoch(run: Path, log: str) -> bool:
    return (run / "training/checkpoint.pt").is_file()


def is_in_the_second_epoch(run: Path, log: str) -> bool:
    there = has_an_epoch(run, log)
    time.sleep(0.5 if there else 0)
    return there


def is_audited_after(run: Path, log: str) -> bool:
    return (run / "after/catalog.parquet").is_file()


def is_compared(run: Path, log: str) -> bool:
    return (run / "compare.json").is_file()


def start(options: list[str], log: Path) -> psutil.Popen:
    with log.open("w") as file:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as in this process
        return psutil.Popen(
            [SIGHTLINE, *options], stdout=subprocess.DEVNULL, stderr=file, env=environment
        )


def kill_at(moment: Moment, options: list[str], folder: Path) -> list[psutil.Process]:
    """Kill a retraining at this moment; returns the children that it leaves behind."""
    log, end = folder / "log.txt", time.monotonic() + PATIENCE
    process = start(options, log)
    while not moment(folder / "run", log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.01)
    children: list[psutil.Process] = process.children(recursive=True)
    process.kill()
    process.wait()
    kept = folder / "run/training/checkpoint.pt"
    assert not kept.exists() or "standing" in torch.load(kept, weights_only=True)
    return children


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param((is_in_the_second_epoch,), marks=pytest.mark.full, id="once"),
        pytest.param(
            (is_reading, is_in_the_first_epoch, has_an_epoch, is_audited_after, is_compared),
            marks=pytest.mark.full,
            id="again-and-again",
        ),
    ],
)
def test_killed_at_any_moment_it_ends_as_if_undisturbed(
    moments: tuple[Moment, ...], scenes: Path, bundle: Path, undisturbed: Path, tmp_path: Path
) -> None:
    options = command(scenes, bundle, tmp_path)
    children = [child for moment in moments for child in kill_at(moment, options, tmp_path)]
    assert start(options, tmp_path / "log.txt").wait() == 0, (tmp_path / "log.txt").read_text()
    check_same_weights(tmp_path / "run", undisturbed)
    the_version(tmp_path)
    run = the_training(tmp_path)
    points = MlflowClient(mlflow_of(tmp_path)).get_metric_history(run.info.run_id, "train.loss")
    assert [point.step for point in points] == [1, 2]
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive


@pytest.mark.full
def test_a_registry_that_is_away_costs_a_version_until_the_next_try(
    scenes: Path, bundle: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("flows.audit.publish.retry_delay_seconds", 0)
    monkeypatch.setattr("flows.retrain.register.retry_delay_seconds", 0)
    options = command(scenes, bundle, tmp_path)
    away = [*options[:-1], "http://127.0.0.1:9"]
    done = invoke(*away)
    assert done.exit_code == 3
    line = done.stderr.splitlines()[-1]
    assert line.startswith("sightline: MLflow at http://127.0.0.1:9 does not answer (")
    assert "no version was registered" in line
    assert "run the same command again" in line
    assert "Traceback" not in done.stderr
    check_same_weights(tmp_path / "run", undisturbed)
    assert (tmp_path / "run/compare.html").is_file()
    kept = (tmp_path / "run/training/checkpoint.pt").stat().st_mtime_ns
    done = invoke(*options)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "run/training/checkpoint.pt").stat().st_mtime_ns == kept
    run = the_training(tmp_path)
    assert the_version(tmp_path).run_id == run.info.run_id
    points = MlflowClient(mlflow_of(tmp_path)).get_metric_history(run.info.run_id, "train.loss")
    assert [point.step for point in points] == [1, 2]


def without(row: dict[str, str], column: str) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != column}


def no_masks(tmp_path: Path, options: list[str]) -> None:
    put_table(tmp_path, options, lambda rows: [without(row, "mask") for row in rows])


def a_class_that_nothing_shows(tmp_path: Path, options: list[str]) -> None:
    put_table(
        tmp_path,
        options,
        lambda rows: [row for row in rows if row["split"] == "test" or row["label"] != "fish"],
    )


def a_group_that_is_missing(tmp_path: Path, options: list[str]) -> None:
    set_option(options, "--objective", "dfr")
    put_table(tmp_path, options, lambda rows: [row | {"group": ""} for row in rows[:3]] + rows[3:])


def no_groups(option: str, value: str) -> Spoil:
    def spoil(tmp_path: Path, options: list[str]) -> None:
        set_option(options, option, value)
        put_table(tmp_path, options, lambda rows: [without(row, "group") for row in rows])

    return spoil


def a_folder_in_use(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "run/training").mkdir(parents=True)
    (tmp_path / "run/training/thesis.tex").touch()
    options += ["--replace"]


def no_labels_for_fresh_weights(tmp_path: Path, options: list[str]) -> None:
    set_option(options, "--start", "scratch")
    put_table(tmp_path, options, lambda rows: [row | {"label": ""} for row in rows[:3]] + rows[3:])


def no_background_to_put_objects_on(tmp_path: Path, options: list[str]) -> None:
    set_option(options, "--objective", "swap")
    Image.new("L", (64, 64), 255).save(tmp_path / "all.png")
    put_table(
        tmp_path, options, lambda rows: [row | {"mask": str(tmp_path / "all.png")} for row in rows]
    )


@pytest.fixture
def without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("without_a_card")
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_masks, "objective sib needs foregrounds, and none of 28 training images has one"),
        (
            a_class_that_nothing_shows,
            "1 of the model's 4 classes have no picture in the training images ('fish')",
        ),
        (with_options(objective="sbi"), "unknown objective 'sbi' (did you mean 'sib'?)"),
        (
            with_options(objective="sib:form=papers"),
            "objective sib has no form 'papers' (did you mean 'paper'?)",
        ),
        (with_options(objective="sib:wieght=2"), "'wieght' (did you mean 'weight'?)"),
        (
            no_groups("--objective", "dfr"),
            "table has none called 'group': name it with --group-column",
        ),
        (
            with_options(group_column="gruop"),
            "the data has no further column 'gruop' (did you mean 'group'?)",
        ),
        (a_group_that_is_missing, "images have none in the column 'group': fill it"),
        (without_option("--train-split"), "16 of the audited images are training images too"),
        (
            with_options(validation_split="train"),
            "32 of the validation images are training images too",
        ),
        (with_options(train_split="trian"), "has no split 'trian' (did you mean 'train'?)"),
        (
            with_options(precision="bfloat16"),
            "--precision bfloat16 needs a GPU, and there is none here",
        ),
        (
            with_options(out="s3://bucket/run"),
            "a training keeps its checkpoints in a folder of this machine",
        ),
        (a_folder_in_use, "run is not empty and holds no training: give an empty or a new --out"),
        (with_options(accumulate="9"), "accumulate 9 is more than the 8 images of a step"),
        (
            no_groups("--choose", "worst_group"),
            "--choose worst_group needs a column that names groups to validate on",
        ),
        (no_labels_for_fresh_weights, "training images have no label, and new weights"),
        (no_background_to_put_objects_on, "no foreground of 28 training images leaves one"),
        (with_options(layer="stage4"), "no layer 'stage4' in the network (did you mean 'stage"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(
    spoil: Spoil, words: str, scenes: Path, bundle: Path, tmp_path: Path
) -> None:
    options = command(scenes, bundle, tmp_path)
    spoil(tmp_path, options)
    done = invoke(*options)
    check_refused(done, 2, words)
    left = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*")}
    assert left <= {"training", "training/training.json", "training/thesis.tex"}
    assert not (tmp_path / "mlflow.db").exists()


def test_a_training_that_diverges_stops_and_is_mended_with_replace(
    scenes: Path, bundle: Path, tmp_path: Path
) -> None:
    options = command(scenes, bundle, tmp_path)
    wild = ("--learning-rate", "1000", "--schedule", "constant")
    done = invoke(*options, *wild)
    assert done.exit_code == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("sightline: the network's logits are not finite after step 4 of 8")
    assert ": lower --learning-rate or the objective's weights" in line
    assert line.endswith("the last good checkpoint is none")
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/before").exists()
    client = MlflowClient(mlflow_of(tmp_path))
    (failed,) = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    assert failed.info.status == "FAILED"


def test_another_training_takes_the_folder_only_with_replace(
    scenes: Path, bundle: Path, tmp_path: Path
) -> None:
    where = {"model__address": str(bundle), "finetune__steps": 1}
    train(settings_of(scenes, tmp_path, **where))
    first = weights_of(tmp_path / "run")
    other = {**where, "finetune__learning_rate": 0.01}
    with pytest.raises(UserError, match="or --replace to begin again"):
        train(settings_of(scenes, tmp_path, **other))
    train(settings_of(scenes, tmp_path, **where))  # still the one that lies there
    assert all(weights_of(tmp_path / "run")[name].equal(first[name]) for name in first)
    train(settings_of(scenes, tmp_path, **other, output__replace=True))
    assert not weights_of(tmp_path / "run")["fc.weight"].equal(first["fc.weight"])
    client = MlflowClient(mlflow_of(tmp_path))
    runs = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]


SETTINGS = {
    "attribution.methods": ("grad_cam_pp",),
    "data.split": "test",
    "learning.train_split": "train",
    "finetune.epochs": 1,
    "finetune.batch_size": 16,
    "finetune.objective": "erm",
}


def settings_of(data: Path, folder: Path, **given: object) -> RetrainSettings:
    where = {"data.path": str(data), "output.run": str(folder / "run")}
    other = {name.replace("__", "."): value for name, value in given.items()}
    return compose(
        RetrainSettings, None, SETTINGS | where | {"tracking.uri": mlflow_of(folder)} | other
    )


def test_a_users_own_network_trains_and_its_bundle_is_audited(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n"
        "class Net(nn.Sequential):\n"
        "    classes = ('fish', 'mushroom', 'balloon', 'cactus')\n"
        "    preprocessing = {'crop': (64, 64)}\n\n"
        "def build():\n"
        "    return Net(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "        nn.Flatten(), nn.Linear(8, 4))\n"
    )
    address = f"{tmp_path}/net.py:build"
    settings = settings_of(scenes, tmp_path, model__address=address, finetune__start="scratch")
    trained = train(settings)
    assert trained.architecture == address
    run = run_audit(tmp_path / "after", DataSettings(path=str(scenes), split="test"), trained.model)
    assert open_run(run.path).summary().images.predicted == 16


def test_fresh_weights_are_the_same_for_the_same_seed(
    scenes: Path, bundle: Path, tmp_path: Path
) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        settings = settings_of(
            scenes,
            folder,
            model__address=str(bundle),
            finetune__start="scratch",
            finetune__training_seed=seed,
            finetune__steps=1,
            tracking__uri=mlflow_of(tmp_path),
        )
        train(settings)
        found.append(weights_of(folder / "run"))
    assert found[0]["fc.weight"].equal(found[1]["fc.weight"])
    assert not found[0]["fc.weight"].equal(found[2]["fc.weight"])
    assert not found[0]["fc.weight"].allclose(load_file(bundle / "model.safetensors")["fc.weight"])


def test_more_parts_than_pictures_and_nothing_to_validate_on(
    scenes: Path, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(
        scenes,
        tmp_path,
        model__address=str(bundle),
        finetune__batch_size=64,
        finetune__accumulate=40,
        finetune__optimiser="sgd",
        finetune__schedule="cosine",
        finetune__zoom=0.2,
        finetune__statistics="frozen",
        learning__validation_share=0.01,  # of 8 pictures of each class: none
    )
    with caplog.at_level("INFO", "sightline"):
        train(settings)
    (epoch,) = json.loads((tmp_path / "run/training/history.json").read_text())
    assert 0 < epoch["figures"]["train.loss"] < 10
    assert "the last epoch is taken: there are no labelled validation images" in caplog.text
    assert "trained: epoch 1 of 1 is taken\n" in caplog.text
