"""The addresses that MLflow gives to models."""

from __future__ import annotations

import re

from models.errors import UserError

SCHEME = "mlflow:"
BY_ALIAS = re.compile(r"models:/(?P<name>[^/]+)@(?P<alias>[^/@]+)")
BY_VERSION = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>[^/]+)")
BY_ID = re.compile(r"models:/(?P<id>m-[^/@]+)")
BY_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")
FORMS = (
    "mlflow:models:/NAME@ALIAS, mlflow:models:/NAME/VERSION, mlflow:models:/NAME/latest "
    "or mlflow:runs:/RUN_ID/PATH"
)


def check_mlflow_address(address: str) -> None:
    """Refuse what cannot mean a model, without asking MLflow."""
    rest = address.removeprefix(SCHEME)
    if not any(form.fullmatch(rest) for form in (BY_ALIAS, BY_VERSION, BY_ID, BY_RUN)):
        raise UserError(f"{address} is not a model in MLflow: give {FORMS}")
