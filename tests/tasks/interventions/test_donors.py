"""The donor pool: the same for every model, kept with the run, drawn by key and seed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import csv

from models.classifier.mlflow_models import FetchedModel
from models.classifier.settings import ModelSettings
from models.errors import UserError
from models.fills import FILLS, Fill
from models.interventions import remove_object
from models.masks import grow_masks
from tasks.attribution.job import reader_of
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.execution.prepare import prepare_run
from tasks.interventions.donors import DonorPool, PoolChoice, read_donors
from tasks.interventions.filled_areas import MISSED
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import Failure, Sample
from tasks.pictures.settings import BY_GRAPH_CUTS, ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.settings import OutputSettings
from tests.support.audits import run_audit

BY_ESTIMATE = ForegroundSettings(source="estimate")


def pool(*labels: str | None) -> DonorPool:
    count = len(labels)
    picture_NCHW = torch.zeros(count, 3, 4, 4, dtype=torch.uint8)
    ids = tuple(f"donor{number}" for number in range(count))
    mask_NHW = torch.zeros(count, 4, 4, dtype=torch.uint8)
    return DonorPool(ids, labels, ids, picture_NCHW, picture_NCHW, mask_NHW)


def prepare(
    folder: Path,
    benchmark: Path,
    bundle: Path,
    interventions: InterventionSettings = InterventionSettings(pool=20),
    limit: int | None = None,
) -> RunFolder:
    request = AuditRequest(
        DataSettings(path=str(benchmark), split="test", limit=limit),
        AttributionSettings(),
        interventions,
    )
    return start(folder, bundle, request)


def start(folder: Path, bundle: Path, request: AuditRequest) -> RunFolder:
    model = ModelSettings(address=str(bundle))
    return prepare_run(request, FetchedModel(model), OutputSettings(run=str(folder)), {})


@pytest.fixture
def by_estimates(tmp_path: Path, benchmark_folder: Path, bundle: Path) -> RunFolder:
    """A run on the same pictures without their masks."""
    marked = csv.read_csv(str(benchmark_folder / "metadata.csv"))
    csv.write_csv(marked.drop_columns(["mask"]), str(tmp_path / "unmarked.csv"))
    data = DataSettings(
        path=str(tmp_path / "unmarked.csv"), images=str(benchmark_folder), split="test"
    )
    request = AuditRequest(data, AttributionSettings(), InterventionSettings(pool=20), BY_ESTIMATE)
    return start(tmp_path / "run", bundle, request)


def test_donors_are_of_every_other_class_and_of_the_images_own() -> None:
    drawn = pool(*"abcd" * 5).draw("row", "content", "a", InterventionSettings(others=3))
    labels = [("abcd" * 5)[index] for index in drawn.others]
    assert sorted(labels) == ["b", "c", "d"]
    assert [("abcd" * 5)[index] for index in drawn.same] == ["a"]


def test_each_row_has_its_own_donors_whatever_the_other_rows() -> None:
    settings = InterventionSettings()
    many = pool(*"abcd" * 20)
    drawn = [many.draw(f"row{number}", "", "a", settings) for number in range(50)]
    assert drawn == [many.draw(f"row{number}", "", "a", settings) for number in range(50)]
    assert len(set(drawn)) > 45
    other = InterventionSettings(donor_seed=1)
    assert drawn != [many.draw(f"row{number}", "", "a", other) for number in range(50)]
    used = {index for donors in drawn for index in donors.others}
    assert len(used) > 40  # of 60 of other classes


def test_these_draws_are_frozen() -> None:
    """So that models are compared on the same backgrounds, also across versions of the code."""
    drawn = pool(*"abcd" * 8).draw("a picture.jpg", "", "b", InterventionSettings(others=3))
    assert drawn.indices == (27, 26, 8, 5)


def test_a_picture_is_not_put_on_itself_or_its_copy() -> None:
    few = pool("a", "a", "b")
    for number in range(20):
        drawn = few.draw(f"row{number}", "donor2", "a", InterventionSettings(same=2))
        assert drawn.others == ()
        assert set(drawn.same) == {0, 1}


def test_without_labels_all_donors_are_alike() -> None:
    for donors, label in ((pool(*[None] * 9), "a"), (pool(*"abc" * 3), None)):
        drawn = donors.draw("row", "", label, InterventionSettings())
        assert (len(drawn.others), drawn.same) == (3, ())


def test_the_pool_is_of_all_classes_in_turn_and_frozen(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    run = prepare(tmp_path / "run", benchmark_folder, bundle)
    table = pq.read_table(run.donors)
    assert Counter(table["label"].to_pylist()) == dict.fromkeys(
        ("fish", "mushroom", "balloon", "cactus"), 5
    )
    first = run.donors.read_bytes()
    prepare(tmp_path / "run", benchmark_folder, bundle)
    assert run.donors.read_bytes() == first
    assert donor_digest(prepare(tmp_path / "other", benchmark_folder, bundle)) == donor_digest(run)


def test_backgrounds_lack_their_object(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    run = prepare(tmp_path / "run", benchmark_folder, bundle)
    donors = read_donors(run, (64, 64), "mean", donor_digest(run))
    inside_NHW = donors.mask_NHW == 255
    for picture_CHW, background_CHW, inside_HW in zip(
        donors.picture_NCHW, donors.background_NCHW, inside_NHW, strict=True
    ):
        assert torch.equal(picture_CHW[:, ~inside_HW], background_CHW[:, ~inside_HW])
        assert (background_CHW[:, inside_HW].float().std(1) == 0).all()


@pytest.mark.parametrize("fill", FILLS)
def test_objects_of_donors_are_filled_as_those_of_images_are(
    tmp_path: Path, benchmark_folder: Path, bundle: Path, fill: Fill
) -> None:
    settings = InterventionSettings(pool=8, fill=fill)
    run = prepare(tmp_path / "run", benchmark_folder, bundle, settings, limit=12)
    donors = read_donors(run, (64, 64), fill, donor_digest(run))
    image_NCHW = (donors.picture_NCHW.float() - 127.5) / 64
    filled_NCHW = remove_object(image_NCHW, donors.mask_NHW / 255, fill) * 64 + 127.5
    apart_NCHW = (filled_NCHW.clamp(0, 255) - donors.background_NCHW.float()).abs()
    assert apart_NCHW.max() <= 0.51


def test_pools_of_other_fills_are_other_pools() -> None:
    ways = {PoolChoice(InterventionSettings(fill=fill), "read").specification for fill in FILLS}
    assert len(ways) == len(FILLS)


def test_pools_of_surer_estimates_are_other_pools() -> None:
    choices = [PoolChoice(InterventionSettings(), "read", least) for least in (0, 0.6, 0.8)]
    assert len({choice.specification for choice in choices}) == 3


def test_estimates_that_may_have_missed_their_object_are_no_donors(
    by_estimates: RunFolder,
) -> None:
    """Their objects would be put behind others."""
    read = reader_of(by_estimates.read_state().identity, BY_ESTIMATE)
    rows = rows_of(pq.read_table(by_estimates.catalog))
    sure = {row.row_id for row in rows if confidence(read(row)) >= BY_GRAPH_CUTS}
    donors = pq.read_table(by_estimates.donors).to_pydict()
    assert 20 < len(sure) < len(rows)
    assert len(donors["row_id"]) == 20
    assert set(donors["row_id"]) <= sure
    assert all(donors["estimated"])


UNSURE = """
import torch

class Left(torch.nn.Module):
    def forward(self, picture_BCHW):
        logits_B1HW = torch.full_like(picture_BCHW[:, :1], -0.1)
        logits_B1HW[..., :8] = 0.1
        return logits_B1HW

def build():
    return Left()
"""


SURE = UNSURE.replace("0.1", "9.0").replace(":8", ":COLUMNS")


def test_an_annotated_picture_is_a_donor_though_a_copy_has_an_unsure_estimate(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    pictures = sorted((benchmark_folder / "images/test").iterdir())[:12]
    masks = sorted((benchmark_folder / "masks/test").iterdir())[:12]
    rows = [f"masked {it},{pictures[it]},{masks[it]}" for it in range(12)]
    rows += [f"copy {it},{pictures[it]}," for it in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["key,file_name,mask", *rows]) + "\n")
    (tmp_path / "unsure.py").write_text(UNSURE)
    data = DataSettings(path=str(tmp_path / "table.csv"), key_column="key")
    by_code = ForegroundSettings(source=f"{tmp_path / 'unsure.py'}:build")
    request = AuditRequest(data, foreground=by_code)
    donors = pq.read_table(start(tmp_path / "run", bundle, request).donors).to_pydict()
    assert set(donors["row_id"]) == {f"masked {it}" for it in range(12)}
    assert "estimated" not in donors


def test_of_each_class_annotated_donors_come_first(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    """How sure an estimate must be is calibrated on the annotated images, once they are read."""
    table = pd.read_csv(benchmark_folder / "metadata.csv")
    table.loc[::3, "mask"] = None
    table.to_csv(tmp_path / "half.csv", index=False)
    data = DataSettings(path=str(tmp_path / "half.csv"), images=str(benchmark_folder), split="test")
    asked = [
        AuditRequest(data, AttributionSettings(), InterventionSettings(pool=size), BY_ESTIMATE)
        for size in (20, 60)
    ]
    few, many = (
        pq.read_table(start(tmp_path / str(number), bundle, request).donors)
        for number, request in enumerate(asked)
    )
    assert "estimated" not in few.column_names
    estimated = many["estimated"].to_pylist()
    assert sum(estimated) > 5
    for label in set(many["label"].to_pylist()):
        of_label = [
            own for own, it in zip(estimated, many["label"].to_pylist(), strict=True) if it == label
        ]
        assert of_label == sorted(of_label)


def test_no_more_is_filled_in_of_a_donor_than_leaves_a_background(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    """Around an estimate of half the picture, 6% of the side on one side: 56%."""
    for columns, donors in ((32, 4), (36, 0)):
        folder = tmp_path / str(columns)
        folder.mkdir()
        (folder / "sure.py").write_text(SURE.replace("COLUMNS", str(columns)))
        pictures = sorted((benchmark_folder / "images/test").iterdir())[:4]
        (folder / "table.csv").write_text("\n".join(["file_name", *map(str, pictures)]) + "\n")
        by_code = ForegroundSettings(source=f"{folder / 'sure.py'}:build")
        request = AuditRequest(DataSettings(path=str(folder / "table.csv")), foreground=by_code)
        run = start(folder / "run", bundle, request)
        assert pq.read_table(run.donors).num_rows == donors


def confidence(sample: Sample | Failure) -> float:
    assert isinstance(sample, Sample)
    assert sample.estimate is not None
    return sample.estimate.confidence


def test_to_ask_more_of_the_judged_images_keeps_the_donors() -> None:
    by_default = ForegroundSettings(source="estimate").donor_confidence
    asked = {least: BY_ESTIMATE.model_copy(update={"confidence": least}) for least in (0, 0.3, 1)}
    found = {least: it.donor_confidence for least, it in asked.items()}
    assert (by_default, found) == (0.8, {0: 0, 0.3: 0.3, 1: 0.8})


def test_around_estimates_of_donors_more_is_filled_in(by_estimates: RunFolder) -> None:
    donors = read_donors(by_estimates, (64, 64), "mean", donor_digest(by_estimates))
    filled_NHW = grow_masks(donors.mask_NHW.float(), round(MISSED * 64)) == 255
    assert filled_NHW.float().mean() > 1.3 * (donors.mask_NHW == 255).float().mean()
    for picture_CHW, background_CHW, filled_HW in zip(
        donors.picture_NCHW, donors.background_NCHW, filled_NHW, strict=True
    ):
        assert torch.equal(picture_CHW[:, ~filled_HW], background_CHW[:, ~filled_HW])
        assert (background_CHW[:, filled_HW].float().std(1) == 0).all()


def test_a_pool_of_annotated_objects_does_not_say_which_are_estimated(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    """So its digest is that of a pool from before there was such a column."""
    run = prepare(tmp_path / "run", benchmark_folder, bundle)
    assert "estimated" not in pq.read_table(str(run.donors)).column_names


def test_another_runs_pool_is_taken_or_refused(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    first = prepare(tmp_path / "first", benchmark_folder, bundle, limit=40)
    from_first = InterventionSettings(pool=20, donors=str(first.path))
    second = prepare(tmp_path / "second", benchmark_folder, bundle, from_first)
    assert donor_digest(second) == donor_digest(first)
    for settings, words in (
        (InterventionSettings(pool=19, donors=str(first.path)), "chosen or read differently"),
        (InterventionSettings(donors=str(tmp_path / "none")), "has no donor pool"),
    ):
        shutil.rmtree(second.path, ignore_errors=True)
        with pytest.raises(UserError, match=words):
            prepare(tmp_path / "second", benchmark_folder, bundle, settings)
        assert not second.path.exists()  # refused before anything is written or deleted


def test_a_pool_of_surer_estimates_is_refused_with_the_option_that_differs(
    by_estimates: RunFolder, tmp_path: Path, bundle: Path
) -> None:
    state = by_estimates.read_state()
    request = AuditRequest(
        state.section("data", DataSettings),
        interventions=InterventionSettings(pool=20, donors=str(by_estimates.path)),
        foreground=BY_ESTIMATE.model_copy(update={"confidence": 0.3}),
    )
    with pytest.raises(UserError, match="kind of foreground and --foreground-confidence as that"):
        start(tmp_path / "second", bundle, request)


def test_without_interventions_there_is_no_pool(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    run = prepare(tmp_path, benchmark_folder, bundle, InterventionSettings(choice="none"))
    assert donor_digest(run) is None


def test_earlier_exchanges_are_deleted_without_interventions(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    data = DataSettings(path=str(benchmark_folder), split="test")
    model = ModelSettings(address=str(bundle))
    run = run_audit(tmp_path / "run", data, model)
    assert (run.path / "interventions").exists()
    none = AuditRequest(data, interventions=InterventionSettings(choice="none"))
    again = run_audit(tmp_path / "run", data, model, asked=none)
    assert not any((again.path / name).exists() for name in ("interventions", "votes"))
    summary = open_run(again.path).summary()
    assert (summary.evidence, summary.flagged.of) == (None, 0)
