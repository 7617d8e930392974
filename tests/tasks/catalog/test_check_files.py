"""Some files are checked before work begins: spread over the rows, fewer where they are remote."""

from __future__ import annotations

import io
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from tasks.catalog.catalog import make_catalog
from tasks.catalog.check_files import check_files
from tasks.catalog.settings import DataSettings


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(("images", "checked"), [(5, 5), (300, 256), (700, 256)])
def test_rows_from_the_first_to_the_last_are_checked(
    tmp_path: Path, images: int, checked: int
) -> None:
    for number in range(images):
        (tmp_path / f"{number:04d}.jpg").write_bytes(jpeg())
    for broken in (0, images - 1):
        (tmp_path / f"{broken:04d}.jpg").write_bytes(b"no picture")
    checks = check_files(make_catalog(DataSettings(path=str(tmp_path)), ("cat",)), "upright")
    assert len(checks) == checked
    assert [index for index, check in enumerate(checks) if check.problem] == [0, checked - 1]
    assert "cannot be decoded" in str(checks[0].problem)


def test_few_rows_are_checked_where_files_are_remote() -> None:
    memory = fsspec.filesystem("memory")
    for number in range(100):
        memory.pipe_file(f"/far/{number:04d}.jpg", jpeg())
    catalog = make_catalog(DataSettings(path="memory://far"), ("cat",))
    memory.rm("/far", recursive=True)
    checks = check_files(catalog, "upright")
    assert len(checks) == 32
    assert all(check.problem for check in checks)


def test_a_mask_that_does_not_fit_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    for name, size in (("photos/cat/1.jpg", (8, 8)), ("masks/cat/1.png", (8, 6))):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", size, 255).save(tmp_path / name)
    data = DataSettings(path=str(tmp_path / "photos"), masks=str(tmp_path / "masks"))
    (check,) = check_files(make_catalog(data, ("cat",)), "upright")
    mask, photo = tmp_path / "masks/cat/1.png", tmp_path / "photos/cat/1.jpg"
    assert check.problem == (
        f"mask {mask} is 8x6, image {photo} is 8x8: export it again or drop the row"
    )
