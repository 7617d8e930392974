"""docs/data.md is executed: the files of each example are made, listed and read."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from PIL import Image

from flows.cli.commands import main
from flows.cli.options_from_settings import settings_from_options
from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose
from models.classifier.architectures import BuiltNetwork
from models.classifier.classifier import check_classifier, save_bundle
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.small_resnet import small_resnet
from tasks.catalog.catalog import check_catalog, foreground_source, make_catalog
from tasks.catalog.class_groups import read_class_groups
from tasks.catalog.listing import PICTURES
from tasks.catalog.settings import DataSettings
from tasks.catalog.tables import IMAGE_COLUMNS, LABEL_COLUMNS, MASK_COLUMNS
from tasks.catalog.torchvision_datasets import READERS
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample
from tasks.runs import open_run
from tests.support.audits import run_audit

PAGE = (Path(__file__).parent.parent / "docs/data.md").read_text(encoding="utf-8")
CLASSES = ("cat", "dog", "owl", "Abyssinian")
READING = MaskReading("foreground", "upright")
SMALL = Preprocessing(resize=(8, 8), crop=(8, 8))
PARTS = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
NAME = re.compile(rf"[\w./-]+(?:{'|'.join(re.escape(suffix) for suffix in sorted(PICTURES))})")
# The source of the foreground and the labels that the page promises for each example.
EXPECTED: dict[str, tuple[str, list[str | None]]] = {
    "folders": ("none", ["cat", "cat", "owl"]),
    "flat": ("none", [None, None]),
    "val": ("none", ["cat", "owl"]),
    "table": ("none", ["cat", "owl"]),
    "monday": ("none", ["owl", None]),
    "metadata": ("none", ["cat", "dog"]),
    "found": ("annotated", ["cat", "owl"]),
    "waterbirds": ("none", ["dog"]),
    "pets": ("annotated", ["Abyssinian"]),
    "german": ("none", ["owl", "cat"]),
    "groups": ("none", ["cat", "owl"]),
    "masks": ("annotated", ["cat", "owl"]),
    "several": ("annotated", ["cat", "owl", "owl"]),
    "values": ("annotated", [None]),
    "labelled": ("annotated", ["cat", "owl"]),
    "boxes": ("box", ["cat", "owl"]),
    "bbox": ("box", ["cat", "owl"]),
    "objects": ("box", ["cat", "owl"]),
    "coco": ("annotated", ["cat", "owl"]),
    "instances": ("box", ["cat", None]),
    "voc": ("annotated", ["cat"]),
}


@dataclass(frozen=True)
class Example:
    """Files with their text, pictures, and one command."""

    files: tuple[tuple[str, str], ...]
    pictures: tuple[str, ...]
    command: str

    @property
    def name(self) -> str:
        return self.command.rpartition("runs/")[2]


def examples() -> list[Example]:
    """Each command, with the files and pictures that stand before it."""
    listed: list[Example] = []
    files: list[tuple[str, str]] = []
    pictures: list[str] = []
    for part in PARTS.finditer(PAGE):
        path, kind, text = part["path"], part["kind"], part["text"]
        if kind == "sh":
            listed.append(Example(tuple(files), tuple(pictures), text.strip()))
            files, pictures = [], []
        elif path is None:
            pictures += text.split()
        else:
            files.append((path, text))
    return listed


EXAMPLES = {example.name: example for example in examples()}


def settings_of(command: str) -> DataSettings:
    """The settings of a command, parsed by the command line itself."""
    _, name, *words = shlex.split(command)
    with main.commands[name].make_context(name, words) as context:
        assert isinstance(context, click.Context)
        return compose(
            AuditSettings, None, settings_from_options(AuditSettings, context.params)
        ).data


def build(example: Example, data: DataSettings) -> None:
    """Write the example's files to the current folder, with small pictures and masks."""
    for path, text in example.files:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
        folder = data.images if data.images is not None else str(Path(path).parent)
        for name in NAME.findall(text) if path.endswith((".csv", ".jsonl")) else ():
            draw(Path(folder) / name)
    for picture in example.pictures:
        draw(Path(picture))


def draw(path: Path) -> None:
    """A small picture, or a mask with a row of each value that the page mentions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if re.search("masks|trimaps|SegmentationClass", str(path)):
        background = 2 if "trimaps" in str(path) else 0
        values_H = np.array([background] * 4 + [1, 3, 8, 255], np.uint8)
        Image.fromarray(np.tile(values_H[:, None], (1, 8))).save(path)
    else:
        Image.new("RGB", (8, 8), (90, 120, 30)).save(path)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_example_is_listed_and_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = settings_of(EXAMPLES[name].command)
    build(EXAMPLES[name], data)
    catalog = make_catalog(data, CLASSES)
    source, labels = EXPECTED[name]
    assert catalog["label"].to_pylist() == labels
    assert foreground_source(catalog) == source
    assert check_catalog(catalog, data) == []
    for row in rows_of(catalog):
        sample = read_sample(row, SMALL, READING)
        assert isinstance(sample, Sample), sample
        assert sample.failure is None
        assert (sample.mask_HW is not None) == (row.masks is not None or row.regions is not None)
        if sample.mask_HW is not None:
            assert 0 < float((sample.mask_HW > 0).float().mean()) < 1


def test_the_tree_of_classes_is_cut_below_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = settings_of(EXAMPLES["groups"].command)
    build(EXAMPLES["groups"], data)
    assert data.class_groups is not None
    groups = read_class_groups(data.class_groups, CLASSES)
    assert groups.group_of == dict.fromkeys(("cat", "dog", "Abyssinian"), "mammal") | {
        "owl": "bird"
    }


def test_the_page_has_no_other_examples() -> None:
    assert list(EXAMPLES) == list(EXPECTED)


@pytest.mark.parametrize("name", ["coco", "several"])
def test_examples_run_to_the_end(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "sightline:small_resnet"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = small_resnet(len(CLASSES))
    prepared = Preprocessing(resize=(32, 32), crop=(32, 32))
    built = BuiltNetwork(network, address, classes=CLASSES, preprocessing=prepared)
    save_bundle(Path("model"), check_classifier(built, ModelSettings(address=address)))
    data = settings_of(EXAMPLES[name].command)
    build(EXAMPLES[name], data)
    summary = open_run(run_audit(Path("run"), data, ModelSettings(address="model")).path).summary()
    assert summary.images.predicted == len(EXPECTED[name][1])
    assert summary.images.scored == 2
    assert summary.failures == ()


def test_usual_columns_and_datasets_are_on_the_page() -> None:
    for name in (*IMAGE_COLUMNS, *LABEL_COLUMNS, *MASK_COLUMNS):
        assert f"`{name}`" in PAGE, name
    for name in READERS:
        assert re.search(rf"\b{name}\b", PAGE), name


def test_every_data_option_is_on_the_page() -> None:
    others = {"path", "orientation", "sample", "limit", "seed"}  # not about forms of data
    for name in DataSettings.model_fields.keys() - others:
        assert f"`--{name.replace('_', '-')}" in PAGE or f"--{name.replace('_', '-')} " in PAGE, (
            name
        )
