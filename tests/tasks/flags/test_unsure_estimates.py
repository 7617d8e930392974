"""An estimated foreground of too little confidence decides nothing, and counts in no figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.classifier.settings import ModelSettings
from tasks import schema
from tasks.attribution.donor_predictions import read_donor_predictions
from tasks.attribution.settings import AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.compare.image_results import read_images
from tasks.discover.facts import UNKNOWN
from tasks.discover.spaces import read_shards
from tasks.flags.exchanges import Exchanges
from tasks.flags.forecast import Trial, try_forecast
from tasks.flags.scored_predictions import ScoredShards, class_index_of, classes_of, trust_of
from tasks.flags.sure_estimates import drop_unsure
from tasks.method_comparison.figures import read_measurements
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS, Stage
from tests.support.audits import run_audit

METHOD, LEAST = "grad_cam_pp", 0.9


@pytest.fixture(scope="module")
def run(benchmark_folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every second picture has a mask; of the others, some estimates are too unsure."""
    estimates = ForegroundSettings(source="estimate", confidence=LEAST)
    return audit(tmp_path_factory.mktemp("unsure"), benchmark_folder, bundle, estimates)


def audit(folder: Path, benchmark: Path, bundle: Path, foreground: ForegroundSettings) -> Run:
    table = pd.read_csv(benchmark / "metadata.csv")
    table.loc[::2, "mask"] = None
    table.to_csv(folder / "half.csv", index=False)
    data = DataSettings(path=str(folder / "half.csv"), images=str(benchmark), split="test")
    asked = AuditRequest(data, foreground=foreground)
    model = ModelSettings(address=str(bundle))
    return open_run(run_audit(folder / "run", data, model, asked=asked).path)


@pytest.fixture(scope="module")
def unsure(run: Run) -> set[str]:
    reasons = run.folder.open_flags().read(["row_id", "reason"]).to_pylist()
    found = {row["row_id"] for row in reasons if "is unsure" in row["reason"]}
    assert 5 < len(found) < 30
    return found


def test_no_map_is_scored_against_it(run: Run, unsure: set[str]) -> None:
    """In the summary, and where models are compared and rules are judged."""
    of_images = pa.concat_tables(read_images(run, ["row_id", f"lift:{METHOD}"])).to_pandas()
    lifts = of_images.set_index("row_id")[f"lift:{METHOD}"].dropna()
    assert not unsure & set(lifts.index)
    (found,) = (it for it in run.summary().methods if it.method == METHOD)
    assert found.pointing.of == len(lifts) > 40
    assert found.mean_lift == pytest.approx(lifts.mean(), rel=1e-5)


def test_methods_are_not_compared_by_it(run: Run, unsure: set[str]) -> None:
    measured = read_measurements(run, METHOD)
    row_ids = run.folder.open_flags().read(["row_id"])["row_id"].to_pylist()
    unsure_N = np.isin(row_ids, list(unsure))
    for value_N in (measured.values["share"], measured.values["lift"], measured.reliance_N):
        assert np.isnan(value_N[unsure_N]).all()
        assert np.isfinite(value_N[~unsure_N]).sum() > 40


def test_no_pattern_is_proposed_or_tested_by_it(run: Run, unsure: set[str]) -> None:
    """Its object would be put behind others, as the background of a member."""
    known = 0
    for _, images in read_shards(run, METHOD):
        unsure_N = np.isin(images.row_ids.to_pylist(), list(unsure))
        facts = images.facts
        assert np.isnan(facts.area_N[unsure_N]).all()
        assert (facts.alone_N[unsure_N] == UNKNOWN).all()
        assert (facts.bare_N[unsure_N] == UNKNOWN).all()
        assert np.isnan(images.vectors["background"][unsure_N]).all()
        known += int((facts.alone_N != UNKNOWN).sum())
    assert known > 40


def test_the_forecast_is_not_tried_on_it(run: Run, unsure: set[str]) -> None:
    """What an exchange shows of an object that its estimate misses tells nothing of others."""
    donors = read_donor_predictions(run.folder)
    assert donors is not None
    class_index, trial = class_index_of(run), Trial()
    for shard in run.shards:
        table = join(
            run.part(PREDICTIONS, shard, ["row_id", "prediction"]), run.part(INTERVENTIONS, shard)
        )
        sure = [row_id not in unsure for row_id in table["row_id"].to_pylist()]
        table = table.filter(pc.and_(pa.array(sure), table["exchanged"].is_valid()))
        class_b = classes_of(table, class_index)
        trial += try_forecast(class_b, donors, Exchanges.of(table, class_b, donors))
    everything = trust_of(run, INTERVENTIONS, donors, 0.0)
    assert trust_of(run, INTERVENTIONS, donors, LEAST) == trial.trust != everything


def test_masks_and_estimates_are_compared_where_both_decide(run: Run) -> None:
    found = run.summary().foreground.estimates
    assert found is not None
    flags = run.folder.open_flags().read().to_pandas().set_index("row_id")
    masked = flags[(flags["foreground"] == "annotated") & (flags["flag"] != "undecided")]
    changes, sure = of_estimates(run, "flips_own"), of_foregrounds(run, "confidence") >= LEAST
    decided = [key for key in masked.index if sure[key] and changes.get(key, 1) <= 0.5]
    assert found.agreement.of == len(decided) < len(masked)
    assert found.flagged_annotated.of == found.flagged_estimated.of == len(decided)
    by_mask = masked.loc[decided, "flag"] == "rests_on_background"
    assert found.flagged_annotated.count == by_mask.sum()


def of_estimates(run: Run, column: str) -> pd.Series:
    """Of annotated images with their estimates as masks."""
    return _column(run, INTERVENTIONS.from_estimates(), column)


def of_foregrounds(run: Run, column: str) -> pd.Series:
    return _column(run, FOREGROUNDS, column)


def _column(run: Run, stage: Stage, column: str) -> pd.Series:
    parts = (run.part(stage, shard, ["row_id", column]) for shard in run.shards)
    return pa.concat_tables(parts).to_pandas().set_index("row_id")[column]


def test_flags_and_figures_draw_the_line_at_the_same_confidence(finished_run: RunFolder) -> None:
    """0.7 is stored as a float32, which is a little less."""
    shard = next(iter(ScoredShards(open_run(finished_run.path), METHOD, 0.7)))
    row_ids, count = shard.table["row_id"], len(shard.table)
    stored = pa.array(np.resize([0.7, 0.6999, 0.7001], count), pa.float32())
    columns = [row_ids, stored, pa.nulls(count, pa.float32())]
    estimates = pa.table(columns, schema=schema.FOREGROUNDS)
    where = shard.table.column_names.index("confidence")
    table = shard.table.set_column(where, "confidence", stored)
    unsure_B = replace(shard, table=table).unsure_B
    kept = drop_unsure(pa.table({"row_id": row_ids}), estimates, 0.7)["row_id"]
    assert unsure_B.tolist() == np.resize([False, True, False], count).tolist()
    assert kept.to_pylist() == [
        key for key, unsure in zip(row_ids.to_pylist(), unsure_B, strict=True) if not unsure
    ]


SEGMENTER = """
import torch

class Strip(torch.nn.Module):
    def forward(self, picture_BCHW):
        logits_B1HW = torch.full_like(picture_BCHW[:, :1], -LOGIT)
        logits_B1HW[..., :8] = LOGIT
        return logits_B1HW

def build():
    return Strip()
"""


def segmenter(folder: Path, logit: float) -> str:
    (folder / "strip.py").write_text(SEGMENTER.replace("LOGIT", str(float(logit))))
    return f"{folder / 'strip.py'}:build"


def test_where_no_estimate_is_sure_enough_for_a_donor_the_rule_says_so(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    pictures = sorted((benchmark_folder / "images/test").iterdir())[:4]
    (tmp_path / "table.csv").write_text("\n".join(["file_name", *map(str, pictures)]) + "\n")
    data = DataSettings(path=str(tmp_path / "table.csv"))
    asked = AuditRequest(data, foreground=ForegroundSettings(source=segmenter(tmp_path, 0.5)))
    run = run_audit(tmp_path / "run", data, ModelSettings(address=str(bundle)), asked=asked)
    assert (
        "4 pictures were changed, but none was put on another background, since no other picture "
        "could be a donor (its foreground covers at most 60%, an estimated one with a confidence "
        "of at least 0.60) or" in open_run(run.path).summary().rule.sentence
    )


def test_where_no_confidence_suffices_even_certainty_decides_nothing(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    """A segmenter that is certain of every mask, and wrong."""
    foreground = ForegroundSettings(source=segmenter(tmp_path, logit=1000))
    run = audit(tmp_path, benchmark_folder, bundle, foreground)
    found = run.summary().foreground.estimates
    assert found is not None
    assert (set(of_foregrounds(run, "confidence")), found.good.count) == ({1.0}, 0)
    assert found.unsure == found.estimated == 32
    flags = run.folder.open_flags().read(["foreground", "flag", "reason"]).to_pylist()
    said = {tuple(row.values())[1:] for row in flags if row["foreground"] == "estimated"}
    reason = "the estimated foreground is unsure (1.00, and no confidence suffices)"
    assert said == {("undecided", reason)}
    assert "Estimated foregrounds decide nothing: however sure" in run.summary().rule.sentence
