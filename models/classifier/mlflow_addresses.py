"""The addresses that MLflow gives to models."""

from __future__ import annotations

import re

SCHEME = "mlflow:"
BY_ALIAS = re.compile(r"models:/(?P<name>[^/]+)@(?P<alias>[^/@]+)")
BY_VERSION = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>[^/]+)")
BY_ID = re.compile(r"models:/(?P<id>m-[^/@]+)")
BY_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")
FORMS = (
    "mlflow:models:/NAME@ALIAS, mlflow:models:/NAME/VERSION, mlflow:models:/NAME/latest "
    "or mlflow:runs:/RUN_ID/PATH"
)
