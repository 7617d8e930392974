"""Deep feature reweighting (Kirichenko et al. 2023): the last layer, trained on balanced groups.

Every group is drawn equally often; all other layers stay as they are, in evaluation mode.
The paper averages several logistic regressions on balanced subsets; this is one, on all images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from models.objectives.erm import Erm


@dataclass(frozen=True)
class Dfr(Erm):
    """Cross entropy of the last layer alone, on balanced groups."""

    needs_groups: ClassVar[bool] = True
    trains: ClassVar[Literal["all", "head"]] = "head"
