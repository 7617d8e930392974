"""The page of a real audit with patterns: a network that takes backgrounds for classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.audit import write_page
from models.classifier.classifier import Classifier, load_classifier
from models.classifier.settings import ModelSettings
from tasks.attribution.shown_images import ShownImages, mask_of, picture_of
from tasks.discover.pattern_pictures import EXEMPLARS, RECIPIENTS, pictures_of_patterns
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import Pattern, PatternPictures, PatternSummary
from tasks.storage.parquet import read_table
from tests.support.html_page import Page
from tests.support.pattern_audits import audit_with_patterns, write_benchmark_with_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark_with_model(tmp_path_factory.mktemp("patterns"))


@pytest.fixture(scope="module")
def run(model: Path) -> RunFolder:
    run = audit_with_patterns(model.parent / "run", model.parent / "benchmark", model)
    write_page(run)
    return run


@pytest.fixture(scope="module")
def found(run: RunFolder) -> PatternSummary:
    patterns = open_run(run.path).summary().patterns
    assert patterns is not None
    return patterns


@pytest.fixture(scope="module")
def pictures(run: RunFolder) -> dict[str, PatternPictures]:
    return {it.pattern: it for it in pictures_of_patterns(run)}


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return load_classifier(ModelSettings(address=str(model)))


def background_of(pattern: Pattern) -> str:
    (value,) = [it.value for it in pattern.enriched if it.column == "background"]
    return value


def test_the_four_backgrounds_are_confirmed_for_the_classes_that_they_stand_for(
    found: PatternSummary,
) -> None:
    pulls = {background_of(it): it.pulls_to for it in found.confirmed}
    assert pulls == {"sea": "fish", "forest": "mushroom", "sky": "balloon", "desert": "cactus"}


def test_members_errors_and_columns_are_counted_again(
    run: RunFolder, found: PatternSummary
) -> None:
    rows = open_run(run.path).table()
    labels, predictions, backgrounds = (
        np.array(rows[name].to_pylist()) for name in ("label", "prediction", "background")
    )
    row_ids = np.array(rows["row_id"].to_pylist())
    members = read_table(run.pattern_members)
    for pattern in found.confirmed:
        of_pattern = np.array(members["pattern"].to_pylist()) == pattern.id
        member_N = np.isin(row_ids, np.array(members["row_id"].to_pylist())[of_pattern])
        wrong_N = (predictions == pattern.pulls_to) & (labels != pattern.pulls_to)
        assert (pattern.errors.count, pattern.errors.of) == (
            (wrong_N & member_N).sum(),
            wrong_N.sum(),
        )
        background = background_of(pattern)
        (value,) = [it for it in pattern.enriched if it.value == background]
        has_it_N = backgrounds == background
        assert (value.members.count, value.members.of) == (
            (has_it_N & member_N).sum(),
            member_N.sum(),
        )
        assert value.others.count == (has_it_N & ~member_N).sum()
        assert value.q < 1e-6


def test_each_pattern_has_its_pictures(
    found: PatternSummary, pictures: dict[str, PatternPictures]
) -> None:
    assert list(pictures) == [it.id for it in found.shown]
    for pattern in found.shown:
        made = pictures[pattern.id]
        assert [it.row_id for it in made.exemplars] == list(pattern.exemplars[:EXEMPLARS])
        assert [it.row_id for it in made.recipients] == list(pattern.recipients[:RECIPIENTS])


def test_a_strip_shows_what_the_network_saw_and_said(
    run: RunFolder,
    found: PatternSummary,
    pictures: dict[str, PatternPictures],
    classifier: Classifier,
) -> None:
    images = ShownImages(open_run(run.path))
    for pattern in found.confirmed:
        for recipient in pictures[pattern.id].recipients:
            sample = images.sample(recipient.row_id)
            assert sample is not None
            mask_HW = mask_of(sample)
            assert mask_HW is not None
            assert (recipient.picture_HW3 == picture_of(sample)).all()
            assert recipient.on_pattern.background in pattern.exemplars
            assert recipient.on_control.background in pattern.controls
            for put in (recipient.on_pattern, recipient.on_control):
                other = images.sample(put.background)
                assert other is not None
                other_mask_HW = mask_of(other)
                assert other_mask_HW is not None
                outside_HW = ~mask_HW & ~other_mask_HW
                for part_HW, source_HW3 in (
                    (mask_HW, picture_of(sample)),
                    (outside_HW, picture_of(other)),
                ):
                    apart = put.picture_HW3[part_HW].astype(int) - source_HW3[part_HW]
                    assert np.abs(apart).mean() < 4  # the masks' edges are soft
                image_1CHW = classifier.preprocessing.normalise(
                    torch.as_tensor(put.picture_HW3.copy()).permute(2, 0, 1)[None]
                )
                with torch.no_grad():
                    said = int(classifier.network(image_1CHW).argmax())
                assert classifier.classes[said] == put.prediction


def test_the_page_shows_them(run: RunFolder, found: PatternSummary) -> None:
    page = Page(run.report.read_text(encoding="utf-8"))
    assert "What predictions rest on" in page.words
    assert "4 patterns are confirmed" in page.words
    assert sum(tag == "article" for tag, _ in page.elements) == len(found.shown)


def test_a_region_is_shown_where_it_was_put(
    run: RunFolder, found: PatternSummary, tmp_path: Path
) -> None:
    """The same trial, as if its upper left had been exchanged."""
    region = {"exchanged": "region", "region": ((0, 0), (0, 1), (1, 0), (1, 1)), "grid": (8, 8)}
    first = found.confirmed[0].model_copy(update=region)
    summary = open_run(run.path).summary()
    changed = summary.model_copy(
        update={"patterns": found.model_copy(update={"candidates": (first,)})}
    )
    copy = RunFolder.at(shutil.copytree(str(run.path), tmp_path / "copy"))
    copy.summary.write_text(changed.model_dump_json(), encoding="utf-8")
    (made,) = pictures_of_patterns(copy)
    assert len(made.recipients) == RECIPIENTS
    for recipient in made.recipients:
        other = ShownImages(open_run(run.path)).sample(recipient.on_pattern.background)
        assert other is not None
        mask_HW = mask_of(other)
        assert mask_HW is not None
        assert not mask_HW[:4, :4].any()  # its object, which is filled, lies elsewhere
        put_HW3 = recipient.on_pattern.picture_HW3.astype(int)
        assert np.abs(put_HW3[:8, :8] - picture_of(other)[:8, :8]).max() <= 2
        assert np.abs(put_HW3[40:] - recipient.picture_HW3[40:]).max() <= 1


def test_a_picture_that_is_gone_is_left_out(
    run: RunFolder, model: Path, found: PatternSummary
) -> None:
    first = found.confirmed[0]
    gone = {first.exemplars[0], first.recipients[1]}
    files = [model.parent / "benchmark" / row_id for row_id in gone]
    for file in files:
        file.rename(f"{file}.gone")
    made = next(it for it in pictures_of_patterns(run) if it.pattern == first.id)
    for file in files:
        Path(f"{file}.gone").rename(file)
    assert [it.row_id for it in made.exemplars] == list(first.exemplars[1 : EXEMPLARS + 1])
    assert [it.row_id for it in made.recipients] == list(first.recipients[2 : RECIPIENTS + 2])
