"""A policy and a gate's verdict for a terminal, a pipe or a log."""

from __future__ import annotations

import click

from models.addresses import as_path
from reports.gate_page import images_of, outcome
from tasks.gate.policy import Policy
from tasks.schema.gate import GateResult


def print_policy(policy: Policy) -> None:
    """Print each rule in words, and its consequences."""
    for number, (rule, line) in enumerate(zip(policy.rules, policy.lines, strict=True), 1):
        where = "" if line is None else f" (line {line})"
        click.echo(f"rule {number}{where}: {rule.words}")
        click.echo(f"  {rule.consequences}")


def print_gate(result: GateResult, folder: str) -> None:
    """Print each rule with its outcome, and the verdict."""
    for ruling in result.rulings:
        click.echo(f"rule {ruling.number}: {ruling.rule}")
        click.echo(f"  {outcome(ruling)}: {ruling.reason}")
    click.echo(f"images:    {images_of(result)} of {result.data}; {result.compared}")
    click.echo(f"verdict:   {result.sentence}")
    click.echo(f"promotion: {result.promotion}")
    click.echo(f"report:    {as_path(folder) / 'release.html'}")
    if result.champion is not None:
        click.echo(f"compared:  {as_path(folder) / 'compare.html'}")
