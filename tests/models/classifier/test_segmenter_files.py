"""The files of a segmenter are checked early, and are what a finished run depends on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.classifier.segmenter_files import check_segmenter_files, files_of_segmenter
from models.errors import SegmenterError
from tests.support.onnx_segmenters import red_segmenter

ROOT = Path(__file__).parents[3]


def test_files_are_those_that_are_there(tmp_path: Path) -> None:
    address = red_segmenter(tmp_path / "red.onnx", external="red.onnx.data")
    data = str(tmp_path / "red.onnx.data")
    name = str(tmp_path / "red.onnx")
    assert files_of_segmenter(address) == [name, data]
    (tmp_path / "red.json").write_text("{}")
    assert files_of_segmenter(address) == [name, str(tmp_path / "red.json"), data]


@pytest.mark.parametrize(
    ("address", "files"),
    [
        ("estimate", []),
        ("annotated", []),
        ("torchvision:fcn_resnet50", []),
        ("segment.py:build", None),
        ("rembg:u2net", None),
    ],
)
def test_code_and_packages_are_not_files(address: str, files: list[str] | None) -> None:
    assert files_of_segmenter(address) == files


def test_a_mistake_is_found_without_torch(tmp_path: Path) -> None:
    check_segmenter_files("estimate")
    check_segmenter_files(red_segmenter(tmp_path / "red.onnx"))
    with pytest.raises(SegmenterError, match="not found"):
        check_segmenter_files(f"onnx:{tmp_path / 'other.onnx'}")
    (tmp_path / "red.json").write_text('{"mean": 0.5}')
    program = (
        "import sys\nfrom models.classifier.segmenter_files import check_segmenter_files\n"
        f"try:\n    check_segmenter_files('onnx:{tmp_path / 'red.onnx'}')\n"
        "except Exception as error:\n    print(error, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "red.json: mean: " in done.stdout
    assert done.stdout.endswith(" False\n")
