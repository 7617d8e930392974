"""A figure is defined once: what is added to the table is everywhere, and old runs are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.cli.output.comparison import print_models
from reports.audit_page import render_page
from reports.models_page import render_models
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure
from tasks.compare.paired_images import PairedImages, read_alone
from tasks.compare.two_models import compare_models
from tasks.flags.settings import FlagSettings
from tasks.gate.policy import read_policy
from tasks.gate.rules import Evidence, apply_policy
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.schema import FIGURES, Figure, FlagRule, GroupSummary, Interval, Rate, Summary, wilson
from tasks.summary.groups import worst_group
from tasks.summary.summarise import summarise
from tasks.tracking.metrics import metrics_of
from tests.support.audit_summaries import summary as specimen
from tests.support.figure_tables import REFERENCE, with_tables
from tests.support.html_page import Page

NEW = Figure(
    "sureness",
    "mean sureness",
    "Probability of the predicted class.",
    higher_is_better=False,
    missing="no image was predicted",
    column="confidence",
)


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Summarised again with a figure more in the table."""
    monkeypatch.setitem(FIGURES, NEW.name, NEW)
    folder = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    summarise(folder, FlagSettings(), open_run(folder.path).summary().cost)
    return open_run(folder.path)


def test_a_new_figure_is_one_edit(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sure_N = run.table()["confidence"].to_numpy().astype(float)
    found = run.summary().figures[NEW.name]
    assert found.value == pytest.approx(sure_N.mean())
    assert found.of == len(sure_N)

    metrics = metrics_of(run.summary())
    assert metrics["sureness"] == found.value
    assert metrics["sureness_low"] < found.value < metrics["sureness_high"]

    page = Page(render_page(run.summary(), [])).text.replace("\xa0", " ")
    assert f"Mean sureness ↓ Probability of the predicted class. {found.value:.1%}" in page

    paired = compare_models(run, run)
    assert NEW.name in {it.figure for it in paired.figures}
    assert "Mean sureness ↓" in Page(render_models(paired, [])).text.replace("\xa0", " ")
    print_models(paired)
    assert "Mean sureness" in capsys.readouterr().out

    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nfigure = "sureness"\nat_most = 0.001\n')
    rules = read_policy(str(policy))
    assert rules.rules[0].words == "sureness is at most 0.1%, of 20 images or more"
    (ruling,) = apply_policy(rules, Evidence(read_alone(run), None, ()))
    assert ruling.status == "fail"
    assert ruling.reason.startswith(f"sureness is {100 * found.value:.2f}% (")

    row = "| `sureness` | mean sureness | share | bootstrap | lower | Probability of the predicted"
    assert row in with_tables(REFERENCE.read_text(encoding="utf-8"))


def test_every_figure_of_an_audit_is_in_the_table(finished_run: RunFolder) -> None:
    summary = open_run(finished_run.path).summary()
    assert {*summary.by_name()} <= {*FIGURES}
    for name, value in summary.by_name().items():
        if isinstance(value, Rate):
            assert FIGURES[name].interval == "Wilson"
        for number in (value.value, value.low, value.high):
            unit = FIGURES[name].unit
            assert number is None or unit.least <= number <= unit.most


def test_the_rate_of_changes_is_one_in_audit_gate_and_comparison(finished_run: RunFolder) -> None:
    run = open_run(finished_run.path)
    shown = run.summary().by_name()["flips"]
    assert isinstance(shown, Interval)
    gate = compute_figure(read_alone(run), FigureQuery("flips"))
    assert isinstance(gate, FigureValue)
    assert (shown.value, shown.low, shown.high, shown.of) == (
        gate.value,
        gate.low,
        gate.high,
        gate.of,
    )
    (compared,) = (it for it in compare_models(run, run).figures if it.figure == "flips")
    assert (compared.before, compared.of) == (shown.value, shown.of)
    assert f"{FIGURES['flips'].title} " in Page(render_page(run.summary(), [])).text


def test_a_summary_of_an_older_run_is_read() -> None:
    later: dict[str, Any] = {"figures": {}, "same_columns": {}, "cross_tables": {}}
    now = specimen(by_column={"group": specimen().by_label}, **later)
    assert now.evidence is not None
    older = json.loads(now.model_dump_json())
    older["evidence"]["gap"] = older["evidence"].pop("class_gap")
    older["evidence"]["worst_group"] = older.pop("worst_group")
    del older["evidence"]["worst_group"]["column"]
    for name in later:
        del older[name]
    assert Summary.model_validate(older) == now
    assert "class_gap" in now.model_dump_json()


def test_the_worst_group_of_an_audit_is_the_gates() -> None:
    """Of labels, with one interval; groups of fewer than 20 images do not count."""
    rates = {"bird": wilson(30, 40), "boat": wilson(12, 25), "car": wilson(0, 19)}
    table = pa.table(
        {
            "label": [name for name, rate in rates.items() for _ in range(rate.of)],
            "correct": [index < it.count for it in rates.values() for index in range(it.of)],
        }
    )
    rule = FlagRule(method="", false_alarm=0.05, threshold=None, calibrated_on=0, sentence="")
    images = PairedImages(table, table, (rule, rule), len(table), group_column=None)
    found = compute_figure(images, FigureQuery("worst_group"))
    assert isinstance(found, FigureValue)
    nothing = {"flagged": wilson(0, 0), "null": wilson(0, 0), "excess": None, "q": None}
    groups = [GroupSummary(name=name, accuracy=it, **nothing) for name, it in rates.items()]
    worst = worst_group(groups)
    assert worst is not None
    assert (worst.name, worst.groups, worst.accuracy.of) == ("boat", 2, found.counted)
    ends = (worst.accuracy.value, worst.accuracy.low, worst.accuracy.high)
    assert ends == pytest.approx((found.value, found.low, found.high))
