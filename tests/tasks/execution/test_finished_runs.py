"""The same command again finds its finished run, and computes when anything has changed."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.settings.command_settings import AuditSettings
from models.classifier.classifier import load_classifier
from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.attribution.layer_statistics import gather_moments
from tasks.attribution.settings import AttributionSettings
from tasks.attribution.shard import attribute_shard
from tasks.execution.attribution_stage import job_of, missing_moments
from tasks.execution.early_checks import check_early
from tasks.execution.finished_runs import find_finished, read_model_stamps
from tasks.execution.prepare import prepare_run
from tasks.execution.settings import ComputeSettings
from tasks.flags.settings import FlagSettings
from tasks.runs import open_run
from tasks.runs.contents import stamp_results
from tasks.runs.folder import TRANSIENT, RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.schema import FLAG_RULE, CostSummary
from tasks.storage.parquet import read_table, write_table
from tasks.summary.summarise import summarise
from tasks.tracking.audit_run import publish_run
from tasks.tracking.settings import Tracking
from tests.support.audits import perturb_head
from tests.support.damage import flipped
from tests.test_light_settings import heavy_after

IMAGES, SHARD = 8, 4
COST = CostSummary(
    seconds=1.0, images_per_second=None, computed=IMAGES, reused=0, workers=1, devices=("cpu",)
)
Change = Callable[["Audited"], object]


class Audited:
    """Copies of data, model, run and database in one folder, and the settings of the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.model, self.run = folder / "data", folder / "model", folder / "run"
        self.options: dict[str, Any] = {
            "data": {"path": str(self.data / "metadata.csv"), "split": "test", "limit": IMAGES},
            "model": {"address": str(self.model)},
            "output": {"run": str(self.run)},
            "attribution": {"methods": "grad_cam_pp,iba", "shard_size": SHARD},
            "interventions": {"pool": 8},
        }
        database = f"sqlite:///{folder / 'mlflow.db'}"
        self.tracking = Tracking(database, "tests", (folder / "artifacts").as_uri())

    @property
    def settings(self) -> AuditSettings:
        return AuditSettings.model_validate(self.options)

    def compute(self) -> None:
        """The audit in this process, published."""
        settings = self.settings
        request, model = settings.audit_request, settings.model
        run = prepare_run(request, FetchedModel(model), settings.output, settings.plan.settings)
        classifier, job = load_classifier(model), job_of(run, ComputeSettings(workers=1))
        for layer, part in missing_moments(job):
            gather_moments(job, layer, part, classifier)
        for shard in range(IMAGES // SHARD):
            attribute_shard(job, shard, classifier)
        summarise(run, FlagSettings(), COST)
        run.finish(run.report, "<html></html>")
        publish_run(run, self.tracking)

    @property
    def is_finished(self) -> bool:
        plan = self.settings.plan
        return find_finished(plan, check_early(plan), self.tracking) is not None


@pytest.fixture(scope="module")
def computed(
    benchmark_folder: Path,
    bundle: Path,
    database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Audited:
    """An audit that may be read, but not changed."""
    audited = Audited(tmp_path_factory.mktemp("finished"))
    shutil.copytree(benchmark_folder, audited.data)
    shutil.copytree(bundle, audited.model)
    shutil.copy(database, audited.folder / "mlflow.db")
    audited.compute()
    return audited


@pytest.fixture
def audited(computed: Audited) -> Iterator[Audited]:
    """The same, put back afterwards: run.json and the stamps know the folder."""
    kept = computed.folder.with_name("kept")
    shutil.copytree(computed.folder, kept)  # with times
    options = json.dumps(computed.options)
    tracking = computed.tracking
    yield computed
    shutil.rmtree(computed.folder)
    shutil.move(kept, computed.folder)
    computed.options, computed.tracking = json.loads(options), tracking


def rows_of(audited: Audited) -> list[dict[str, str]]:
    with (audited.data / "metadata.csv").open() as file:
        return list(csv.DictReader(file))


def write_rows(audited: Audited, rows: list[dict[str, str]]) -> None:
    with (audited.data / "metadata.csv").open("w") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def first_file(audited: Audited, column: str) -> Path:
    """The picture or the mask of the run's first row."""
    value = read_table(RunFolder.at(audited.run).catalog)[column][0].as_py()
    return Path(value if isinstance(value, str) else value[0])


def change_picture(audited: Audited) -> None:
    path = first_file(audited, "image")
    path.write_bytes(path.read_bytes() + b" ")


def change_picture_of_the_same_size(audited: Audited) -> None:
    path = first_file(audited, "image")
    path.write_bytes(path.read_bytes())


def change_mask(audited: Audited) -> None:
    path = first_file(audited, "masks")
    path.write_bytes(path.read_bytes() + b" ")


def delete_picture(audited: Audited) -> None:
    first_file(audited, "image").unlink()


def change_labels(audited: Audited) -> None:
    rows = rows_of(audited)
    write_rows(audited, [row | {"label": rows[0]["label"]} for row in rows])


def add_column(audited: Audited) -> None:
    write_rows(audited, [row | {"camera": "left"} for row in rows_of(audited)])


def change_weights(audited: Audited) -> None:
    perturb_head(audited.model, audited.model)


def change_setting(audited: Audited) -> None:
    audited.options["flags"] = {"method": "iba"}


def change_methods(audited: Audited) -> None:
    audited.options["attribution"] = {"methods": "grad_cam_pp", "shard_size": SHARD}


def more_images(audited: Audited) -> None:
    audited.options["data"] |= {"limit": IMAGES + 1}


def delete_page(audited: Audited) -> None:
    (audited.run / "report.html").unlink()


def empty_page(audited: Audited) -> None:
    (audited.run / "report.html").write_text("")


def change_experiment(audited: Audited) -> None:
    audited.tracking = replace(audited.tracking, experiment="other")


def delete_database(audited: Audited) -> None:
    (audited.folder / "mlflow.db").unlink()


def another_version(audited: Audited) -> None:
    RunFolder.at(audited.run).update_state(sightline="0.0.1")


def another_flag_rule(audited: Audited) -> None:
    RunFolder.at(audited.run).update_state(flag_rule=FLAG_RULE - 1)


def unfinished(audited: Audited) -> None:
    RunFolder.at(audited.run).update_state(state="running")


def not_published(audited: Audited) -> None:
    RunFolder.at(audited.run).update_state(mlflow={})


CHANGES: tuple[Change, ...] = (
    *(change_picture, change_picture_of_the_same_size, change_mask, delete_picture),
    *(change_labels, add_column, change_weights, change_setting, change_methods, more_images),
    *(delete_page, empty_page, change_experiment, delete_database, another_version),
    *(another_flag_rule, unfinished, not_published),
)


def test_the_same_command_again_finds_its_finished_run(audited: Audited) -> None:
    assert audited.is_finished
    for name, value in (("workers", 3), ("batch_size", 5)):
        audited.options["compute"] = {name: value}
        assert audited.is_finished  # neither changes a number


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_has_changed_is_computed(audited: Audited, change: Change) -> None:
    change(audited)
    assert not audited.is_finished


def test_groups_of_classes_are_no_part_of_the_identity(audited: Audited) -> None:
    """Other groups make another summary of the same parts; the same groups make none."""
    database = audited.folder / "groups.db"  # MLflow keeps that of other tests open
    shutil.copy(audited.folder / "mlflow.db", database)
    audited.tracking = replace(audited.tracking, uri=f"sqlite:///{database}")
    classes = open_run(audited.run).state.classes
    groups = audited.folder / "groups.json"
    parts = {path: path.stat().st_mtime_ns for path in audited.run.rglob("part-*")}
    for names in (("first", "other"), ("other", "first")):
        groups.write_text(json.dumps({name: names[name != classes[0]] for name in classes}))
        audited.options["data"]["class_groups"] = str(groups)
        before = audited.is_finished
        audited.compute()
        assert (before, audited.is_finished) == (False, True)
        summary = open_run(audited.run).summary()
        assert {group.name for group in summary.by_class_group} == {"first", "other"}
        assert summary.class_groups is not None
        assert summary.class_groups.group_of[classes[0]] == names[0]
    assert {path: path.stat().st_mtime_ns for path in audited.run.rglob("part-*")} == parts
    del audited.options["data"]["class_groups"]
    assert not audited.is_finished
    audited.compute()
    assert open_run(audited.run).summary().class_groups is None


def test_groups_that_do_not_fit_are_refused_before_the_network_is_read(audited: Audited) -> None:
    groups = audited.folder / "groups.csv"
    groups.write_text("class,group\nnobody,first\n")
    audited.options["data"]["class_groups"] = str(groups)
    with pytest.raises(UserError, match="names 'nobody', which the model does not have"):
        check_early(audited.settings.plan)


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


def test_a_file_that_is_gone_is_computed_again(audited: Audited) -> None:
    files = files_of(audited.run)
    folders = {path.parent.relative_to(audited.run).as_posix() for path in files}
    assert {"predictions", "maps/iba", "scores/grad_cam_pp", "interventions"} <= folders
    for path in files:
        moved = path.rename(audited.folder / "moved")
        assert not audited.is_finished, path
        moved.rename(path)
    assert audited.is_finished


def test_a_part_that_is_damaged_is_computed_again(audited: Audited) -> None:
    """Also by a failing disk, which changes neither size nor time."""
    chance = random.Random(0)
    for path in files_of(audited.run):
        if path.suffix == ".parquet":
            content, times = path.read_bytes(), path.stat()
            path.write_bytes(flipped(content, chance))
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert not audited.is_finished, path
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert audited.is_finished


def test_rows_that_another_try_may_still_compute_are_computed(audited: Audited) -> None:
    run = RunFolder.at(audited.run)
    part = run.part(PREDICTIONS, 0)
    table = read_table(part)
    write_table(part, table.replace_schema_metadata(table.schema.metadata | {TRANSIENT: b"1"}))
    run.update_state(results_stamp=stamp_results(run))
    assert not audited.is_finished


def test_code_of_the_users_may_have_changed_without_a_trace(audited: Audited) -> None:
    (audited.folder / "mine.py").write_text("def build(): ...")
    model = ModelSettings(address=f"{audited.folder}/mine.py:build")
    assert read_model_stamps(audited.settings.audit_request, model) == {}
    methods = AttributionSettings(methods=(f"{audited.folder}/mine.py:build",))
    request = replace(audited.settings.audit_request, attribution=methods)
    assert read_model_stamps(request, audited.settings.model) == {}


def test_no_torch_is_imported_for_it(audited: Audited) -> None:
    settings, tracking = audited.settings.model_dump(mode="json"), audited.tracking
    program = (
        "from flows.settings.command_settings import AuditSettings\n"
        "from tasks.execution.early_checks import check_early\n"
        "from tasks.execution.finished_runs import find_finished\n"
        "from tasks.tracking.settings import Tracking\n"
        f"plan = AuditSettings.model_validate({settings!r}).plan\n"
        f"tracking = Tracking({tracking.uri!r}, {tracking.experiment!r})\n"
        "assert find_finished(plan, check_early(plan), tracking) is not None"
    )
    assert heavy_after(program) == {"pyarrow"}
