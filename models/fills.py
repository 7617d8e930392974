"""What a removed object is filled with; models/interventions.py does it."""

from __future__ import annotations

from typing import Literal, get_args

Fill = Literal["mean", "blur", "data", "inpaint"]
FILLS: tuple[Fill, ...] = get_args(Fill)
