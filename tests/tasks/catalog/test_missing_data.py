"""Ordinary data: whatever is missing, the audit says so."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from models.classifier.classifier import load_classifier, save_bundle
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.schema import Summary
from tests.support.audits import run_audit

METHODS = AttributionSettings(methods=("grad_cam_pp",))


class Data:
    """The benchmark's test pictures with a table that a test writes."""

    def __init__(self, folder: Path, benchmark: Path, bundle: Path) -> None:
        self.folder, self.benchmark, self.bundle = folder, benchmark, bundle
        with (benchmark / "metadata.csv").open(newline="") as file:
            self.rows = [row for row in csv.DictReader(file) if row["split"] == "test"]

    def audit(
        self,
        rows: list[dict[str, str]],
        foreground: ForegroundSettings = ForegroundSettings(),
        interventions: InterventionSettings = InterventionSettings(pool=32),
        **settings: object,
    ) -> tuple[RunFolder, Summary]:
        table = self.folder / "table.csv"
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        data = DataSettings.model_validate(
            {"path": str(table), "images": str(self.benchmark), **settings}
        )
        request = AuditRequest(data, METHODS, interventions, foreground)
        model = ModelSettings(address=str(self.bundle))
        run = run_audit(self.folder / "run", data, model, asked=request)
        return run, open_run(run.path).summary()


@pytest.fixture
def data(tmp_path: Path, benchmark_folder: Path, bundle: Path) -> Data:
    return Data(tmp_path, benchmark_folder, bundle)


def kept(rows: list[dict[str, str]], *names: str) -> list[dict[str, str]]:
    return [{name: row[name] for name in names} for row in rows]


def reasons(run: RunFolder) -> Counter[str]:
    return Counter(pq.read_table(run.flags)["reason"].to_pylist())


def pasted_poorly(run: RunFolder) -> int:
    """Images that are undecided since their own background, moved, changes the prediction."""
    own = "pasted back on its own background, moved, 2 of 2 predictions change"
    count = reasons(run)[own]
    assert count < 16  # of 64: what is checked beside them must not be nothing
    return count


def test_only_boxes(data: Data) -> None:
    rows = [row | {"box": json.dumps([10, 10, 30, 30])} for row in data.rows]
    run, summary = data.audit(kept(rows, "file_name", "label", "box"), box_columns=("box",))
    assert summary.foreground.source == "box"
    assert summary.flagged.of == 64 - pasted_poorly(run)
    assert set(pq.read_table(run.flags)["foreground"].to_pylist()) == {"box"}


def test_masks_for_a_few_images(data: Data) -> None:
    rows = [
        row | {"mask": row["mask"] if number % 3 == 0 else ""}
        for number, row in enumerate(data.rows)
    ]
    run, summary = data.audit(kept(rows, "file_name", "label", "mask"))
    assert summary.evidence is not None
    assert summary.evidence.images == summary.images.scored == 22
    assert reasons(run)["there is no foreground or no map to compare"] == 42
    assert summary.rule.calibrated_on == 22 - pasted_poorly(run) >= 19
    assert summary.flagged.of == summary.rule.calibrated_on
    assert summary.flags["undecided"].count == 42 + pasted_poorly(run)
    donors = pq.read_table(run.donors)["row_id"].to_pylist()
    assert set(donors) <= {row["file_name"] for row in rows if row["mask"]}


def test_masks_for_five_of_a_hundred_say_that_they_are_too_few(data: Data) -> None:
    rows = [
        row | {"mask": row["mask"] if number < 3 else ""} for number, row in enumerate(data.rows)
    ]
    run, summary = data.audit(kept(rows, "file_name", "label", "mask"))
    assert summary.rule.threshold is None
    assert "needs at least 19" in summary.rule.sentence
    assert summary.flagged.of == 0
    assert summary.excess is None
    assert reasons(run)["there is no foreground or no map to compare"] == 61


def test_masks_for_a_few_and_estimates_for_the_others(data: Data) -> None:
    rows = [
        row | {"mask": row["mask"] if number % 2 else ""} for number, row in enumerate(data.rows)
    ]
    estimate = ForegroundSettings(source="estimate")
    run, summary = data.audit(kept(rows, "file_name", "label", "mask"), estimate)
    sources = Counter(pq.read_table(run.flags)["foreground"].to_pylist())
    assert sources == {"annotated": 32, "estimated": 32}
    quality = summary.foreground.estimates
    assert quality is not None
    assert (quality.annotated, quality.estimated) == (32, 32)
    assert quality.calibrated
    assert quality.iou is not None
    assert quality.iou.of == 32
    assert 0 < quality.iou.value < 1
    assert quality.agreement.of <= 32
    unsure = sum(count for reason, count in reasons(run).items() if "is unsure" in reason)
    assert unsure == quality.unsure


def test_no_masks_at_all_and_estimates(data: Data) -> None:
    estimate = ForegroundSettings(source="estimate", confidence=0.0)
    _, summary = data.audit(kept(data.rows, "file_name"), estimate)
    assert summary.foreground.source == "estimated"
    assert summary.accuracy.of == 0
    quality = summary.foreground.estimates
    assert quality is not None
    assert (quality.annotated, quality.iou, quality.calibrated) == (0, None, False)
    assert summary.evidence is not None
    assert summary.evidence.flips_across is not None
    assert summary.evidence.accuracy_across is None
    assert not summary.evidence.labelled


def test_estimates_that_are_not_sure_decide_nothing(data: Data) -> None:
    estimate = ForegroundSettings(source="estimate", confidence=1.0)
    run, summary = data.audit(kept(data.rows, "file_name", "label"), estimate)
    assert summary.flagged.of == 0
    assert "every estimated foreground is too unsure: annotate some" in summary.rule.sentence
    assert all("is unsure" in reason or "foreground" in reason for reason in reasons(run))


def test_no_labels(data: Data) -> None:
    run, summary = data.audit(kept(data.rows, "file_name", "mask"))
    assert summary.accuracy.of == 0
    assert summary.flagged.of == 64 - pasted_poorly(run)
    assert summary.evidence is not None
    assert summary.evidence.accuracy_across is None
    assert summary.evidence.class_gap is None
    assert not summary.evidence.labelled
    row = pq.read_table(run.part("interventions", 0)).to_pylist()[0]
    assert (len(row["donors"]), any(row["same_class"])) == (3, False)


def test_one_class(data: Data) -> None:
    rows = [row for row in data.rows if row["label"] == "fish"]
    run, summary = data.audit(kept(rows, "file_name", "label", "mask"))
    assert summary.evidence is not None
    assert summary.evidence.accuracy_across is None
    assert summary.evidence.accuracy_within is not None
    row = pq.read_table(run.part("interventions", 0)).to_pylist()[0]
    assert (row["reliance_exchange"], row["same_class"]) == (None, [True])


def test_two_images(data: Data) -> None:
    _, summary = data.audit(kept(data.rows[:2], "file_name", "label", "mask"))
    assert summary.flags["undecided"].count == 2
    assert "needs at least 19" in summary.rule.sentence
    assert summary.evidence is not None
    assert summary.evidence.images == 2


def test_a_class_without_images(data: Data) -> None:
    rows = [row for row in data.rows if row["label"] != "fish"]
    run, summary = data.audit(kept(rows, "file_name", "label", "mask"))
    assert "fish" not in {group.name for group in summary.by_label}
    assert summary.flagged.of == 48 - pasted_poorly(run)


def test_an_object_that_fills_the_picture_and_an_empty_mask(data: Data) -> None:
    for name, shade in (("full", 255), ("empty", 0)):
        Image.new("L", (64, 64), shade).save(data.folder / f"{name}.png")
    rows = kept(data.rows, "file_name", "label", "mask")
    for row in rows:
        row["mask"] = str(data.benchmark / row["mask"])
    rows[0]["mask"], rows[1]["mask"] = (
        str(data.folder / f"{name}.png") for name in ("full", "empty")
    )
    run, summary = data.audit(rows)
    flags = pq.read_table(run.flags).to_pylist()
    assert [row["flag"] for row in flags[:2]] == ["undecided"] * 2
    assert "over 95%" in flags[0]["reason"]
    assert "under 1%" in flags[1]["reason"]
    assert summary.flagged.of == 62 - pasted_poorly(run)
    donors = pq.read_table(run.donors)["row_id"].to_pylist()
    assert not {row["file_name"] for row in rows[:2]} & set(donors)


def test_every_column_makes_groups_and_small_ones_say_so(data: Data) -> None:
    names = ("file_name", "label", "mask", "group", "background", "object_seed")
    _, summary = data.audit(kept(data.rows, *names))
    assert set(summary.by_column) == {"group", "background"}  # object_seed has too many values
    assert all(group.excess is None for group in summary.by_column["group"])  # 4 images each
    assert summary.worst_group is None
    assert len(summary.by_column["background"]) == 4


def test_without_interventions_nothing_is_flagged(data: Data) -> None:
    rows = kept(data.rows, "file_name", "label", "mask")
    run, summary = data.audit(rows, interventions=InterventionSettings(choice="none"))
    assert summary.evidence is None
    assert summary.flagged.of == 0
    assert summary.rule.sentence == (
        "Nothing is flagged: no picture was changed, as --interventions none asks: leave it out."
    )
    assert not (run.path / "interventions").exists()


def test_a_model_that_predicts_one_class_is_judged_and_not_flagged(
    data: Data, tmp_path: Path
) -> None:
    classifier = load_classifier(ModelSettings(address=str(data.bundle)))
    head = classifier.network.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.bias[1] += 100
    stuck = tmp_path / "stuck"
    save_bundle(stuck, classifier)
    data.bundle = stuck
    _, summary = data.audit(kept(data.rows, "file_name", "label", "mask"))
    assert summary.rule.threshold is not None
    assert summary.flagged.of == 64
    assert summary.flagged.count <= 64 // 20
    assert summary.evidence is not None
    assert summary.evidence.flips_across is None  # no donor is predicted otherwise
    assert summary.evidence.flips_effect is not None
    assert summary.evidence.flips_effect.value == 0


def test_masks_that_cover_everything_say_that_nothing_could_be_changed(data: Data) -> None:
    Image.new("L", (64, 64), 255).save(data.folder / "full.png")
    rows = [row | {"mask": str(data.folder / "full.png")} for row in data.rows]
    _, summary = data.audit(kept(rows, "file_name", "label", "mask"))
    assert "none of 64 pictures could be changed, since no foreground" in summary.rule.sentence


def test_without_exchanges_there_is_no_score(data: Data) -> None:
    none = InterventionSettings(others=0, same=0, pool=32)
    _, summary = data.audit(kept(data.rows, "file_name", "label", "mask"), interventions=none)
    assert "64 pictures were changed, but none was put on another back" in summary.rule.sentence
    assert "--others and --same are 0" in summary.rule.sentence


def test_without_moves_there_is_no_null(data: Data) -> None:
    none = InterventionSettings(moves=0, pool=32)
    _, summary = data.audit(kept(data.rows, "file_name", "label", "mask"), interventions=none)
    assert summary.rule.sentence == (
        "Nothing is flagged: 64 of 64 images were put on other backgrounds, but not on their own, "
        "moved, as --moves 0 asks: leave it out."
    )
    assert summary.flags["undecided"].count == 64
    assert summary.evidence is not None
    assert summary.evidence.flips_effect is None
