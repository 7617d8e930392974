"""The documentation is executed: its commands run, its tables are complete."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import duckdb
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torchvision.models import resnet50

from flows.cli.commands import main
from flows.cli.options import given_settings
from flows.settings.compose import compose, option_name
from flows.settings.sections import (
    AuditSettings,
    CompareMethodsSettings,
    ReleaseSettings,
    RetrainSettings,
    RunSettings,
)
from models.methods.registry import FAMILIES, NAMES
from models.objectives.names import FAMILIES as OBJECTIVES
from tasks import schema
from tasks.attribution import layer_statistics
from tasks.runs.folder import RunFolder
from tasks.runs.reader import open_run
from tasks.tracking.metrics import metrics_of
from tests.support.figure_tables import TABLE, with_tables

ROOT = Path(__file__).parent.parent
READ = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/reference.md",
    "docs/schedule.md",
    "docs/retraining.md",
)
PAGES = [ROOT / name for name in READ]
REFERENCE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
ELSEWHERE = (  # what runs these commands
    "make demo",  # test_demo.py runs the command behind it
    "make check",  # this test is part of it
    "prefect ",  # test_deployment.py
)


def blocks(language: str) -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


COMMANDS = list(dict.fromkeys(line for block in blocks("sh") for line in block.splitlines()))


def test_every_command_is_run_here_or_elsewhere() -> None:
    others = [line for line in COMMANDS if not line.startswith("sightline ")]
    assert others
    for line in others:
        assert line.startswith(ELSEWHERE), line


@pytest.mark.usefixtures("prefect_server")
def test_the_pages_commands_and_queries_work(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(benchmark_folder, "demo/benchmark")
    shutil.copytree(bundle, "demo/model")
    _photos_for_resnet50(benchmark_folder, Path("photos"))
    for line in (line for line in COMMANDS if line.startswith("sightline ")):
        done = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
        assert done.exit_code == 0, (line, done.stderr)
        assert done.stdout, line
    for query in blocks("sql"):
        assert len(duckdb.sql(query).fetchall()) == 4
    for snippet in blocks("python"):
        names: dict[str, object] = {}
        exec(snippet, names)
        assert len(names["maps"]) == 4  # type: ignore[arg-type]
    for number, file in enumerate(blocks("toml")):
        Path(f"{number}.toml").write_text(file)
        assert compose(AuditSettings, Path(f"{number}.toml"), {}).flags.false_alarm == 0.1


def _photos_for_resnet50(benchmark: Path, folder: Path) -> None:
    """Two class folders, a ResNet-50 for them, and their names in the order of its logits."""
    for index, name in enumerate(("egret", "heron")):
        (folder / name).mkdir(parents=True)
        shutil.copy(benchmark / f"images/test/{index:05d}.png", folder / name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(resnet50(num_classes=2).state_dict(), "resnet50.safetensors")
    Path("classes.txt").write_text("heron\negret\n")


@pytest.mark.parametrize(
    "kind", [AuditSettings, CompareMethodsSettings, RetrainSettings, ReleaseSettings]
)
def test_every_setting_is_described(kind: type[RunSettings]) -> None:
    for section, field in kind.model_fields.items():
        for key, inner in field.annotation.model_fields.items():  # type: ignore[union-attr]
            option = "--" + option_name(f"{section}.{key}").replace("_", "-")
            row = f"| `{option}` | `{section}.{key}` |"
            assert row in REFERENCE, row
            assert inner.description in REFERENCE, inner.description


def test_every_command_is_described_by_its_help() -> None:
    for name, command in main.commands.items():
        assert f"`sightline {name}" in REFERENCE
        assert command.help is not None
        assert command.help.splitlines()[0] in REFERENCE, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}" in REFERENCE, (name, parameter.opts)
                assert getattr(parameter, "help", None), (name, parameter.opts)


def test_every_metric_method_and_column_is_described(finished_run: RunFolder) -> None:
    for name in metrics_of(open_run(finished_run.path).summary()):
        plain = re.sub(r"_(low|high)$", "", name)
        plain = re.sub(rf"^({'|'.join(NAMES)})\.", "<method>.", plain)
        assert f"`{plain}`" in REFERENCE, name
    for method in NAMES:
        assert f"| `{method}` |" in REFERENCE
    tables = (
        schema.CATALOG,
        schema.PREDICTIONS,
        schema.maps_schema(1, 1),
        schema.SCORES,
        schema.FEATURES,
        schema.FAILURES,
        schema.FLAGS_TABLE,
        schema.DUPLICATES,
        schema.MERITS,
        schema.TRIALS,
        layer_statistics.COLUMNS,
    )
    for column in {name for table in tables for name in table.names}:
        assert f"`{column}`" in REFERENCE, column


def test_tables_of_figures_are_the_code_s() -> None:
    written = "write them again: python -m tests.support.figure_tables"
    assert with_tables(REFERENCE) == REFERENCE, written
    kinds = {found[1] for found in TABLE.finditer(REFERENCE)}
    assert kinds == {figure.kind for figure in schema.FIGURES.values()}


def test_every_cost_and_argument_of_a_method_is_described() -> None:
    for name in schema.MethodCost.model_fields:
        assert f"`{name}`" in REFERENCE, name
    for name, family in FAMILIES.items():
        row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |"))
        for field in fields(family.settings):
            assert f"`{field.name}`" in row, (name, field.name)
            if field.name not in ("seed", "layer", "form"):
                assert f"`{field.name}` = {field.default:g}" in row, (name, field.name)


def test_every_objective_and_argument_is_described() -> None:
    page = (ROOT / "docs/retraining.md").read_text(encoding="utf-8")
    for family, forms in OBJECTIVES.items():
        for form, kind in forms.items():
            name = f"{family}:form={form}" if len(forms) > 1 else family
            row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
            for field in fields(kind):  # type: ignore[arg-type]
                told = f"{field.default:g}" if isinstance(field.default, float) else field.default
                words = f"`{field.name}` = {told}" if told != "" else f"`{field.name}`"
                assert words in row, (name, field.name)


def test_what_the_options_give_is_a_setting() -> None:
    options = {parameter.name: None for parameter in main.commands["audit"].params}
    assert given_settings(AuditSettings, options) == {}
