"""Flags: per image, does the map rest on the background? And the rule that says so, in words."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from tasks import schema

SMALLEST, LARGEST = 0.01, 0.95  # foreground areas outside of which nothing can be decided


class FlagSettings(BaseModel):
    """One declared method and one threshold on its lift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field("grad_cam_pp", description="The one method whose maps decide.")
    threshold: float = Field(
        1.0, gt=0, description="Lift under which an image is flagged; 1 is an even map's."
    )


def rule_of(
    settings: FlagSettings, source: schema.ForegroundSource, target: str
) -> schema.FlagRule:
    """The rule as the report states it."""
    if source == "none":
        sentence = "Nothing is flagged: the data has no foreground (masks) to compare maps with."
    else:
        sentence = (
            f"An image is flagged rests_on_background when the {settings.method} map of its "
            f"{target} puts less than {settings.threshold:g} times the energy on the foreground "
            f"that an even map would (lift < {settings.threshold:g}); it is undecided when the "
            f"foreground covers less than {SMALLEST:.0%} or more than {LARGEST:.0%} of it, "
            "when mask or map could not be had, or when the map is zero everywhere."
        )
    return schema.FlagRule(method=settings.method, threshold=settings.threshold, sentence=sentence)


def flag_rows(
    row_ids: list[str], scores: Mapping[str, dict[str, float | None]], settings: FlagSettings
) -> pa.Table:
    """The flags table of these rows; `scores` holds area, share and lift where there are any."""
    rows = []
    for row_id in row_ids:
        score = scores.get(row_id, {"area": None, "share": None, "lift": None})
        flag, reason = flag_of(score["area"], score["lift"], settings.threshold)
        rows.append(
            {
                "row_id": row_id,
                "flag": flag,
                "reason": reason,
                "method": settings.method,
                "area": score["area"],
                "share": score["share"],
                "lift": score["lift"],
            }
        )
    return pa.Table.from_pylist(rows, schema=schema.FLAGS_TABLE)


def flag_of(area: float | None, lift: float | None, threshold: float) -> tuple[schema.Flag, str]:
    """The flag of one image and its reason."""
    if area is None:
        return "undecided", "no foreground and map to compare"
    if area < SMALLEST:
        return "undecided", f"the foreground covers {area:.1%} of the picture, under {SMALLEST:.0%}"
    if area > LARGEST:
        return "undecided", f"the foreground covers {area:.1%} of the picture, over {LARGEST:.0%}"
    if lift is None:
        return "undecided", "the map is zero everywhere"
    if lift < threshold:
        return "rests_on_background", f"lift {lift:.2f} is under {threshold:g}"
    return "rests_on_object", f"lift {lift:.2f} is at least {threshold:g}"
