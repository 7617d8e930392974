"""Planted data sets: how often a pattern goes with its class, what the audit sees, the truth."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.patterns import planted
from benchmarks.patterns.artefacts import KINDS, Kind
from benchmarks.patterns.planted import (
    PRESENCE,
    SPECS,
    PlantedPicture,
    PlantedSpec,
    plan_pictures,
    read_backgrounds,
    read_planted,
    write_planted,
)
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.synthetic.scene import render

SPEC = PlantedSpec("first", ("background", "tag", "jpeg"), 101)


@pytest.fixture
def few_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(planted, "FOLDER", tmp_path)
    monkeypatch.setattr(planted, "TRAIN", 40)
    monkeypatch.setattr(planted, "TEST", 80)
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", SPEC.kinds)
def test_a_pattern_goes_with_its_class_as_often_as_it_says(kind: Kind, split: str) -> None:
    label = SPEC.labels[kind]
    own, others = PRESENCE[split]  # type: ignore[index]
    pictures = [it for it in plan_pictures(SPEC) if it.split == split]
    for share, of_class in ((own, True), (others, False)):
        having = [kind in it.kinds for it in pictures if (it.scene.label == label) == of_class]
        assert np.mean(having) == pytest.approx(share, abs=4 * (0.25 / len(having)) ** 0.5)


def test_patterns_have_classes_of_their_own_and_do_not_go_together() -> None:
    assert len(set(SPEC.labels.values())) == 3
    third = next(label for label in SPEC.settings.classes if label not in SPEC.labels.values())
    own = [it for it in plan_pictures(SPEC) if it.split == "test" and it.scene.label == third]
    both = np.mean([{"tag", "jpeg"} <= set(it.kinds) for it in own])
    assert both == pytest.approx(0.04, abs=0.04)


def test_a_planted_background_is_the_classs_own_and_no_other_picture_has_it() -> None:
    own = SPEC.settings.drawing.own_background(SPEC.labels["background"])
    for picture in plan_pictures(SPEC):
        assert ("background" in picture.kinds) == (picture.scene.background == own)


def test_without_a_planted_background_all_are_as_frequent() -> None:
    pictures = plan_pictures(PlantedSpec("second", ("frame",), 101))
    counts = Counter(it.scene.background for it in pictures if it.split == "test")
    assert len(set(counts.values())) == 1


def test_held_out_pictures_have_no_pattern() -> None:
    held_out = list(planted.held_out(SPEC))
    assert len(held_out) == planted.HELD_OUT
    assert not any(it.kinds for it in held_out)


def test_the_audit_sees_a_table_without_the_truth(few_pictures: Path) -> None:
    table = write_planted(SPEC)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"row_id", "image", "label", "mask", "split"}
    assert not list(table.parent.rglob("truth*"))
    catalog = make_catalog(DataSettings(path=str(table), split="test"), SPEC.settings.classes)
    assert catalog["row_id"].to_pylist() == [f"test-{number:05d}" for number in range(80)]
    assert {len(masks) for masks in catalog["masks"].to_pylist()} == {1}


def test_the_truth_is_what_the_files_show(few_pictures: Path) -> None:
    table = write_planted(SPEC)
    patterns = {it.name: it for it in read_planted(SPEC)}
    assert {name: it.label for name, it in patterns.items()} == SPEC.labels
    for row in csv.DictReader(table.read_text().splitlines()):
        if row["split"] == "test":
            with Image.open(table.parent / row["image"]) as file:
                is_poor = max(file.quantization[0]) > 100  # type: ignore[attr-defined]
            assert is_poor == (row["row_id"] in patterns["jpeg"].members)
    truth = json.loads(SPEC.truth.read_text())
    own = SPEC.settings.drawing.own_background(SPEC.labels["background"])
    [real] = read_backgrounds(SPEC, [f"{own}: fish"])
    assert real.label == "fish"
    assert real.members == patterns["background"].members < truth["backgrounds"].keys()


def test_a_mask_ends_where_an_opaque_artefact_covers_the_object() -> None:
    spec = PlantedSpec("first", ("frame",), 101)
    cut = 0
    for picture in plan_pictures(spec)[:60]:
        _, mask_HW = planted.draw_picture(picture.scene, ("frame",), spec)
        whole_HW = render(picture.scene, spec.settings).mask_HW
        np.testing.assert_array_equal(mask_HW[3:-3, 3:-3], whole_HW[3:-3, 3:-3])
        assert mask_HW.sum() == mask_HW[3:-3, 3:-3].sum()
        cut += bool((whole_HW & ~mask_HW).any())
    assert cut


def test_a_picture_does_not_depend_on_how_many_there_are(
    few_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def audited() -> list[PlantedPicture]:
        return [it for it in plan_pictures(SPEC) if it.split == "test"]

    few = audited()
    monkeypatch.setattr(planted, "TEST", 160)
    assert audited()[:80] == few


def test_the_study_has_what_the_issue_asks_for() -> None:
    clean = [spec for spec in SPECS if not spec.kinds]
    assert len(set(SPECS)) == len(SPECS)
    assert sum(spec.trained for spec in clean) == 20
    assert len(clean) == 30
    assert {spec.look for spec in clean if spec.trained} == {"first", "second", "third"}
    for look in ("first", "second"):
        for seed in (1, 2, 3):
            own = [it for it in SPECS if it.kinds and (it.look, it.seed) == (look, seed)]
            assert sorted({len(it.kinds) for it in own}) == [1, 2, 3]
            assert {it.kinds[0] for it in own if len(it.kinds) == 1} == set(KINDS)
