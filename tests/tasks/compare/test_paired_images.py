"""Two runs side by side, against pandas: rows in any order, other words, values that lack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks import schema
from tasks.compare.paired_images import PairedImages, pair_images
from tasks.storage.disk_tables import keep_on_disk

RULE = schema.FlagRule(
    method="grad_cam", false_alarm=0.05, threshold=0.5, calibrated_on=0, sentence=""
)
IMAGES = 60
FLAGS = ("rests_on_background", "rests_on_object", "undecided")


def run(seed: int, classes: tuple[str, ...]) -> pd.DataFrame:
    random = np.random.default_rng(seed)

    def lacking(values: np.ndarray) -> list[object]:
        return [None if random.random() < 0.2 else value for value in values.tolist()]

    return pd.DataFrame(
        {
            "row_id": [f"{index:03d}" for index in range(IMAGES)],
            "content_id": [f"bytes of {index}" for index in range(IMAGES)],
            "label": lacking(random.choice(classes, IMAGES)),
            "prediction": random.choice(classes, IMAGES),
            "correct": lacking(random.random(IMAGES) < 0.5),
            "flag": random.choice(FLAGS, IMAGES),
            "score": lacking(random.random(IMAGES).astype(np.float32)),
            "null_score": random.random(IMAGES).astype(np.float32),
            "kept_label": lacking(random.random(IMAGES)),
        }
    )


BEFORE, AFTER = run(1, ("owl", "cat", "dog")), run(2, ("cat", "ant", "owl"))
SHUFFLED = AFTER.sample(frac=1, random_state=0)
CHANGED = AFTER.assign(content_id=AFTER["content_id"].where(AFTER.index % 7 > 0, "other bytes"))
LATER = {
    "the same images": AFTER,
    "another order": SHUFFLED,
    "images that are new or lost": SHUFFLED.iloc[5:],
    "images of other bytes": CHANGED,
    "all of it": CHANGED.sample(frac=0.8, random_state=1),
    "nothing in common": AFTER.assign(row_id=AFTER["row_id"] + "x"),
    "no image was predicted": AFTER.iloc[:0],
}


def alone(rows: pd.DataFrame, block: int) -> PairedImages:
    """As a run is read: in a file, its words as numbers of each block's own."""
    table = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False)
    blocks = (table.slice(start, block) for start in range(0, max(1, len(table)), block))
    table = keep_on_disk(map(encode, blocks))
    return PairedImages(table, table, (RULE, RULE), len(rows), group_column=None)


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("row_id", "content_id", "label", "prediction", "flag")),
        *(("correct", pa.bool_()), ("score", pa.float32()), ("null_score", pa.float32())),
        ("kept_label", pa.float64()),
    ]
)
WORDS = ("label", "prediction", "flag")


def encode(block: pa.Table) -> pa.Table:
    for name in WORDS:
        column = block[name].dictionary_encode()
        block = block.set_column(block.column_names.index(name), name, column)
    return block


@pytest.mark.parametrize("blocks", [(7, 11), (100, 100)])
@pytest.mark.parametrize("case", LATER)
def test_pairs_are_images_of_the_same_bytes_in_the_later_order(
    case: str, blocks: tuple[int, int]
) -> None:
    later = LATER[case]
    pair = pair_images(alone(BEFORE, blocks[0]), alone(later, blocks[1]))
    both = later.merge(BEFORE, on=["row_id", "content_id"], suffixes=("", "_before"), how="inner")
    check_pair_of(pair, both)
    chosen = both[both.index % 3 == 0]
    check_pair_of(pair.choose(pa.array(chosen["row_id"], pa.string())), chosen)
    twice = pair.choose(pa.array(chosen["row_id"], pa.string()))
    few = chosen.iloc[::2]
    check_pair_of(twice.choose(pa.array(few["row_id"], pa.string())), few)


def check_pair_of(pair: PairedImages, both: pd.DataFrame) -> None:
    assert len(pair) == len(both)
    other = int((both["prediction"] != both["prediction_before"]).sum())
    assert pair.count_other_predictions() == other
    for name in {*both["label"]} - {None}:
        expected = np.flatnonzero(both["label"] == name)
        assert pair.labels.images(name).tolist() == expected.tolist()
    for column in ("correct", "score", "null_score", "kept_label", "score"):
        assert_values(pair, column, numbers(both, column))
    correct, kept = numbers(both, "correct"), numbers(both, "kept_label")
    assert_values(pair, "exchange_gap", correct - kept)
    flag_N2 = both[["flag_before", "flag"]].to_numpy()
    flagged_N2 = np.where(flag_N2 == "undecided", np.nan, flag_N2 == "rests_on_background")
    assert_values(pair, "flagged", flagged_N2.astype(float))


def numbers(both: pd.DataFrame, column: str) -> np.ndarray:
    return np.asarray(both[[f"{column}_before", column]].astype(float), float)


def assert_values(pair: PairedImages, column: str, expected_N2: np.ndarray) -> None:
    known_N1 = np.isfinite(expected_N2).all(1, keepdims=True)
    np.testing.assert_array_equal(pair.values(column), np.where(known_N1, expected_N2, np.nan))


def test_images_that_are_all_of_the_pair_are_no_part_of_it() -> None:
    pair = alone(AFTER, 7)
    assert pair.choose(pa.array(AFTER["row_id"], pa.string())) is pair
    assert not pair.is_part
    assert pair.choose(pa.array(["000"])).is_part


def test_a_method_that_one_run_lacks_has_no_values() -> None:
    later = alone(AFTER, 7)
    table = later.after.append_column("lift:grad_cam", pa.array(np.ones(IMAGES)))
    pair = PairedImages(later.after, table, (RULE, RULE), IMAGES, group_column=None)
    assert np.isnan(pair.values("lift:grad_cam")).all()
