"""What is told of one image is what the run's tables say."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import schema
from tasks.explorer.row_details import DetailsReader, RowDetails
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.rows import RunRows, UnknownRow
from tasks.runs.stages import FAILURES


@pytest.fixture(scope="module")
def reader(finished_run: RunFolder) -> DetailsReader:
    return DetailsReader(RunRows(open_run(finished_run.path)))


def test_every_image_is_told_as_the_tables_have_it(
    reader: DetailsReader, finished_run: RunFolder
) -> None:
    catalog = pq.read_table(finished_run.catalog).to_pylist()
    predictions = pq.read_table(finished_run.path / "predictions").to_pylist()
    flags = pq.read_table(finished_run.flags).to_pylist()
    for number, row in enumerate(catalog):
        details = reader.read(row["row_id"], {"group": row["group"]})
        assert (details.row, details.image) == (number, row["image"])
        assert details.values == {"group": row["group"]}
        for name in ("label", "prediction", "confidence", "correct"):
            assert getattr(details, name) == predictions[number][name]
        assert (details.flag, details.reason) == (flags[number]["flag"], flags[number]["reason"])
        assert not details.failures
        assert not details.patterns
        assert details.formula[-1].words.startswith("threshold")


def test_maps_are_told_with_their_figures(reader: DetailsReader, finished_run: RunFolder) -> None:
    row_id = reader.rows.row_ids[50].as_py()
    details = reader.read(row_id, {})
    assert [it.method for it in details.maps] == reader.rows.run.methods
    for it in details.maps:
        scores = pq.read_table(finished_run.part(f"scores/{it.method}", 1)).to_pylist()
        (row,) = (row for row in scores if row["row_id"] == row_id)
        assert (it.share, it.lift) == (row["share"], row["lift"])
        share, lift = f"{row['share']:.0%}", f"{row['lift']:.2f}"
        assert it.words == f"{share} of it on the object, {lift} times what chance would give"


def test_changes_are_told_with_their_slots(reader: DetailsReader, finished_run: RunFolder) -> None:
    (row, *_) = pq.read_table(finished_run.part("interventions", 1)).to_pylist()
    changes = reader.read(row["row_id"], {}).changes
    by_slot = {(change.kind, change.slot): change for change in changes}
    removed = by_slot["object_removed", 0]
    assert removed.probability == row["object_removed"]
    assert removed.prediction == row["object_removed_prediction"]
    labels = dict(
        zip(
            *(pq.read_table(finished_run.donors)[name].to_pylist() for name in ("row_id", "label")),
            strict=True,
        )
    )
    for slot, donor in enumerate(row["donors"]):
        change = by_slot["exchanged", slot]
        assert (change.donor, change.donor_label) == (donor, labels[donor])
        assert change.probability == row["exchanged"][slot]
        assert change.words == f"on the background of {donor} ({labels[donor]})"
    for slot, way in enumerate(row["moved_ways"]):
        change = by_slot["moved", slot]
        assert change.probability == row["moved"][slot]
        assert change.words == f"on its own background, moved: {way}"
    assert len(changes) == 2 + len(row["donors"]) + len(row["moved_ways"])


def test_patterns_and_failures_are_told(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    row_id = RunRows(open_run(run.path)).row_ids[41].as_py()
    write(run.patterns, [pattern("P2", "confirmed"), pattern("P1", "too few")], schema.PATTERNS)
    members = [member(row_id, "P1"), member(row_id, "P2"), member("another", "P1")]
    write(run.pattern_members, members, schema.PATTERN_MEMBERS)
    failure = {"stage": "rise", "kind": "transient", "message": "no memory", "remedy": "try again"}
    run.stage(FAILURES.of("rise")).mkdir(parents=True)
    write(run.part(FAILURES.of("rise"), 1), [{"row_id": row_id} | failure], schema.FAILURES)
    details = DetailsReader(RunRows(open_run(run.path))).read(row_id, {})
    assert [(it.id, it.verdict) for it in details.patterns] == [
        ("P2", "confirmed"),
        ("P1", "too few"),
    ]
    assert [it.model_dump() for it in details.failures] == [failure]


def test_a_run_that_is_not_finished_is_told_as_far_as_it_is(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    run.summary.unlink()
    run.flags.unlink()
    shutil.rmtree(run.stage("predictions"))
    reader = DetailsReader(RunRows(open_run(run.path)))
    details = reader.read(reader.rows.row_ids[0].as_py(), {})
    assert details.prediction is details.flag is None
    assert details.formula == ()
    assert details.image.endswith(".png")


def test_the_run_before_stands_beside_it(reader: DetailsReader, other_run: RunFolder) -> None:
    row_id = reader.rows.row_ids[3].as_py()
    before = DetailsReader(RunRows(open_run(other_run.path))).read(row_id, {})
    told = json.loads(reader.read(row_id, {}, before).model_dump_json())
    assert told["before"]["confidence"] != told["confidence"]
    assert told["before"].keys() == told.keys() == RowDetails.model_fields.keys()


def test_many_threads_are_told_the_same(finished_run: RunFolder) -> None:
    reader = DetailsReader(RunRows(open_run(finished_run.path)))
    row_ids = reader.rows.row_ids.to_pylist()[:8]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda row_id: reader.read(row_id, {}), row_ids * 3))
    assert told == told[:8] * 3


def test_an_unknown_row_is_refused(reader: DetailsReader) -> None:
    with pytest.raises(UnknownRow, match="has no row nobody"):
        reader.read("nobody", {})


def write(path: Path, rows: list[dict[str, object]], columns: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=columns), path)


def pattern(name: str, verdict: str) -> dict[str, object]:
    texts = dict.fromkeys(("name", "space", "pulls_to", "exchanged", "sentence"), "x")
    return {"pattern": name, "verdict": verdict, "images": 2, **texts}


def member(row_id: str, name: str) -> dict[str, object]:
    return {"row_id": row_id, "pattern": name, "distance": 0.5, "half": "confirms"}
