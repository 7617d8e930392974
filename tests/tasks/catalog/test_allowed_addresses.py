"""What a table or an annotation file may name: its own place, local files, and what is allowed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from models.addresses import as_path
from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from tasks.catalog.allowed_addresses import AllowedAddresses, remove_secrets_from
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample
from tests.support.encoded_pictures import encoded, noise
from tests.support.web_server import WebServer, serve


@pytest.fixture(autouse=True)
def _forget_memory() -> Iterator[None]:
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def site() -> Iterator[WebServer]:
    with serve() as site:
        yield site


def table(folder: str | Path, **columns: list[Any]) -> str:
    """A table of pictures in a folder, local or not."""
    path = as_path(f"{folder}/list.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def refusal(data: DataSettings) -> str:
    with pytest.raises(UserError) as caught:
        make_catalog(data, ("cat",))
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_table_names_its_own_place_and_local_files(tmp_path: Path) -> None:
    images = ["a.png", "memory://here/b/c.png", str(tmp_path / "d.png"), f"file://{tmp_path}/e.png"]
    catalog = make_catalog(DataSettings(path=table("memory://here/lists", file_name=images)), ())
    assert catalog["image"].to_pylist() == ["memory://here/lists/a.png", *images[1:]]


@pytest.mark.parametrize("where", ["images", "masks"])
def test_the_places_of_other_options_are_allowed_too(where: str, tmp_path: Path) -> None:
    as_path("memory://there/pictures/a.png").write_bytes(b"")
    path = table(tmp_path, file_name=["memory://there/pictures/a.png"])
    assert refusal(DataSettings(path=path))
    data = DataSettings(path=path, **{where: "memory://there/pictures"})
    assert len(make_catalog(data, ())) == 1


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("memory://there/a.png", "allow others with --allow-addresses memory://there"),
        ("s3://bucket/a.png", "allow others with --allow-addresses s3://bucket"),
        ("https://there/a.png", "allow others with --allow-addresses https://there"),
        ("ftp://there/a.png", "copy the files to one of them"),
        ("reference://a.png::http://there/b.json", "copy the files to one of them"),
        ("memory://here.evil/a.png", "allow others with --allow-addresses memory://here.evil"),
    ],
)
@pytest.mark.parametrize("column", ["file_name", "mask"])
def test_another_place_is_refused_in_one_line(
    address: str, remedy: str, column: str, tmp_path: Path
) -> None:
    rows = {"file_name": ["a.png", "b.png"]} | {column: ["x.png", address]}
    line = refusal(DataSettings(path=table(tmp_path, **rows)))
    what = "mask" if column == "mask" else "image"
    assert line.startswith(f"{what} {address.partition('://')[0]}://")
    assert line.endswith(f" is neither a local file nor where the data lies: {remedy}")


def test_other_places_are_allowed_by_an_option(tmp_path: Path) -> None:
    path = table(tmp_path, file_name=["https://there:80/a.png", "s3://bucket/b.png", "c.png"])
    # as the option has them: a string is as good as a list
    data = DataSettings.model_validate(
        {"path": path, "allow_addresses": "https://there:80, s3://bucket"}
    )
    assert len(make_catalog(data, ())) == 3
    assert "https://there:80" in refusal(DataSettings(path=path, allow_addresses=("s3://bucket",)))


@pytest.mark.parametrize(
    "place",
    [
        "https://there/folder",
        "there",
        "ftp://there",
        "s3://",
        "reference://a",
        "*",
        "https://a b",
        "https://a/",
    ],
)
def test_only_a_bucket_or_a_server_is_allowed(place: str) -> None:
    with pytest.raises(ValueError, match="give a bucket or a server, without a path"):
        DataSettings(path="photos", allow_addresses=(place,))


def test_annotations_name_no_other_place_either(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "reference://a.png::https://there/b.json"}],
        "annotations": [],
        "categories": [],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    line = refusal(DataSettings(path=str(tmp_path / "instances.json")))
    assert line.startswith("image reference://a.png::https://there/b.json is neither")


def test_making_a_catalog_asks_no_web_server(site: WebServer, tmp_path: Path) -> None:
    data = DataSettings(
        path=table(tmp_path, file_name=[f"{site.address}/a.png"]), allow_addresses=(site.address,)
    )
    assert make_catalog(data, ())["stamp"].to_pylist() == ["unknown"]
    assert site.requests == []


def test_pictures_of_an_allowed_server_are_read(site: WebServer, tmp_path: Path) -> None:
    site.files["/a.png"] = encoded(noise(), "png")
    data = DataSettings(
        path=table(tmp_path, file_name=[f"{site.address}/a.png"]), allow_addresses=(site.address,)
    )
    catalog = make_catalog(data, ())
    assert check_catalog(catalog, data) == []
    (row,) = rows_of(catalog)
    sample = read_sample(row, Preprocessing(crop=(8, 8)), MaskReading("foreground", "upright"))
    assert isinstance(sample, Sample)


def test_another_run_names_no_web_server() -> None:
    data = DataSettings(
        path="s3://bucket/list.csv", allow_addresses=("https://there", "s3://other")
    )
    allowed = AllowedAddresses.of(data)
    assert allowed.include("https://there/a.png")
    assert not allowed.without_web().include("https://there/a.png")
    for address in ("s3://bucket/a.png", "s3://other/a.png", "/photos/a.png"):
        assert allowed.without_web().include(address)


SIGNED = "https://there/a.png?X-Amz-Signature=t0ken"


@pytest.mark.parametrize("column", ["file_name", "mask", "label", "row_id"])
def test_signatures_are_refused_where_a_run_needs_the_address(column: str, tmp_path: Path) -> None:
    rows = {"file_name": ["a.png"], "label": ["cat"]} | {column: [SIGNED]}
    data = DataSettings(path=table(tmp_path, **rows), allow_addresses=("https://there",))
    what = {"file_name": "image", "row_id": "key"}.get(column, column)
    assert refusal(data) == (
        f"{what} https://there/a.png holds a password, a token or a signature, which would be kept "
        "with the run: give s3://, gs:// or abfs:// addresses and the credentials in the "
        "environment, or download the files"
    )


def test_signatures_in_further_columns_are_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(
        tmp_path,
        file_name=["a.png", "b.png"],
        page=[SIGNED, None],
        nested=[{"urls": ["x", SIGNED]}, {"urls": []}],
        note=["what? https://there/a", "sig=1"],
    )
    with caplog.at_level(logging.WARNING, "sightline"):
        catalog = make_catalog(DataSettings(path=path), ())
    assert catalog["page"].to_pylist() == ["https://there/a.png", None]
    assert catalog["nested"].to_pylist()[0] == {"urls": ["x", "https://there/a.png"]}
    assert catalog["note"].to_pylist() == ["what? https://there/a", "sig=1"]
    assert "columns 'page', 'nested' hold addresses with a password" in caplog.text


@pytest.mark.parametrize(
    "column",
    [
        pa.array([SIGNED, None]).dictionary_encode(),
        pa.array([SIGNED, None], pa.large_string()),
        pa.array([SIGNED, None], pa.string_view()),
        pa.array([[("page", SIGNED)], None], pa.map_(pa.string(), pa.string())),
        pa.array([[SIGNED], None], pa.list_(pa.string(), 1)),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_all_types_are_searched(column: pa.Array) -> None:
    cleaned, changed = remove_secrets_from(pa.table({"x": column, "y": [1, 2]}))
    assert changed == ["x"]
    assert cleaned.schema.field("x").type == column.type
    assert "t0ken" not in str(cleaned.to_pylist())
    assert "https://there/a.png" in str(cleaned.to_pylist())
