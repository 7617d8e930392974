"""Objectives as they are typed: `erm`, `sib`, `sib:form=paper`, `ibsgl:form=code:beta=2`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.arguments import arguments_of, settings_of, told_arguments
from models.mistakes import Mistake, nearest, shown
from models.objectives.dfr import Dfr
from models.objectives.erm import Erm
from models.objectives.ibsgl import IbsglCode, IbsglPaper
from models.objectives.sib_feature import SibFeature, SibInterventional
from models.objectives.sib_paper import SibPaper
from models.objectives.sib_robust import SibRobust
from models.objectives.step import Objective
from models.objectives.swap import Swap

# The first form of a family is meant where none is named.
FAMILIES: Mapping[str, Mapping[str, type[Objective]]] = {
    "erm": {"": Erm},
    "swap": {"": Swap},
    "dfr": {"": Dfr},
    "sib": {
        "interventional": SibInterventional,
        "feature": SibFeature,
        "robust": SibRobust,
        "paper": SibPaper,
    },
    "ibsgl": {"code": IbsglCode, "paper": IbsglPaper},
}


class ObjectiveMistake(Mistake):
    """An objective that nobody knows."""


@dataclass(frozen=True)
class Named:
    """An objective and the shortest name that means the same."""

    name: str
    objective: Objective


def find_objective(text: str) -> Named:
    """`sib:form=feature:weight=3` as an objective."""
    family, _, rest = text.partition(":")
    if family not in FAMILIES:
        raise ObjectiveMistake(
            f"unknown objective {text!r}{nearest(family, FAMILIES)}; known are {shown(FAMILIES)}"
        )
    forms, given = FAMILIES[family], arguments_of(rest)
    usual = next(iter(forms))
    form = given.pop("form", usual) if len(forms) > 1 else usual
    if form not in forms:
        raise ObjectiveMistake(
            f"objective {family} has no form {form!r}{nearest(form, forms)}; "
            f"known are {shown(forms)}"
        )
    objective: Objective = settings_of(f"objective {family}", forms[form], given)
    parts = [family, *([] if form == usual else [f"form={form}"]), *told_arguments(objective)]
    return Named(":".join(parts), objective)
