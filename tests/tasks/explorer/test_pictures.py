"""The pictures of an image: as the model saw it, changed as the run changed it, or one line."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AuditRequest
from tasks.attribution.shown_images import ShownImages, mask_of, picture_of
from tasks.catalog.settings import DataSettings
from tasks.explorer.missing_pictures import MissingPicture
from tasks.explorer.pictures import THUMBNAIL, Kind, Pictures
from tasks.pictures.rows import Row
from tasks.pictures.samples import MaskReading, Sample, read_reduced, read_sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows, UnknownRow
from tasks.runs.stages import INTERVENTIONS
from tests.support.audits import SHARD, run_audit
from tests.support.web_server import serve

READING = MaskReading("foreground", "upright")


@pytest.fixture(scope="module")
def rows(finished_run: RunFolder) -> RunRows:
    return RunRows(open_run(finished_run.path))


@pytest.fixture(scope="module")
def pictures(rows: RunRows) -> Pictures:
    return Pictures(rows)


def pixels(content: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "JPEG"
    return np.asarray(picture)


def sample_of(rows: RunRows, row_id: str) -> Sample:
    sample = ShownImages(rows.run, row_ids=[row_id]).sample(row_id)
    assert sample is not None
    return sample


def changed_row(rows: RunRows) -> tuple[str, dict[str, list[str]]]:
    """An image that the run changed, and its row of the interventions."""
    row = rows.part(INTERVENTIONS, 1).to_pylist()[2]
    return row["row_id"], row


def test_the_picture_is_the_one_that_the_model_saw(rows: RunRows, pictures: Pictures) -> None:
    for row_id in rows.row_ids.to_pylist()[::9]:
        seen_HW3 = picture_of(sample_of(rows, row_id)).astype(int)
        assert abs(pixels(pictures.picture(row_id)) - seen_HW3).mean() < 4  # of 255: JPEG's loss


def test_each_kind_and_slot_is_its_own_change(rows: RunRows, pictures: Pictures) -> None:
    row_id, row = changed_row(rows)
    images = ShownImages(rows.run, row_ids=[row_id])
    sample, redraw, pool = sample_of(rows, row_id), images.redraw, images.donors()
    assert pool is not None
    expected: dict[tuple[Kind, int], np.ndarray] = {
        ("picture", 0): picture_of(sample),
        ("object_removed", 0): redraw.without_object(sample),
        ("background_removed", 0): redraw.without_background(sample),
        **{("moved", n): redraw.moved(sample, way) for n, way in enumerate(row["moved_ways"])},
        **{
            ("exchanged", n): redraw.exchanged(sample, pool, donor)
            for n, donor in enumerate(row["donors"])
        },
    }
    assert len(expected) == 8
    for (kind, slot), picture_HW3 in expected.items():
        found_HW3 = pixels(pictures.picture(row_id, kind, slot)).astype(int)
        nearest = min(expected, key=lambda key: abs(found_HW3 - expected[key]).mean())
        assert nearest == (kind, slot)
        assert abs(found_HW3 - picture_HW3).mean() < 4


def test_map_and_foreground_are_the_runs(rows: RunRows, pictures: Pictures) -> None:
    row_id = rows.row_ids[5].as_py()
    expected_HW = np.abs(rows.run.maps([row_id], "grad_cam_pp", (64, 64))[row_id])
    np.testing.assert_allclose(pictures.map(row_id, "grad_cam_pp"), expected_HW)
    mask_HW = mask_of(sample_of(rows, row_id))
    assert mask_HW is not None
    np.testing.assert_array_equal(pictures.foreground(row_id), mask_HW)


@pytest.mark.parametrize("kind", ["exchanged", "moved"])
def test_a_slot_that_is_not_there_is_refused(rows: RunRows, pictures: Pictures, kind: Kind) -> None:
    row_id, _ = changed_row(rows)
    for slot in (-1, 99):
        with pytest.raises(MissingPicture, match=f"numbered from 0: there is no {slot}"):
            pictures.picture(row_id, kind, slot)


def test_unknown_rows_and_methods_are_refused(rows: RunRows, pictures: Pictures) -> None:
    with pytest.raises(UnknownRow, match="has no row /etc/passwd"):
        pictures.picture("/etc/passwd")
    with pytest.raises(MissingPicture, match=r"has no map of \.\./\.\./features"):
        pictures.map(rows.row_ids[0].as_py(), "../../features")


def test_a_picture_is_read_once(finished_run: RunFolder, tmp_path: Path) -> None:
    run = copy_with_pictures(finished_run, tmp_path)
    pictures = Pictures(RunRows(open_run(run.path)))
    row_ids = pictures_of(run).keys()
    first = {row_id: pictures.picture(row_id, thumbnail=True) for row_id in row_ids}
    shutil.rmtree(tmp_path / "pictures")
    assert first == {row_id: pictures.picture(row_id, thumbnail=True) for row_id in row_ids}


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (Path.unlink, "cannot be read .*: check the address, then run again"),
        (
            lambda path: path.write_bytes(b"<html>"),
            "it is an HTML page.*: export it as JPEG or PNG",
        ),
        (lambda path: path.write_bytes(b""), "it is empty.*: export it again or drop the row"),
        (
            lambda path: Image.new("RGB", (64, 64), "red").save(path),
            "has changed since the audit, and what the model saw is gone: audit again",
        ),
    ],
)
@pytest.mark.parametrize("thumbnail", [True, False])
def test_a_picture_that_cannot_be_shown_is_one_line(
    finished_run: RunFolder,
    tmp_path: Path,
    harm: Callable[[Path], object],
    line: str,
    thumbnail: bool,
) -> None:
    run = copy_with_pictures(finished_run, tmp_path)
    row_id, path = next(iter(pictures_of(run).items()))
    harm(path)
    pictures = Pictures(RunRows(open_run(run.path)))
    with pytest.raises(MissingPicture, match=line) as caught:
        pictures.picture(row_id, thumbnail=thumbnail)
    assert "\n" not in str(caught.value)


def test_a_foreground_that_has_changed_is_not_shown_as_the_audits(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    row_id, _ = changed_row(RunRows(open_run(run.path)))
    catalog = pq.read_table(run.catalog)
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 64), 255).save(mask)
    masks = [[str(mask)]] * len(catalog)
    index = catalog.column_names.index("masks")
    changed = catalog.set_column(index, catalog.schema.field("masks"), pa.array(masks))
    pq.write_table(changed, run.catalog, row_group_size=SHARD)
    pictures = Pictures(RunRows(open_run(run.path)))
    assert pictures.picture(row_id)
    for show in (pictures.foreground, lambda it: pictures.picture(it, "object_removed")):
        with pytest.raises(MissingPicture, match=r"the foreground of .* has changed since the"):
            show(row_id)


def test_without_donors_only_exchanges_are_gone(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    run.donors.unlink()
    rows = RunRows(open_run(run.path))
    pictures, (row_id, _) = Pictures(rows), changed_row(rows)
    assert pictures.picture(row_id, "moved")
    with pytest.raises(MissingPicture, match=r"donors.parquet is gone, .*: audit again"):
        pictures.picture(row_id, "exchanged")


def test_web_servers_are_asked_only_where_that_is_wanted(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    """A run may be somebody else's: its addresses could be anywhere."""
    content = Path(pq.read_table(finished_run.catalog)["image"][0].as_py()).read_bytes()
    with serve() as site:
        site.files["/0.png"] = content
        run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
        row_id = name_first_picture(run, f"{site.address}/0.png")
        allow(run, site.address)
        with pytest.raises(MissingPicture, match="is on a web server, which is not asked"):
            Pictures(RunRows(open_run(run.path))).picture(row_id)
        assert not site.requests
        assert Pictures(RunRows(open_run(run.path)), with_web=True).picture(row_id)
        assert site.requests


def test_a_bucket_that_the_data_does_not_name_is_not_opened(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    row_id = name_first_picture(run, "s3://elsewhere/secret.png")
    with pytest.raises(MissingPicture, match="is not where the run's data lies: it is not opened"):
        Pictures(RunRows(open_run(run.path))).picture(row_id)


def test_estimated_foregrounds_are_estimated_again(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    run = audit_estimated(benchmark_folder, bundle, tmp_path)
    rows = RunRows(open_run(run.path))
    pictures, row_id = Pictures(rows), rows.part(INTERVENTIONS, 0)["row_id"][0].as_py()
    assert 0 < pictures.foreground(row_id).mean() < 1
    assert pictures.picture(row_id, "object_removed") != pictures.picture(row_id)


def test_code_that_a_run_names_is_not_run(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    run = audit_estimated(benchmark_folder, bundle, tmp_path)
    code = tmp_path / "segmenter.py"
    code.write_text("raise SystemExit('it was run')")
    state = run.read_state()
    foreground = state.settings["foreground"] | {"source": f"{code}:build"}
    run.update_state(settings=state.settings | {"foreground": foreground})
    rows = RunRows(open_run(run.path))
    pictures, row_id = Pictures(rows), rows.row_ids[0].as_py()
    assert pictures.picture(row_id)
    with pytest.raises(MissingPicture, match=r"was estimated by code .*, which is not run"):
        pictures.foreground(row_id)


def test_threads_see_the_same_pictures(finished_run: RunFolder) -> None:
    rows = RunRows(open_run(finished_run.path))
    pictures, (row_id, _) = Pictures(rows), changed_row(rows)
    kinds: list[Kind] = ["picture", "object_removed", "background_removed", "exchanged", "moved"]
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda kind: pictures.picture(row_id, kind), kinds * 4))
    assert drawn == drawn[:5] * 4


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(resize=256, crop=(224, 224)),
        Preprocessing(resize=(200, 300)),
        Preprocessing(crop=(224, 224)),
    ],
)
def test_a_large_picture_unpacked_in_part_is_nearly_the_same(
    preprocessing: Preprocessing, turn: int, tmp_path: Path
) -> None:
    """The same geometry: an object is where it is, also where EXIF turns the picture."""
    down, right = np.mgrid[0:1500, 0:2003]
    blob = 200 * np.exp(-((down - 400) ** 2 + (right - 1300) ** 2) / 300**2)
    picture = Image.fromarray(np.dstack([blob, right / 10, down / 10]).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = turn
    picture.save(tmp_path / "large.jpg", quality=95, exif=exif)
    row = Row("large", str(tmp_path / "large.jpg"), None)
    whole, part = (read(row, preprocessing, READING) for read in (read_sample, read_reduced))
    assert isinstance(whole, Sample)
    assert isinstance(part, Sample)
    assert part.content_id == whole.content_id
    difference = (whole.picture_CHW.float() - part.picture_CHW.float()).abs()
    assert difference.mean() < 1.5
    assert difference.max() < 12


def test_a_thumbnail_is_small(tmp_path: Path, finished_run: RunFolder) -> None:
    run = copy_with_pictures(finished_run, tmp_path)
    identity = run.read_state().identity
    larger = identity.preprocessing.model_copy(update={"resize": 400, "crop": (380, 400)})
    run.update_state(identity=identity.model_copy(update={"preprocessing": larger}))
    pictures = Pictures(RunRows(open_run(run.path)))
    row_id = next(iter(pictures_of(run)))
    assert pixels(pictures.picture(row_id, thumbnail=True)).shape == (152, THUMBNAIL, 3)
    assert pixels(pictures.picture(row_id)).shape == (380, 400, 3)


def copy_with_pictures(finished_run: RunFolder, folder: Path) -> RunFolder:
    """A copy of the run whose pictures are copies, too."""
    run = RunFolder(Path(shutil.copytree(finished_run.path, folder / "run")))
    (folder / "pictures").mkdir()
    catalog = pq.read_table(run.catalog)
    images = [
        shutil.copy(image, folder / "pictures" / Path(image).name)
        for image in catalog["image"].to_pylist()
    ]
    write_images(run, catalog, [str(image) for image in images])
    return run


def name_first_picture(run: RunFolder, address: str) -> str:
    catalog = pq.read_table(run.catalog)
    write_images(run, catalog, [address, *catalog["image"].to_pylist()[1:]])
    row_id: str = catalog["row_id"][0].as_py()
    return row_id


def write_images(run: RunFolder, catalog: pa.Table, images: list[str]) -> None:
    index = catalog.column_names.index("image")
    field = catalog.schema.field("image")
    catalog = catalog.set_column(index, field, pa.array(images))
    pq.write_table(catalog, run.catalog, row_group_size=SHARD)


def pictures_of(run: RunFolder) -> dict[str, Path]:
    catalog = pq.read_table(run.catalog)
    return dict(
        zip(catalog["row_id"].to_pylist(), map(Path, catalog["image"].to_pylist()), strict=True)
    )


def allow(run: RunFolder, address: str) -> None:
    state = run.read_state()
    data = state.settings["data"] | {"allow_addresses": [address]}
    run.update_state(settings=state.settings | {"data": data})


def audit_estimated(benchmark: Path, bundle: Path, folder: Path) -> RunFolder:
    """A few pictures without masks, their foregrounds estimated by graph cuts."""
    (folder / "flat").mkdir()
    for path in sorted((benchmark / "images/test").glob("*.png"))[:6]:
        shutil.copy(path, folder / "flat")
    data = DataSettings(path=str(folder / "flat"))
    asked = AuditRequest(data, foreground=ForegroundSettings(source="estimate"))
    return run_audit(folder / "run", data, ModelSettings(address=str(bundle)), asked=asked)
