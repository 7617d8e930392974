"""The generated benchmark: exact masks and backgrounds, planted correlation, frozen pixels."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from models.errors import UserError
from tasks import synthetic
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.synthetic.dataset import plan, read_rows, read_settings, scene_of, write_benchmark
from tasks.synthetic.primitives import Draw, clouds, picture_plane, sine
from tasks.synthetic.scene import Scene, render, render_backdrop
from tasks.synthetic.settings import VERSION, BenchmarkSettings

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "generate.json"
FEW = BenchmarkSettings(train=12, validation=4, test=16, seed=5)
LOOK_NAMES = ("first", "second", "third")
FAMILIES = [(look, size) for look in LOOK_NAMES for size in ("small", "default", "large")]
STRIDE = 137  # prime, so that a few steps through a thousand pairs meet all kinds of them


def of_family(look: str, size: str, **more: Any) -> BenchmarkSettings:
    return BenchmarkSettings.model_validate({"look": look, "object_size": size, **more})


def scenes(settings: BenchmarkSettings, count: int) -> list[Scene]:
    """Every class on every background, repeated to `count`, or a spread of so many."""
    pairs = list(product(settings.classes, settings.backgrounds))
    step = 1 if len(pairs) <= count else STRIDE
    return [Scene(*pairs[i * step % len(pairs)], 100 + i, 200 + i) for i in range(count)]


# Objects and backgrounds


@pytest.mark.parametrize(("look", "size"), FAMILIES)
def test_an_object_has_the_same_pixels_on_every_background(look: str, size: str) -> None:
    settings = of_family(look, size)
    for scene in scenes(settings, 16):
        here = render(scene, settings)
        for background in settings.backgrounds:
            there = render(replace(scene, background=background, background_seed=7), settings)
            assert (there.mask_HW == here.mask_HW).all()
            assert (there.image_HW3[here.mask_HW] == here.image_HW3[here.mask_HW]).all()


@pytest.mark.parametrize(("look", "size"), FAMILIES)
def test_outside_the_mask_is_exactly_the_background(look: str, size: str) -> None:
    settings = of_family(look, size)
    for scene in scenes(settings, 16):
        picture, backdrop_HW3 = render(scene, settings), render_backdrop(scene, settings)
        assert (picture.image_HW3[~picture.mask_HW] == backdrop_HW3[~picture.mask_HW]).all()
        other = render_backdrop(replace(scene, background_seed=1), settings)
        assert (other != backdrop_HW3).mean() > 0.3


@pytest.mark.parametrize("look", LOOK_NAMES)
def test_the_backdrop_does_not_depend_on_the_class(look: str) -> None:
    settings = of_family(look, "default")
    for background in settings.backgrounds:
        scene = Scene(settings.classes[0], background, 3, 4)
        there_HW3 = render_backdrop(scene, settings)
        for label in settings.classes:
            assert (render_backdrop(replace(scene, label=label), settings) == there_HW3).all()


@pytest.mark.parametrize(("look", "size"), FAMILIES)
def test_mean_area_of_the_objects(look: str, size: str) -> None:
    settings = of_family(look, size)
    mean, tolerance = {"small": (0.08, 0.005), "default": (0.15, 0.01), "large": (0.26, 0.03)}[size]
    areas = [float(render(scene, settings).mask_HW.mean()) for scene in scenes(settings, 96)]
    assert np.mean(areas) == pytest.approx(mean, abs=tolerance)
    assert min(areas) > 0.5 * mean
    assert max(areas) < 1.7 * mean


def test_default_objects_are_whole() -> None:
    for look in LOOK_NAMES:
        settings = of_family(look, "default")
        for scene in scenes(settings, 64):
            mask_HW = render(scene, settings).mask_HW
            edge = np.concatenate([mask_HW[0], mask_HW[-1], mask_HW[:, 0], mask_HW[:, -1]])
            assert not edge.any()


@pytest.mark.parametrize("look", LOOK_NAMES)
def test_every_image_size_shows_the_same_picture(look: str) -> None:
    small, large = of_family(look, "default"), of_family(look, "default", image_size=128)
    for scene in scenes(small, 16):
        picture_HW3 = render(scene, large).image_HW3.astype(float)
        halved_HW3 = picture_HW3.reshape(64, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(halved_HW3 - render(scene, small).image_HW3).mean() < 12


# The tag


def test_the_tag_is_small_and_behind_the_object() -> None:
    for look, size in FAMILIES:
        settings = of_family(look, size)
        for scene in scenes(settings, 16):
            plain, tagged = render(scene, settings), render(replace(scene, tagged=True), settings)
            changed_HW = (plain.image_HW3 != tagged.image_HW3).any(2)
            assert 0.004 < changed_HW.mean() <= 0.02
            assert not (changed_HW & plain.mask_HW).any()
            assert (plain.mask_HW == tagged.mask_HW).all()


def test_the_tag_is_on_one_class_in_training_and_on_half_of_all_in_the_test() -> None:
    settings = BenchmarkSettings(tag="cactus", train=64, validation=0, test=640)
    rows = plan(settings)
    assert {row.label for row in rows if row.split == "train" and row.tagged} == {"cactus"}
    assert all(row.tagged for row in rows if row.split == "train" and row.label == "cactus")
    tested = Counter(row.label for row in rows if row.split == "test" and row.tagged)
    assert set(tested) == set(settings.classes)
    assert all(50 <= count <= 110 for count in tested.values())
    untagged = plan(settings.model_copy(update={"tag": None}))
    assert [replace(row, tagged=False) for row in rows] == untagged


def test_an_unknown_class_for_the_tag_is_refused() -> None:
    with pytest.raises(
        ValidationError, match="not a class of the first look, which has 'fish', 'm"
    ):
        BenchmarkSettings(tag="mug")
    message = "and 92 more \\(did you mean 'plain star with legs'"
    with pytest.raises(ValidationError, match=message):
        BenchmarkSettings(look="third", tag="plain star with leg")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="strenght"):
        BenchmarkSettings.model_validate({"strenght": 0.5})


# The plan


@pytest.mark.parametrize("strength", [0.1, 0.25, 0.8, 0.95])
@pytest.mark.parametrize("look", LOOK_NAMES)
def test_the_strength_is_the_share_on_the_background_of_the_class(
    look: str, strength: float
) -> None:
    settings = of_family(look, "default", strength=strength, train=4000, validation=0, test=0)
    own = {label: settings.drawing.own_background(label) for label in settings.classes}
    rows = plan(settings)
    share = np.mean([row.background == own[row.label] for row in rows])
    assert share == pytest.approx(strength, abs=0.025)
    counts = Counter(
        (own[row.label], row.background) for row in rows if row.background != own[row.label]
    )
    kinds = len(settings.backgrounds)
    expected = 4000 * (1 - strength) / (kinds * (kinds - 1))
    assert len(counts) > 0.8 * kinds * (kinds - 1)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


@pytest.mark.parametrize(("look", "pictures"), [("first", 16), ("second", 16), ("third", 1000)])
def test_the_test_split_is_balanced(look: str, pictures: int) -> None:
    rows = [row for row in plan(of_family(look, "default", test=pictures)) if row.split == "test"]
    assert set(Counter(row.group for row in rows).values()) == {1}
    assert len({row.group for row in rows}) == pictures


def test_each_hundred_of_test_pictures_shows_every_class_and_every_background_alike() -> None:
    settings = of_family("third", "default", train=0, validation=0, test=1000)
    rows = plan(settings)
    for start in range(0, 1000, 100):
        part = rows[start : start + 100]
        assert {row.label for row in part} == set(settings.classes)
        assert set(Counter(row.background for row in part).values()) == {10}
        own = [row.background == settings.drawing.own_background(row.label) for row in part]
        assert sum(own) == 10


def test_a_row_does_not_depend_on_how_many_there_are() -> None:
    more = plan(FEW.model_copy(update={"train": 20}))
    assert more[:12] == plan(FEW)[:12]
    assert plan(FEW.model_copy(update={"seed": 6}))[0] != plan(FEW)[0]


# The dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_benchmark(folder, FEW)
    return folder


def test_the_table_renders_its_files_again(folder: Path) -> None:
    rows = read_rows(folder)
    assert len(rows) == 32
    for row in rows:
        picture = render(scene_of(row), read_settings(folder))
        with Image.open(folder / row["file_name"]) as file:
            assert (np.asarray(file) == picture.image_HW3).all()
        with Image.open(folder / row["mask"]) as file:
            assert (np.asarray(file) == picture.mask_HW * np.uint8(255)).all()


def test_the_catalog_reads_it_as_any_other_dataset(folder: Path) -> None:
    catalog = make_catalog(DataSettings(path=str(folder), split="test"), FEW.classes)
    assert len(catalog) == 16
    assert catalog["masks"].null_count == 0
    assert set(catalog["label"].to_pylist()) == set(FEW.classes)
    assert {"group", "background", "split"} <= set(catalog.column_names)


def test_two_processes_write_what_one_writes(folder: Path, tmp_path: Path) -> None:
    write_benchmark(tmp_path, FEW, processes=2)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_a_complete_folder_is_neither_drawn_again_nor_overwritten(folder: Path) -> None:
    picture = folder / "images" / "test" / "00000.png"
    before = picture.stat().st_mtime_ns
    write_benchmark(folder, FEW)
    assert picture.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="its seed, strength differ"):
        write_benchmark(folder, FEW.model_copy(update={"seed": 1, "strength": 0.5}))


@pytest.mark.parametrize("name", ["metadata.csv", "images", "masks"])
def test_files_of_others_are_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.png").touch()
    with pytest.raises(UserError, match=f"{name} is not of a generated benchmark"):
        write_benchmark(tmp_path, FEW)
    assert [path.name for path in tmp_path.rglob("*")] == [name, "mine.png"]


def test_a_killed_drawing_is_completed(folder: Path, tmp_path: Path) -> None:
    half = Path(shutil.copytree(folder, tmp_path / "half"))
    (half / "metadata.csv").unlink()
    (half / "images/test/00003.png").write_bytes(b"half")
    write_benchmark(half, FEW)
    for path in folder.rglob("*.*"):
        assert (half / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_folder_of_another_version_is_refused(folder: Path, tmp_path: Path) -> None:
    identity = json.loads((folder / "benchmark.json").read_text())
    (tmp_path / "benchmark.json").write_text(json.dumps({**identity, "version": 0}))
    with pytest.raises(UserError, match="drawn by version 0"):
        read_settings(tmp_path)
    (tmp_path / "benchmark.json").write_text("{}")
    with pytest.raises(UserError, match="does not describe a generated benchmark"):
        read_settings(tmp_path)


# What fixes the pixels


def test_the_looks_share_primitives_only() -> None:
    package = Path(synthetic.__file__).parent
    own_files = {
        "toys": {f"tasks.synthetic.toy_{file}" for file in ("parts", "shapes", "textures")}
    }
    paths = [path for look in ("nature", "town", "toy") for path in package.glob(f"{look}*.py")]
    assert len(paths) == 10
    for path in paths:
        tree = ast.parse(path.read_text())
        sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "tasks.synthetic.primitives" in sources
        ours = {name for name in sources if name is not None and name.startswith("tasks")}
        assert ours - {"tasks.synthetic.primitives"} == own_files.get(path.stem, set())
        assert names == {"numpy"}


# Rounded the same on every machine; sin, exp, sum and the like are not.
EXACT = """abs append arange array ascontiguousarray clip copyto diff floor full full_like inf
maximum meshgrid minimum roll sqrt where zeros zeros_like""".split()  # noqa: SIM905
TYPES = ["float32", "floating", "int64", "uint8", "bool_"]


def test_only_exactly_rounded_operations_draw() -> None:
    for path in Path(synthetic.__file__).parent.glob("*.py"):
        text = path.read_text().replace("np.random.default_rng", "").replace("0.5**octave", "")
        assert set(re.findall(r"\bnp\.(\w+)", text)) <= {*EXACT, *TYPES}, path.name
        assert not re.search(r"\w\*\*\w|\w \*\* \w| @ ", text.replace("2**31", "")), path.name


def test_sine_is_close_to_the_sine() -> None:
    turns = np.linspace(-3, 3, 2000)
    assert np.abs(sine(turns) - np.sin(2 * np.pi * turns)).max() < 2e-3


def test_fields_are_float32_between_0_and_1() -> None:
    field_HW = clouds(Draw(0), 64, 5, 3)
    assert field_HW.dtype == np.float32
    assert field_HW.min() >= 0
    assert field_HW.max() <= 1
    for look in LOOK_NAMES:
        drawing = of_family(look, "default").drawing
        for kind in drawing.objects.values():
            plane = picture_plane(64).transform((0.5, 0.5), 0.1, 0.3)
            assert kind.draw(Draw(1), plane).colour_3HW.dtype == np.float32
        for scene in drawing.scenes.values():
            assert scene(Draw(1), picture_plane(64)).dtype == np.float32


@pytest.mark.parametrize(("look", "size"), FAMILIES)
@pytest.mark.parametrize("image_size", [64, 96, 128])
def test_the_pixels_are_frozen(look: str, size: str, image_size: int) -> None:
    """A change here changes every figure of the project: raise VERSION, with CHANGELOG."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["version"] == VERSION
    assert golden["sha256"][f"{look} {size} {image_size}"] == digest(look, size, image_size)


def digest(look: str, size: str, image_size: int) -> str:
    settings = of_family(look, size, image_size=image_size)
    total = hashlib.sha256()
    for scene in scenes(settings, 16 if look != "third" else 40):
        picture = render(replace(scene, tagged=True), settings)
        total.update(picture.image_HW3.tobytes() + picture.mask_HW.tobytes())
    return total.hexdigest()
