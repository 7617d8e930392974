"""Audits of photographs: shares are of what they say, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import photograph_cells
from benchmarks.audit import photograph_audits
from benchmarks.audit.photograph_audit_figures import (
    Audit,
    agreement_figures,
    audit_figures,
    fresh_truth,
    kappa,
    score_figures,
)
from benchmarks.audit.photograph_audits import COLUMNS, AuditCell, half_of
from benchmarks.photograph_cells import read_rows

BACKGROUND, OBJECT, UNDECIDED = "rests_on_background", "rests_on_object", "undecided"


def _audit(*flags: str) -> Audit:
    """Photograph by photograph: of growing area, a score that falls, every second one changed."""
    count = len(flags)
    number_N = np.arange(count)
    return Audit(
        class_index=8 * number_N,
        masked=np.ones(count, bool),
        correct=number_N > 0,
        flag=np.array(flags),
        reason=np.array([f"unsure (0.{number})" for number in number_N]),
        score=1 - number_N / count,
        null_score=number_N / count,
        threshold=np.array(0.5),
        area=number_N / count,
        flips_own=np.zeros(count),
        donors=np.array([["a", "b"]] * count),
        changed=np.tile([0.0, 1.0], (count, 1)),
    )


def test_shares_are_of_decided_photographs_and_reasons_are_counted() -> None:
    audit = _audit(BACKGROUND, OBJECT, BACKGROUND, UNDECIDED)
    figures = {figure.name: figure.value for figure in audit_figures("it", audit)}
    assert figures["it: predicted right (3 of 4)"] == 0.75
    assert figures["it: undecided (1 of 4)"] == figures["it: undecided, unsure (1 of 4)"] == 0.25
    assert figures["it: flagged (2 of 3)"] == pytest.approx(2 / 3)
    assert figures["it: by the null (0 of 3)"] == 0
    assert figures["it: changed on own, moved (4)"] == 0
    assert figures["it: changed on others (4)"] == 0.5


def test_the_truth_is_of_donors_that_the_audit_did_not_use() -> None:
    audit, truth = _audit(OBJECT, OBJECT), _audit(OBJECT, OBJECT)
    truth.donors[:] = [["a", "c"], ["c", ""]]
    assert fresh_truth(audit, truth).tolist() == [1.0, 0.0]  # c alone, of each
    truth.donors[1] = ["a", "b"]
    assert np.isnan(fresh_truth(audit, truth)[1])


def test_a_score_that_ranks_as_the_truth_has_an_auroc_of_1() -> None:
    audit, truth = _audit(*[OBJECT] * 6), _audit(*[OBJECT] * 6)
    truth.donors[:] = "c"
    truth.changed[:] = (audit.score > 0.5)[:, None]
    figures = {figure.name: figure.value for figure in score_figures("it", audit, truth)}
    assert figures["it: AUROC of the score"] == 1


def test_agreement_is_of_what_both_decide() -> None:
    first = _audit(BACKGROUND, OBJECT, BACKGROUND, UNDECIDED, OBJECT)
    second = _audit(BACKGROUND, BACKGROUND, OBJECT, OBJECT, OBJECT)
    names = [figure.name for figure in agreement_figures("it", first, second)]
    assert names == [
        "it: both decide (4 of 5)",
        "it: flags agree (2 of 4)",
        "it: kappa",
        "it: of those that either flags, both do (1 of 3)",
    ]


def test_kappa_is_1_for_the_same_and_0_for_chance() -> None:
    half_N = np.array([True, True, False, False])
    assert kappa(np.stack([half_N, half_N])) == 1
    assert kappa(np.stack([half_N, np.array([True, False, True, False])])) == 0
    assert np.isnan(kappa(np.zeros((2, 4), bool)))


def test_halves_are_eighths_of_the_classes() -> None:
    audit = _audit(*[OBJECT] * 4)
    assert half_of(audit, "judged on").tolist() == [True, False, True, False]
    assert half_of(audit, "chosen on").tolist() == [False, True, False, True]


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"table.csv does not exist: --photos names a folder"):
        read_rows(tmp_path, COLUMNS)
    (tmp_path / "table.csv").write_text("file_name,label\na.jpg,cat\n")
    with pytest.raises(SystemExit, match=", ".join(COLUMNS)):
        read_rows(tmp_path, COLUMNS)
    monkeypatch.setattr(photograph_audits, "CELLS", tmp_path)
    with pytest.raises(SystemExit, match="--photos DIR is not given: name the folder"):
        AuditCell("lite0", "masks").load(None)


def test_a_cell_is_measured_once(tmp_path: Path) -> None:
    file = tmp_path / "cells" / "it.npz"
    kept = photograph_cells.load_cell(file, tmp_path, lambda _: {"a": np.arange(3)})
    again = photograph_cells.load_cell(file, None, lambda _: {})
    np.testing.assert_array_equal(kept["a"], again["a"])
    assert [it.name for it in file.parent.iterdir()] == ["it.npz"]
