"""Some files are looked at before work begins: spread over the rows, fewer where they are far."""

from __future__ import annotations

import io
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from tasks.catalog import DataSettings, make_catalog
from tasks.inputs.glance import look_at


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(("images", "looked"), [(5, 5), (300, 256), (700, 256)])
def test_rows_from_the_first_to_the_last_are_looked_at(
    tmp_path: Path, images: int, looked: int
) -> None:
    for number in range(images):
        (tmp_path / f"{number:04d}.jpg").write_bytes(jpeg())
    for broken in (0, images - 1):
        (tmp_path / f"{broken:04d}.jpg").write_bytes(b"no picture")
    looks = look_at(make_catalog(DataSettings(path=str(tmp_path)), ("cat",)), "upright")
    assert len(looks) == looked
    assert [at for at, look in enumerate(looks) if look.problem] == [0, looked - 1]
    assert "cannot be decoded" in str(looks[0].problem)


def test_few_rows_are_looked_at_where_files_are_far() -> None:
    memory = fsspec.filesystem("memory")
    for number in range(100):
        memory.pipe_file(f"/far/{number:04d}.jpg", jpeg())
    catalog = make_catalog(DataSettings(path="memory://far"), ("cat",))
    memory.rm("/far", recursive=True)
    looks = look_at(catalog, "upright")
    assert len(looks) == 32
    assert all(look.problem for look in looks)
