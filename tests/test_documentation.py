"""The documentation is executed: its commands run, its tables are complete."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, fields
from pathlib import Path

import duckdb
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from torchvision.models import resnet50

from flows.cli.commands import main
from flows.cli.options_from_settings import settings_from_options
from flows.settings.command_settings import (
    AuditSettings,
    CompareMethodsSettings,
    ReleaseSettings,
    RetrainSettings,
    RunSettings,
)
from flows.settings.compose import compose, option_name
from models.methods.registry import NAMES
from models.methods.settings import FAMILIES
from models.objectives.registry import FAMILIES as OBJECTIVES
from tasks import schema
from tasks.attribution import layer_statistics
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.tracking.metrics import metrics_of
from tests.support.figure_tables import TABLE, with_tables

ROOT = Path(__file__).parent.parent
ELSEWHERE = {  # pages that other tests execute
    "docs/clusters.md": "tests/examples/deploy",
    "docs/data.md": "tests/test_data_page.py",
    "docs/explorer.md": "tests/test_explorer_page.py",
    "docs/extending.md": "tests/test_extending.py",
    "docs/install.md": "tests/test_install.py",
    "docs/methods.md": "tests/test_examples.py",
    "docs/notebook.md": "tests/test_notebook_page.py",
    "docs/operating.md": "tests/test_operating_page.py",
    "docs/python.md": "tests/test_sightline.py",
    "docs/release.md": "tests/flows/test_release.py",
}
PAGES = [
    name
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
    if (name := str(path.relative_to(ROOT))) not in ELSEWHERE
]
REFERENCE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
OTHER_COMMANDS = (  # and what runs them
    "make demo",  # tests/flows/test_demo.py runs the command behind it
    "make check",  # this test is part of it
    "prefect ",  # tests/flows/test_deployment.py
)


@dataclass(frozen=True)
class Block:
    """Code on a page; of blocks of commands, one line."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, found.start()) + 2
        if found[1] != "sh":
            yield Block(page, first, found[1], found[2])
            continue
        for line, command in enumerate(found[2].splitlines(), first):
            yield Block(page, line, "sh", command)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
OURS = [it for it in BLOCKS if it.language == "sh" and it.text.startswith("sightline ")]


def each(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "block", [block for block in BLOCKS if block.language == language], ids=str
    )


class Workspace:
    """A folder in which each command is run once, after those above it on its page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, Result] = {}

    def run(self, command: str) -> Result:
        if command not in self.results:
            words = shlex.split(command)[1:]
            with chdir(self.folder):
                self.results[command] = CliRunner().invoke(main, words, catch_exceptions=False)
        return self.results[command]

    def prepare(self, block: Block) -> None:
        """Run what stands above on the page: where all tests run, this was done before."""
        for other in OURS:
            if other.page == block.page and other.line < block.line:
                self.run(other.text)


@pytest.fixture(scope="module")
def workspace(
    prefect_server: None,
    benchmark_folder: Path,
    bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Workspace:
    """The demo's benchmark and model, and what the README's own photos stand for."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(benchmark_folder, folder / "demo/benchmark")
    shutil.copytree(bundle, folder / "demo/model")
    _write_photos_for_resnet50(benchmark_folder, folder)
    return Workspace(folder)


def _write_photos_for_resnet50(benchmark: Path, folder: Path) -> None:
    """Two class folders, a ResNet-50 for them, and their names in the order of its logits."""
    for index, name in enumerate(("egret", "heron")):
        (folder / "photos" / name).mkdir(parents=True)
        shutil.copy(benchmark / f"images/test/{index:05d}.png", folder / "photos" / name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(resnet50(num_classes=2).state_dict(), folder / "resnet50.safetensors")
    (folder / "classes.txt").write_text("heron\negret\n")


def test_every_command_is_run_here_or_elsewhere() -> None:
    others = [it.text for it in BLOCKS if it.language == "sh" and it not in OURS]
    assert others
    for line in others:
        assert line.startswith(OTHER_COMMANDS), line


@pytest.mark.parametrize("command", OURS, ids=str)
def test_the_command_works(command: Block, workspace: Workspace) -> None:
    workspace.prepare(command)
    done = workspace.run(command.text)
    assert done.exit_code == 0, done.stderr
    assert done.stdout


@each("sql")
def test_the_query_finds_the_four_backgrounds(block: Block, workspace: Workspace) -> None:
    workspace.prepare(block)
    with chdir(workspace.folder):
        assert len(duckdb.sql(block.text).fetchall()) == 4


@each("python")
def test_the_snippet_reads_four_maps_or_is_an_examples(block: Block, workspace: Workspace) -> None:
    if any(block.text in path.read_text("utf-8") for path in ROOT.glob("examples/*.py")):
        return  # tests/test_examples.py runs it
    workspace.prepare(block)
    names: dict[str, object] = {}
    with chdir(workspace.folder):
        exec(block.text, names)
    assert len(names["maps"]) == 4  # type: ignore[arg-type]


@each("toml")
def test_the_configuration_is_understood(block: Block, tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text(block.text)
    assert compose(AuditSettings, tmp_path / "audit.toml", {}).flags.false_alarm == 0.1


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
        schema.INTERVENTIONS,
        schema.ATTENDED_BACKGROUND,
        schema.PICTURE_PROPERTIES,
        schema.PATTERNS,
        schema.PATTERN_MEMBERS,
        schema.PATTERN_SPACES,
        schema.PATTERN_TRIALS,
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
        for field in fields(family):
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
                default = (
                    f"{field.default:g}" if isinstance(field.default, float) else field.default
                )
                words = f"`{field.name}` = {default}" if default != "" else f"`{field.name}`"
                assert words in row, (name, field.name)


def test_what_the_options_give_is_a_setting() -> None:
    options = {parameter.name: None for parameter in main.commands["audit"].params}
    assert settings_from_options(AuditSettings, options) == {}
