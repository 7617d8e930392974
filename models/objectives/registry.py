"""Objectives by the name that a user types: `erm`, `sib:form=paper`, `ibsgl:form=code:beta=2`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from models.arguments import format_arguments, parse_arguments, parse_settings
from models.errors import UserError, list_names, suggest
from models.objectives.dfr import Dfr
from models.objectives.erm import Erm
from models.objectives.ibsgl import IbsglCode, IbsglPaper
from models.objectives.sib_feature import SibFeature
from models.objectives.sib_interventional import SibInterventional
from models.objectives.sib_paper import SibPaper
from models.objectives.sib_robust import SibRobust
from models.objectives.step import Objective
from models.objectives.swap import Swap

# The first form of a family is its default.
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
SHARES = ("share", "warm_up")  # arguments from 0 to 1
LARGEST_WEIGHT = 1e6  # of a term of the loss


@dataclass(frozen=True)
class FoundObjective:
    """An objective and the shortest name that means the same."""

    name: str
    objective: Objective


def find_objective(text: str) -> FoundObjective:
    """The objective that `sib:form=feature:weight=3` names."""
    family, _, rest = text.partition(":")
    if family not in FAMILIES:
        raise UserError(
            f"unknown objective {text!r}{suggest(family, FAMILIES)}; known are "
            f"{list_names(FAMILIES)}"
        )
    forms, arguments = FAMILIES[family], parse_arguments(rest)
    default = next(iter(forms))
    form = arguments.pop("form", default) if len(forms) > 1 else default
    if form not in forms:
        raise UserError(
            f"objective {family} has no form {form!r}{suggest(form, forms)}; "
            f"known are {list_names(forms)}"
        )
    objective: Objective = parse_settings(f"objective {family}", forms[form], arguments)
    _check_numbers(family, objective)
    parts = [family, *([] if form == default else [f"form={form}"]), *format_arguments(objective)]
    return FoundObjective(":".join(parts), objective)


def _check_numbers(family: str, objective: Objective) -> None:
    """Refuse negative weights (they would reverse the objective) and shares over 1."""
    for field in fields(objective):  # type: ignore[arg-type]  # each form is a dataclass
        value, most = getattr(objective, field.name), 1 if field.name in SHARES else LARGEST_WEIGHT
        if isinstance(value, float) and not 0 <= value <= most:
            raise UserError(
                f"objective {family}: {field.name}={value:g} is not possible; give a number from 0 "
                f"to {most:g}"
            )
