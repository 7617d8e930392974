"""The stand-in of a hundred classes can be audited, and its classes can be learnt."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from models.classifier.small_resnet import small_preprocessing
from tasks.finetune.images import TrainingImages
from tasks.finetune.predict import predict_classes
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import PREDICTIONS
from tasks.synthetic.baseline import train_small_resnet
from tasks.synthetic.dataset import plan, scene_of
from tasks.synthetic.scene import render
from tasks.synthetic.settings import BenchmarkSettings
from tests.support.audits import MANY_CLASSES

UNBIASED = BenchmarkSettings(look="third", strength=0.1, train=25_000, validation=0, test=5000)


def test_the_stand_in_is_audited_and_predicts_many_classes(many_classes_run: RunFolder) -> None:
    run = open_run(many_classes_run.path)
    assert run.summary().model.classes == MANY_CLASSES.classes
    parts = [run.part(PREDICTIONS, shard) for shard in run.shards]
    rows = [row for part in parts if part is not None for row in part.to_pylist()]
    assert set(Counter(row["label"] for row in rows).values()) == {2}
    assert len({row["label"] for row in rows}) == 100
    assert len({row["prediction"] for row in rows}) >= 50


def pictures_of(split: str, labels: list[str]) -> TrainingImages:
    """The pictures of some classes, which are numbered by the list."""
    rows = [row for row in plan(UNBIASED) if row.split == split and row.label in labels]
    image_NHW3 = np.stack([render(scene_of(vars(row)), UNBIASED).image_HW3 for row in rows])
    image_NCHW = torch.from_numpy(image_NHW3).permute(0, 3, 1, 2).contiguous()
    return TrainingImages.of(image_NCHW, torch.tensor([labels.index(row.label) for row in rows]))


@pytest.mark.full
def test_ten_classes_are_learnt_on_backgrounds_that_do_not_tell_them() -> None:
    """Every shape, every texture and every part is among them."""
    labels = list(UNBIASED.classes[::11])
    preprocessing = small_preprocessing(UNBIASED.image_size)
    train, test = (pictures_of(split, labels) for split in ("train", "test"))
    network = train_small_resnet(train, preprocessing, len(labels), seed=0)
    right_N = predict_classes(network, test.image_NCHW, preprocessing) == test.label_N
    assert right_N.float().mean() > 0.9
    per_class = [right_N[test.label_N == label].float().mean() for label in range(len(labels))]
    assert min(per_class) > 0.75
