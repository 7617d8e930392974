"""`sightline init` writes settings that an audit takes, and finds what lies in a folder."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import resnet18

from flows.settings.command_settings import AuditSettings
from flows.settings.compose import compose
from models.classifier.classifier import load_classifier
from tests.support.command_line import check_refused, invoke

CONFIG = Path("sightline.toml")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with an empty folder `data` in it."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    return tmp_path


def put_pictures(*names: str) -> None:
    for name in names:
        path = Path("data") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)


def put_table(name: str, rows: list[dict[str, str]]) -> None:
    with (Path("data") / name).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def init(*words: str) -> dict[str, Any]:
    """The settings that the command writes; an audit takes them once its model is named."""
    done = invoke("init", "data", *words)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.endswith("sightline audit --config sightline.toml\n")
    settings = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    compose(AuditSettings, CONFIG, {"model.address": "torchvision:resnet18"})
    return settings


def test_class_folders_need_only_their_folder() -> None:
    put_pictures("dog/1.jpg", "wolf/2.jpg")
    assert init()["data"] == {"path": "data"}
    text = CONFIG.read_text()
    assert "# The folders are 2 labels: 'dog', 'wolf'." in text
    assert "# No masks were found" in text


def test_of_splits_the_test_pictures_are_taken() -> None:
    put_pictures("train/dog/1.jpg", "val/dog/2.jpg", "test/dog/3.jpg")
    assert init()["data"] == {"path": "data", "split": "test"}


def test_pictures_and_masks_beside_each_other_are_paired() -> None:
    put_pictures("images/1.jpg", "masks/1.png")
    assert init()["data"] == {"path": "data/images", "masks": "data/masks"}


def test_unusual_columns_are_named() -> None:
    put_pictures("a/1.jpg", "a/2.jpg", "m/1.png", "m/2.png")
    row = {"place": "sea", "Picture": "a/1.jpg", "seg_mask": "m/1.png", "species_name": "gull"}
    put_table("birds.csv", [row, {**row, "Picture": "a/2.jpg", "species_name": "auk"}])
    assert init()["data"] == {
        "path": "data/birds.csv",
        "image_column": "Picture",
        "label_column": "species_name",
        "mask_column": "seg_mask",
    }


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_usual_columns_are_not_named(suffix: str) -> None:
    import pandas

    put_pictures("1.jpg", "2.jpg", "m.png")
    columns = {"file_name": ["1.jpg", "2.jpg"], "label": ["a", "b"], "mask": ["m.png", "m.png"]}
    frame = pandas.DataFrame(columns | {"split": ["train", "validation"]})
    path = f"data/metadata{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    assert init()["data"] == {"path": "data", "split": "validation"}


def put_klassen() -> None:
    """A table of two columns that may be labels, with splits under another name."""
    put_pictures("a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg")
    rows = [
        {"Bild": f"a/{index + 1}.jpg", "Ort": place, "Klasse": label, "Teil": "test"}
        for index, (place, label) in enumerate([("sea", "gull"), ("sand", "auk")] * 2)
    ]
    put_table("list.csv", rows)


def test_the_column_of_labels_is_that_of_the_classes_in_any_file() -> None:
    put_klassen()
    torch.save({"module." + k: v for k, v in resnet18(num_classes=2).state_dict().items()}, "a.pt")
    Path("klassen.txt").write_text("auk\ngull\n")
    settings = init()
    assert settings["model"]["address"] == "torchvision:resnet18"
    assert settings["model"]["classes"] == "klassen.txt"
    assert settings["data"]["label_column"] == "Klasse"


def test_a_second_file_of_as_many_lines_is_not_guessed_from() -> None:
    put_klassen()
    torch.save(resnet18(num_classes=2).state_dict(), "a.pt")
    Path("klassen.txt").write_text("auk\ngull\n")
    Path("notes.txt").write_text("buy milk\nand bread\n")
    assert "classes" not in init()["model"]


def test_labels_that_are_not_recognised_are_a_step() -> None:
    put_klassen()
    lines = invoke("init", "data").stdout.splitlines()
    assert lines[1].endswith('if there is one: label_column = "Ort" or "Klasse"')


def test_splits_are_recognised_by_their_values() -> None:
    put_klassen()
    data = init()["data"]
    assert (data["split_column"], data["split"]) == ("Teil", "test")


def test_a_table_one_folder_below_is_found() -> None:
    put_klassen()
    done = invoke("init", ".")
    assert done.exit_code == 0
    assert 'path = "data/list.csv"' in CONFIG.read_text()


def test_coco_is_found_with_its_pictures() -> None:
    put_pictures("val2017/1.jpg")
    Path("data/annotations").mkdir()
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 8}],
        "annotations": [],
        "categories": [{"id": 1, "name": "dog"}],
    }
    Path("data/annotations/val.json").write_text(json.dumps(content))
    found = init()["data"]
    assert found == {"path": "data/annotations/val.json", "images": "data/val2017"}


def test_a_bundle_is_found(bundle: Path) -> None:
    put_pictures("dog/1.jpg")
    shutil.copytree(bundle, "data/model")
    assert init()["model"] == {"address": "data/model"}


def test_weights_are_recognised_and_their_preprocessing_is_proposed_not_guessed() -> None:
    put_pictures("dog/1.jpg")
    torch.save({"state_dict": resnet18(num_classes=3).state_dict()}, "best.pth")
    Path("classes.txt").write_text("dog\ncat\nox\n")
    settings = init()
    expected = {"address": "torchvision:resnet18", "weights": "best.pth", "classes": "classes.txt"}
    assert settings["model"] == expected
    lines = CONFIG.read_text().splitlines()
    start = lines.index("# [model.preprocessing]")
    filled = [line.removeprefix("# ") for line in lines[start:]]
    CONFIG.write_text("\n".join([*lines[:start], *filled]))
    classifier = load_classifier(compose(AuditSettings, CONFIG, {}).model)
    assert classifier.classes == ("dog", "cat", "ox")
    assert classifier.preprocessing.crop == (224, 224)


def test_weights_elsewhere_are_named_and_what_is_missing_is_said(folder: Path) -> None:
    put_pictures("dog/1.jpg")
    (folder / "far").mkdir()
    save_file(resnet18(num_classes=3).state_dict(), "far/resnet18.safetensors")
    done = invoke("init", "data", "--weights", "far/resnet18.safetensors")
    assert "1. name a file of classes in [model]" in done.stdout
    assert "2. give the preprocessing that the weights were trained with" in done.stdout
    assert "torchvision's resnet18, with 3 classes" in CONFIG.read_text()


def test_timms_own_folder_is_recognised() -> None:
    put_pictures("dog/1.jpg")
    Path("data/config.json").write_text('{"architecture": "resnet10t"}')
    Path("data/model.safetensors").touch()
    assert init()["model"]["address"] == "timm:resnet10t"


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_weights_that_are_not_readable_are_named(content: bytes) -> None:
    put_pictures("dog/1.jpg")
    Path("data/best.pth").write_bytes(content)
    assert init()["model"] == {"weights": "data/best.pth"}
    assert "# weights data/best.pth" in CONFIG.read_text()


@pytest.mark.full
def test_weights_of_an_unknown_network_are_said_to_be_so() -> None:
    put_pictures("dog/1.jpg")
    save_file({"own.weight": torch.zeros(3)}, "own.safetensors")
    assert init()["model"] == {"weights": "own.safetensors"}
    assert "fit none of torchvision's networks" in CONFIG.read_text()


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\\b", "ä😀", "a\x7fb", "[x]", "'''"])
def test_any_name_can_be_written(name: str) -> None:
    put_pictures(f"images/{name}.jpg")
    row = {name: f"images/{name}.jpg", "label": name, "split": "test"}
    put_table("metadata.csv", [row])
    assert init()["data"] == {"path": "data", "image_column": name, "split": "test"}


def test_pipes_in_the_folder_are_not_opened() -> None:
    put_pictures("dog/1.jpg")
    for name in ("metadata.csv", "a.json", "config.json", "classes.txt", "model.pth", "w.jsonl"):
        os.mkfifo(f"data/{name}")
    assert init()["data"] == {"path": "data"}


def test_mistakes_are_one_line_and_nothing_is_overwritten() -> None:
    check_refused(invoke("init", "nowhere"), 2, "nowhere is not a folder")
    check_refused(invoke("init", "data"), 2, "folder data holds no images")
    put_pictures("dog/1.jpg")
    check_refused(invoke("init", "data", "--weights", "no.pt"), 2, "weights no.pt not found")
    CONFIG.symlink_to("elsewhere.toml")
    check_refused(invoke("init", "data"), 2, "sightline.toml is here already")
    assert not Path("elsewhere.toml").exists()
    CONFIG.unlink()
    CONFIG.write_text("mine")
    check_refused(invoke("init", "data"), 2, "sightline.toml is here already")
    assert CONFIG.read_text() == "mine"
