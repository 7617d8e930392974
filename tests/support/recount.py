"""The figures of audits, counted again with pandas from what the tables say of each image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tasks.intervals.paired_rates import Crossing
from tasks.runs.reader import Run

METHOD = "grad_cam_pp"
SCORED = ["row_id", "content_id", "label", "prediction", "correct", "area"]
FLAGGED = ["row_id", "flag", "score", "null_score", "lift"]


def read_rows(run: Run) -> pd.DataFrame:
    """All that a reader with pandas has of a run, one row per image."""
    scores = run.table(METHOD).to_pandas()[SCORED]
    flags = pq.read_table(run.folder.flags).to_pandas()[FLAGGED]
    changed = pq.read_table(run.folder.path / "interventions").to_pandas()
    rows = scores.merge(flags, on="row_id").merge(changed, on="row_id", how="left")
    rows["kept_label"] = [kept_label(row) for _, row in rows.iterrows()]
    return rows.astype({"label": str, "prediction": str, "flag": str})


def kept_label(row: pd.Series) -> float:
    """Share of other classes' backgrounds on which the label is predicted; NaN without any."""
    if not isinstance(row["same_class"], np.ndarray):
        return float("nan")
    exchanges = zip(row["exchanged_predictions"], row["same_class"], strict=True)
    kept = [prediction == row["label"] for prediction, same in exchanges if not same]
    return float(np.mean(kept)) if kept else float("nan")


def join_runs(before: Run, after: Run) -> pd.DataFrame:
    """The images of the same bytes in both runs; each column once `_before` and once `_after`."""
    rows = read_rows(before).merge(
        read_rows(after), on="row_id", suffixes=("_before", "_after"), validate="1:1"
    )
    return rows[rows["content_id_before"] == rows["content_id_after"]]


def one_side(both: pd.DataFrame, side: str) -> pd.DataFrame:
    """Of joined runs the columns of one, by their own names."""
    own = both.filter(regex=f"_{side}$")
    return own.rename(columns=lambda name: name.removesuffix(f"_{side}"))


def image_values(rows: pd.DataFrame, figure: str, threshold: float | None = None) -> pd.Series:
    """What a figure is the mean of, by its definition; NaN where an image says nothing."""
    if figure == "accuracy":
        return rows["correct"].astype(float)
    if figure == "accuracy_exchanged":
        return rows["kept_label"]
    if figure == "exchange_gap":
        return rows["correct"].astype(float) - rows["kept_label"]
    if figure == "lift":
        return rows["lift"].where(rows["area"].between(0.01, 0.95))
    if figure in ("flagged", "excess"):
        flagged = (rows["flag"] == "rests_on_background").astype(float)
        null = 0.0 if figure == "flagged" else (rows["null_score"] > threshold).astype(float)
        return (flagged - null).where(rows["flag"] != "undecided")
    return rows[figure].astype(float)


def count_crossing(before: pd.Series, after: pd.Series) -> Crossing:
    """In how many images something is true on both sides, on one of them, on neither."""
    return Crossing(
        int((before & after).sum()),
        int((before & ~after).sum()),
        int((~before & after).sum()),
        int((~before & ~after).sum()),
    )
