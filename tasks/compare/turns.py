"""Images that one of two models gets right or that is flagged with one of them only.

Shapes: N images, 2 is before and after; NaN where the two cannot be compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tasks import schema
from tasks.compare.paired_images import Pairs
from tasks.intervals.bootstrap import Floats

SHOWN = 24  # most of them
IMPROVEMENTS = SHOWN // 3  # that are shown however many regressions there are


def count_turns(right_N2: Floats, flagged_N2: Floats) -> dict[schema.Turn, int]:
    """Images of each kind of change."""
    turned = _turned(right_N2, flagged_N2)
    return {turn: int(turned[turn].sum()) for turn in schema.TURNS}


def changed_images(
    pairs: Pairs, right_N2: Floats, flagged_N2: Floats
) -> tuple[schema.ChangedImage, ...]:
    """The worst regressions first, then the largest improvements."""
    turned = _turned(right_N2, flagged_N2)
    worse_N = np.any([turned[turn] for turn in schema.WORSE_TURNS], 0)
    better_N = np.any([turned[turn] for turn in schema.TURNS], 0) & ~worse_N
    order_N = _badness(pairs, right_N2, flagged_N2)
    worse, better = order_N[worse_N[order_N]], order_N[better_N[order_N]][::-1]
    better = better[: max(IMPROVEMENTS, SHOWN - len(worse))]
    shown = [*worse[: SHOWN - len(better)].tolist(), *better.tolist()]
    before, after = (
        table.take(pa.array(shown, pa.int64())).to_pylist() for table in _tables(pairs)
    )
    return tuple(
        schema.ChangedImage(
            row_id=row["row_id"],
            label=row["label"],
            before=_answer(old),
            after=_answer(row),
            turns=tuple(turn for turn in schema.TURNS if turned[turn][place]),
        )
        for place, old, row in zip(shown, before, after, strict=True)
    )


def _turned(right_N2: Floats, flagged_N2: Floats) -> dict[schema.Turn, Any]:
    """By kind of change, which images; nothing compares with NaN."""
    return {
        "broken": right_N2[:, 0] > right_N2[:, 1],
        "newly_flagged": flagged_N2[:, 0] < flagged_N2[:, 1],
        "fixed": right_N2[:, 0] < right_N2[:, 1],
        "no_longer_flagged": flagged_N2[:, 0] > flagged_N2[:, 1],
    }


def _badness(pairs: Pairs, right_N2: Floats, flagged_N2: Floats) -> np.ndarray:
    """Places of images: first what is lost and flagged at once, what is lost, what is flagged;
    among them by more flips, then by how sure the later model is."""
    lost_N, flag_N, flips_N = (
        np.nan_to_num(value_N2 @ np.array([-1.0, 1.0]))
        for value_N2 in (-right_N2, flagged_N2, pairs.values("flips"))
    )
    sure_N = pairs.values("confidence")[:, 1]
    order_N: np.ndarray = np.lexsort((-sure_N, -flips_N, -(2 * lost_N + flag_N)))
    return order_N


def _tables(pairs: Pairs) -> tuple[pa.Table, pa.Table]:
    names = ["row_id", "label", *schema.Answer.model_fields]
    return pairs.before.select(names), pairs.after.select(names)


def _answer(row: dict[str, Any]) -> schema.Answer:
    return schema.Answer(**{name: row[name] for name in schema.Answer.model_fields})
