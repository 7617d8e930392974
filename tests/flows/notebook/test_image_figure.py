"""An image and a run as a notebook shows them."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from models.classifier.settings import ModelSettings
from reports.heatmaps import overlay
from tasks.catalog.settings import DataSettings
from tasks.runs.folder import RunFolder
from tests.support.audits import run_audit
from tests.support.html_page import Page


@pytest.fixture(scope="module")
def run(finished_run: RunFolder) -> sightline.Run:
    return sightline.open_run(finished_run.path)


def pictures(html: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/\w+;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(it)))) for it in found]


def test_it_shows_picture_map_and_every_change(run: sightline.Run) -> None:
    row_id = run.flagged()["row_id"][0]
    changes = run.frame("arrow", table="interventions")
    changes = [row for row in changes.to_pylist() if row["row_id"] == row_id]
    figure = run.show(row_id)
    shown = pictures(figure._repr_html_())
    assert len(shown) == 2 + len(changes)
    words = Page(figure.html).words
    row = run.frame().set_index("row_id").loc[row_id]
    assert row["prediction"] in repr(figure)
    assert f"score {row['score']:.2f}" in words
    for change in changes:
        assert f"{100 * change['probability']:.1f}%" in words or change["probability"] < 0.001
    removed = re.search(r"(\S+%)( → \S+)? object removed", words)
    assert removed is not None
    assert (removed[2] is not None) == (changes[0]["prediction"] != row["prediction"])


def test_the_map_is_of_the_method_that_is_asked_for(run: sightline.Run) -> None:
    row_id = run.catalog["row_id"][2].as_py()
    picture_HW3 = np.asarray(Image.open(run.catalog["image"][2].as_py()).convert("RGB"))
    flags = run.frame("arrow", columns=["row_id"], table="scores", method="grad_cam_pp")
    assert row_id in flags["row_id"].to_pylist()
    seen = {}
    for method in ("grad_cam", "layer_cam"):
        map_HW = abs(run.maps([row_id], method, picture_HW3.shape[:2])[row_id])
        mask_HW = np.asarray(Image.open(_mask_of(run, 2))) > 0
        seen[method] = pictures(run.show(row_id, method).html)[1]
        drawn = overlay(picture_HW3, map_HW, mask_HW)
        assert abs(seen[method].astype(int) - drawn).mean() < 4  # JPEG
    assert abs(seen["grad_cam"].astype(int) - seen["layer_cam"]).mean() > 0.5
    usual, named = run.show(row_id), run.show(row_id, run.summary().rule.method)
    assert usual.html == named.html


def _mask_of(run: sightline.Run, number: int) -> str:
    (mask,) = run.catalog["masks"][number].as_py()
    return str(mask)


def test_a_mistake_is_one_line(run: sightline.Run) -> None:
    with pytest.raises(
        sightline.UserError,
        match=r"no row 'images/test/0050.png' \(did you mean 'images/test/00050",
    ):
        run.show("images/test/0050.png")
    row_id = run.catalog["row_id"][0].as_py()
    with pytest.raises(sightline.UserError, match=r"no maps of 'gradcam' \(did you mean 'grad"):
        run.show(row_id, "gradcam")


def test_a_picture_that_is_gone_or_never_was_is_named(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(benchmark_folder, tmp_path / "data")
    images = [f"images/test/{number:05d}.png" for number in range(2)]
    (data / images[0]).write_bytes(b"no picture")
    settings = DataSettings(path=str(data), split="test", limit=4)
    folder = run_audit(tmp_path / "run", settings, ModelSettings(address=str(bundle))).path
    (data / images[1]).unlink()
    run = sightline.open_run(folder)
    with pytest.raises(sightline.UserError, match=rf"{images[0]} has no prediction \(.+: .+\)"):
        run.show(images[0])
    with pytest.raises(sightline.UserError, match=images[1]):
        run.show(images[1])


def test_a_run_shows_its_headline(run: sightline.Run) -> None:
    html = run._repr_html_()
    words = Page(html).words
    accuracy = run.summary().accuracy.value
    assert accuracy is not None
    assert f"Accuracy {100 * accuracy:.1f}%" in words
    assert "64 images" in words
    assert repr(run) == f"sightline.open_run({str(run.folder.path)!r})"
