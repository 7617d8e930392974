"""Commands that inputs spoil, an option given again is the one that counts."""

from __future__ import annotations

AUDIT = ("audit", "--data", "data", "--split", "test", "--model", "model", "--out", "out")


def audit(*options: str) -> tuple[str, ...]:
    return (*AUDIT, *options)


def audit_of_table(name: str, *options: str) -> tuple[str, ...]:
    """Of a table of the user's; pictures are named as from the benchmark's folder."""
    where = ("--data", name, "--images", "data", "--model", "model", "--out", "out")
    return ("audit", *where, *options)


def audit_of_data(name: str, *options: str) -> tuple[str, ...]:
    return ("audit", "--data", name, "--model", "model", "--out", "out", *options)


def retrain(*options: str) -> tuple[str, ...]:
    return ("retrain", *AUDIT[1:], *options)


def release(*options: str) -> tuple[str, ...]:
    candidate = ("--model", "mlflow:models:/net@candidate", "--policy", "policy.toml")
    return ("release", *AUDIT[1:], *candidate, *options)


def compare_methods(*options: str) -> tuple[str, ...]:
    return ("compare-methods", *AUDIT[1:], *options)
