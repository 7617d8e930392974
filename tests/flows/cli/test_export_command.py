"""`sightline export`: from a finished run to a folder, and all that it refuses."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest

from flows.runtime import progress
from tasks.export import csv_file
from tasks.export.registry import MODULES, NAMES, format_of
from tasks.runs.folder import RunFolder
from tasks.runs.stages import FEATURES
from tasks.storage.parquet import read_table, write_table
from tests.support.command_line import check_refused, invoke

FLAGGED = {"conditions": [{"kind": "range", "column": "confidence", "low": 0.5}]}


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_written_and_says_how_to_open_it(
    name: str, changed_run: RunFolder, tmp_path: Path
) -> None:
    out = tmp_path / "exported"
    done = invoke("export", str(changed_run.path), "--to", name, "--out", str(out))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == format_of(name).how_to_open(out)
    assert (out / "columns.json").is_file()
    assert names_in(tmp_path) == ["exported", "run"]


def test_every_file_of_the_room_that_defines_a_format_is_in_the_registry() -> None:
    folder = Path(csv_file.__file__).parent
    defining = {path.stem for path in folder.glob("*.py") if "\nFORMAT = " in path.read_text()}
    assert defining == set(MODULES.values())
    assert [format_of(name).name for name in NAMES] == list(NAMES)


def test_without_out_the_folder_is_named_after_the_run(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    with chdir(tmp_path):
        assert invoke("export", str(finished_run.path), "--to", "csv").exit_code == 0
    assert (tmp_path / "finished-csv" / "images.csv").is_file()


@pytest.mark.parametrize("from_file", [False, True])
def test_a_filter_is_json_or_a_file_of_it(
    from_file: bool, finished_run: RunFolder, tmp_path: Path
) -> None:
    text = json.dumps(FLAGGED)
    (tmp_path / "sure.json").write_text(text)
    chosen = str(tmp_path / "sure.json") if from_file else text
    out = tmp_path / "sure"
    words = ("export", str(finished_run.path), "--to", "csv", "--out", str(out))
    assert invoke(*words, "--filter", chosen).exit_code == 0
    found = pd.read_csv(out / "images.csv")
    assert 0 < len(found) < 64
    assert found["confidence"].min() >= 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "csv", "--method", "grad_cam"], "csv holds no maps: leave --method out"),
        (["--to", "parquet", "--copy-images"], "holds no picture files: leave --copy-images out"),
        (["--to", "fiftyone", "--method", "grad_kam"], "did you mean 'grad_cam'?"),
        (["--to", "csv", "--filter", "no.json"], "--filter no.json not found"),
        (["--to", "csv", "--filter", "{"], "the filter cannot be read"),
        (["--to", "csv", "--out", "s3://b/there"], "is not a local folder"),
        (
            ["--to", "csv", "--filter", '{"conditions": [{"kind": "rows", "row_ids": []}]}'],
            "no image of",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    options: list[str], words: str, finished_run: RunFolder, tmp_path: Path
) -> None:
    with chdir(tmp_path):
        check_refused(invoke("export", str(finished_run.path), *options), 2, words)
    assert not names_in(tmp_path)


def test_a_folder_that_holds_something_is_left_as_it_is(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = invoke("export", str(finished_run.path), "--to", "csv", "--out", str(tmp_path))
    check_refused(done, 2, "is not empty: give a new or an empty folder")
    assert names_in(tmp_path) == ["mine.txt"]


def test_an_export_that_is_interrupted_leaves_nothing(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(display: progress.ProgressDisplay, done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.ProgressDisplay, "update", interrupt)
    done = invoke("export", str(finished_run.path), "--to", "coco", "--out", str(tmp_path / "x"))
    assert done.exit_code == 3
    assert not names_in(tmp_path)


@pytest.mark.parametrize("name", ["fiftyone", "coco"])
def test_copied_pictures_make_an_export_that_can_be_moved(
    name: str, finished_run: RunFolder, tmp_path: Path
) -> None:
    out = tmp_path / "copied"
    words = ("export", str(finished_run.path), "--to", name, "--out", str(out))
    assert invoke(*words, "--copy-images").exit_code == 0
    file, key, field = {
        "fiftyone": ("samples.json", "samples", "filepath"),
        "coco": ("annotations.json", "images", "file_name"),
    }[name]
    for image in json.loads((out / file).read_text("utf-8"))[key]:
        assert (out / image[field]).is_file()


@pytest.fixture
def changed_run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the finished run, whose catalog may be changed."""
    shutil.copytree(finished_run.path, tmp_path / "run")
    return RunFolder.at(tmp_path / "run")


def names_in(folder: Path) -> list[str]:
    """Hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def change_images(run: RunFolder, addresses: dict[int, str]) -> None:
    catalog = read_table(run.catalog)
    images = catalog["image"].to_pylist()
    for row, address in addresses.items():
        images[row] = address
    index = catalog.column_names.index("image")
    catalog = catalog.set_column(index, catalog.schema.field(index), [images])
    write_table(run.catalog, catalog, run.read_state().identity.shard_size)


def test_fiftyone_refuses_remote_addresses_which_it_does_not_read(
    changed_run: RunFolder, tmp_path: Path
) -> None:
    change_images(changed_run, {3: "s3://bucket/a.png", 5: "file:///there/b.png"})
    out = ("--out", str(tmp_path / "out"))
    done = invoke("export", str(changed_run.path), "--to", "fiftyone", *out)
    check_refused(done, 2, "1 of 64 have remote addresses")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["fiftyone", "coco", "embedding-atlas"])
def test_pictures_that_are_gone_are_counted_and_their_rows_kept(
    name: str, changed_run: RunFolder, tmp_path: Path
) -> None:
    change_images(changed_run, {3: str(tmp_path / "gone.png"), 50: str(changed_run.state)})
    out = tmp_path / "out"
    done = invoke("export", str(changed_run.path), "--to", name, "--out", str(out))
    assert done.exit_code == 0, done.stderr
    assert "pictures that could not be read again: 2" in done.stderr
    if name == "fiftyone":
        samples = json.loads((out / "samples.json").read_text("utf-8"))["samples"]
        assert [i for i, sample in enumerate(samples) if "map" not in sample] == [3, 50]
    elif name == "coco":
        images = json.loads((out / "annotations.json").read_text("utf-8"))["images"]
        assert [i for i, image in enumerate(images) if "width" not in image] == [3, 50]
    else:
        pictures = pd.read_parquet(out / "images.parquet")["picture"]
        assert list(pictures.index[pictures.isna()]) == [3, 50]


def test_a_web_server_that_a_run_names_is_not_asked(changed_run: RunFolder, tmp_path: Path) -> None:
    state = json.loads(changed_run.state.read_text())
    state["settings"]["data"]["allow_addresses"] = ["http://127.0.0.1:9"]
    changed_run.state.write_text(json.dumps(state))
    change_images(changed_run, {0: "http://127.0.0.1:9/a.png"})
    out = ("--out", str(tmp_path / "out"), "--copy-images")
    done = invoke("export", str(changed_run.path), "--to", "fiftyone", *out)
    assert "pictures that could not be read again: 1" in done.stderr


def test_a_run_without_features_has_no_plot_for_embedding_atlas(
    changed_run: RunFolder, tmp_path: Path
) -> None:
    shutil.rmtree(changed_run.stage(FEATURES))
    out = ("--out", str(tmp_path / "out"))
    done = invoke("export", str(changed_run.path), "--to", "embedding-atlas", *out)
    check_refused(done, 2, "has no features, and so no plot")
    assert names_in(tmp_path) == ["run"]
