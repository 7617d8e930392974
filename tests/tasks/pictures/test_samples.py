"""Pictures and masks get one geometry, or become a failure that says what to do."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.classifier.preprocessing import Preprocessing
from tasks.pictures.rows import Row
from tasks.pictures.samples import Failure, MaskReading, Sample, identify, read_ahead, read_sample

PREPARED = Preprocessing(resize=(8, 8))


def saved(path: Path, array: np.ndarray) -> str:
    Image.fromarray(array).save(path)
    return str(path)


@pytest.fixture
def image(tmp_path: Path) -> str:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    return saved(tmp_path / "a.jpg", pixels)


def half(rows: int = 16, columns: int = 24, mark: int = 255) -> np.ndarray:
    mask = np.zeros((rows, columns), np.uint8)
    mask[:, : columns // 2] = mark
    return mask


def read(image: str, mask: str | None = None, polarity: str = "foreground") -> Sample | Failure:
    return read_sample(
        Row("a", image, None, None if mask is None else (mask,)),
        PREPARED,
        MaskReading(polarity, "upright"),
    )


def test_the_content_id_is_the_hash_of_the_bytes(image: str) -> None:
    sample = read(image)
    assert isinstance(sample, Sample)
    assert (
        sample.content_id == hashlib.blake2b(Path(image).read_bytes(), digest_size=16).hexdigest()
    )
    assert sample.picture_CHW.shape == (3, 8, 8)


@pytest.mark.parametrize("mark", [1, 255])
def test_masks_of_both_conventions_are_the_same(tmp_path: Path, image: str, mark: int) -> None:
    sample = read(image, saved(tmp_path / "m.png", half(mark=mark)))
    assert isinstance(sample, Sample)
    assert sample.mask_HW is not None
    assert sample.mask_HW[:, :3].eq(255).all()
    assert sample.mask_HW[:, 5:].eq(0).all()


def test_the_other_polarity_is_the_complement(tmp_path: Path, image: str) -> None:
    mask = saved(tmp_path / "m.png", half())
    plain, inverted = read(image, mask), read(image, mask, "background")
    assert isinstance(plain, Sample)
    assert isinstance(inverted, Sample)
    assert plain.mask_HW is not None
    assert inverted.mask_HW is not None
    assert (plain.mask_HW.int() + inverted.mask_HW.int()).sub(255).abs().le(1).all()


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA"])
def test_masks_of_any_mode_mark_what_is_not_zero(tmp_path: Path, image: str, mode: str) -> None:
    Image.fromarray(half()).convert(mode).save(tmp_path / "m.png")
    sample = read(image, str(tmp_path / "m.png"))
    assert isinstance(sample, Sample)
    assert sample.mask_HW is not None
    assert sample.mask_HW[:, 5:].eq(0).all()
    assert sample.mask_HW[:, :3].eq(255).all()


@pytest.mark.parametrize("kept", [0, 1, 40, 300])
def test_a_truncated_jpeg_is_a_permanent_failure(tmp_path: Path, image: str, kept: int) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(image).read_bytes()[:kept])
    failure = read(str(broken))
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.kind) == ("read", "permanent")
    assert "cannot be decoded" in failure.message
    assert "\n" not in failure.message
    assert failure.remedy == "export it again or drop the row"


def test_a_missing_file_is_transient(tmp_path: Path) -> None:
    failure = read(str(tmp_path / "nowhere.jpg"))
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.kind) == ("read", "transient")


def test_a_mask_of_another_size_costs_the_foreground_not_the_picture(
    tmp_path: Path, image: str
) -> None:
    sample = read(image, saved(tmp_path / "m.png", half(16, 20)))
    assert isinstance(sample, Sample)
    assert sample.mask_HW is None
    assert sample.failure is not None
    assert sample.failure.stage == "foreground"
    assert "m.png is 20x16, image" in sample.failure.message
    assert sample.failure.message.endswith("a.jpg is 24x16")
    assert sample.failure.remedy == "export it again or drop the row"


def test_reading_ahead_keeps_the_order_and_the_errors() -> None:
    assert list(read_ahead(range(20), lambda n: n * n, threads=4, ahead=6)) == [
        n * n for n in range(20)
    ]
    with pytest.raises(ZeroDivisionError):
        list(read_ahead([1, 0], lambda n: 1 / n, threads=2, ahead=4))


def test_reading_ahead_stays_within_its_window_and_leaves_no_thread() -> None:
    read_so_far: list[int] = []
    results = read_ahead(range(100), read_so_far.append, threads=1, ahead=5)
    next(results)
    assert len(read_so_far) <= 6
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_sixteen_bits_are_reduced_to_eight(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    sample = read(saved(tmp_path / "a.png", ramp))
    assert isinstance(sample, Sample)
    assert sample.picture_CHW.dtype == torch.uint8
    np.testing.assert_array_equal(sample.picture_CHW[0], ramp >> 8)


def test_an_animation_is_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "red")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    sample = read(str(tmp_path / "a.gif"))
    assert isinstance(sample, Sample)
    assert sample.picture_CHW.shape == (3, 8, 8)
    assert sample.picture_CHW.eq(255).all()


def test_a_missing_mask_is_transient(tmp_path: Path, image: str) -> None:
    sample = read(image, str(tmp_path / "nowhere.png"))
    assert isinstance(sample, Sample)
    assert sample.failure is not None
    assert sample.failure.kind == "transient"
    assert "nowhere.png cannot be read (No such file or directory)" in sample.failure.message
    assert sample.failure.remedy == "check the address, then run again"


def test_a_row_is_identified_as_it_is_read(tmp_path: Path, image: str) -> None:
    masks = tuple(saved(tmp_path / f"{n}.png", half(mark=n)) for n in (1, 2))
    rows = [
        Row("a", image, None),
        Row("a", image, None, masks),
        Row("a", image, None, masks[::-1]),
        Row("a", image, None, masks, (2,)),
        Row("a", image, None, masks, (2,), "[]"),
        Row("a", image, None, None, None, "[]"),
        Row("a", image, None, (), None, "nonsense"),
    ]
    samples = [read_sample(row, PREPARED, MaskReading("foreground", "upright")) for row in rows]
    ids = []
    for row, sample in zip(rows, samples, strict=True):
        assert isinstance(sample, Sample)
        assert identify(row) == (sample.content_id, sample.foreground_id)
        ids.append(sample.foreground_id)
    assert ids[0] is None
    assert len(set(ids)) == len(ids)
    with pytest.raises(OSError, match="nowhere"):
        identify(Row("a", image, None, (str(tmp_path / "nowhere.png"),)))


def test_one_missing_mask_leaves_no_part_of_a_foreground(tmp_path: Path, image: str) -> None:
    masks = (saved(tmp_path / "m.png", half()), str(tmp_path / "nowhere.png"))
    sample = read_sample(
        Row("a", image, None, masks), PREPARED, MaskReading("foreground", "upright")
    )
    assert isinstance(sample, Sample)
    assert sample.mask_HW is None
    assert sample.foreground_id is None


@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_picture_mask_and_regions_turn_together(tmp_path: Path, orientation: str) -> None:
    """The upper half is white; turned as EXIF says, it is the right half."""
    pixels = np.zeros((16, 24), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    mask = saved(tmp_path / "m.png", pixels)
    region = '[{"box": [8, 0, 8, 24]}]'
    for row in (
        Row("a", str(tmp_path / "a.png"), None, (mask,)),
        Row("a", str(tmp_path / "a.png"), None, None, None, region),
    ):
        sample = read_sample(row, PREPARED, MaskReading("foreground", orientation))
        assert isinstance(sample, Sample)
        assert sample.mask_HW is not None
        white_HW = sample.mask_HW if orientation == "stored" else sample.mask_HW.flip(1).T
        assert white_HW[:3].eq(255).all()
        assert white_HW[5:].eq(0).all()
        assert torch.equal(sample.picture_CHW[0], sample.mask_HW)


def test_regions_that_cannot_be_drawn_cost_the_foreground(image: str) -> None:
    row = Row("a", image, None, None, None, '[{"box": [1, 2, 3, 4]}, {"box": [30, 2, 3, 4]}]')
    sample = read_sample(row, PREPARED, MaskReading("foreground", "upright"))
    assert isinstance(sample, Sample)
    assert sample.failure is not None
    assert (sample.failure.stage, sample.failure.kind) == ("foreground", "permanent")
    assert sample.failure.message == (
        "region 2: it lies at x 30 to 33, y 2 to 6, outside the picture's 24x16 pixels"
    )
    assert sample.failure.remedy == "fix the regions of this row"


def test_a_picture_that_would_become_huge_is_a_failure(tmp_path: Path) -> None:
    line = saved(tmp_path / "line.png", np.zeros((1, 100_000), np.uint8))
    prepared = Preprocessing(resize=256, crop=(224, 224))
    failure = read_sample(Row("a", line, None), prepared, MaskReading("foreground", "upright"))
    assert isinstance(failure, Failure)
    assert failure.kind == "permanent"
    assert "line.png cannot be resized (its 100000x1 pixels" in failure.message
    assert failure.remedy == "crop it or drop the row"


def test_an_unprintable_name_is_escaped(tmp_path: Path) -> None:
    failure = read(str(tmp_path / "a\nb\x1b[31m.jpg"))
    assert isinstance(failure, Failure)
    assert failure.message.isprintable()
    assert r"a\nb\x1b[31m.jpg' cannot be read (No such file or directory)" in failure.message


SHORT_OF_MEMORY = """
import resource, sys
from models.classifier.preprocessing import Preprocessing
from tasks.pictures.samples import MaskReading, read_sample
from tasks.pictures.rows import Row
prepared, reading = Preprocessing(resize=(8, 8)), MaskReading("foreground", "upright")
read_sample(Row("a", sys.argv[1], None), prepared, reading)  # imports what it needs
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20),) * 2)
for large in sys.argv[2:]:
    print(read_sample(Row("a", large, None), prepared, reading))
"""


def test_where_memory_is_short_a_picture_is_tried_again(tmp_path: Path, image: str) -> None:
    large = [str(tmp_path / name) for name in ("large.jpg", "large.png")]
    for name in large:
        Image.new("RGB", (6000, 5000)).save(name)
    command = [sys.executable, "-W", "ignore", "-c", SHORT_OF_MEMORY, image, *large]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, line in zip(large, done.stdout.splitlines(), strict=True):
        assert f"{name} cannot be decoded (" in line
        assert "kind='transient'" in line
        assert "give workers more memory, then run again" in line
