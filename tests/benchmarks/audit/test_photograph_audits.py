"""Audits of photographs: shares are of what they say, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.audit.photograph_audits import COLUMNS, Audit, figures_of, read_table
from tasks.schema import wilson

BACKGROUND, OBJECT, UNDECIDED = "rests_on_background", "rests_on_object", "undecided"


def test_shares_are_of_masked_decided_and_judged_photographs() -> None:
    rows = [{"class_index": str(8 * number), "mask": "m" * (number < 4)} for number in range(5)]
    masks = _audit(BACKGROUND, OBJECT, BACKGROUND, UNDECIDED, UNDECIDED)
    network = _audit(BACKGROUND, BACKGROUND, OBJECT, OBJECT, UNDECIDED)
    names = [figure.name for figure in figures_of(rows, masks, network)]
    assert names == [
        "masks, all: decided (3 of 4)",
        "masks, all: undecided, unsure (1 of 4)",
        "masks, all: flagged (2 of 3)",
        "masks, all: by the null (1 of 3)",
        "masks, judged on: decided (2 of 2)",
        "masks, judged on: flagged (2 of 2)",
        "network, all: decided (4 of 5)",
        "network, all: undecided, unsure (1 of 5)",
        "network, all: flagged (2 of 4)",
        "network, all: by the null (1 of 3)",
        "both decide, all: flags agree (1 of 3)",
        "both decide, all: of either's, both's (1 of 3)",
        "both decide, judged on: flags agree (1 of 2)",
        "both decide, judged on: of either's, both's (1 of 2)",
    ]


def _audit(*flags: str) -> Audit:
    return Audit(np.array(flags), [f"unsure (0.{i})" for i in range(len(flags))], wilson(1, 3))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"table.csv does not exist: --photos names a folder"):
        read_table(tmp_path)
    (tmp_path / "table.csv").write_text("file_name,label\na.jpg,cat\n")
    with pytest.raises(SystemExit, match=", ".join(COLUMNS)):
        read_table(tmp_path)
