"""A policy and a gate's verdict for a terminal, a pipe or a log."""

from __future__ import annotations

from flows.cli.output.lines import print_line
from models.addresses import as_path
from reports.gate_page import images_of, outcome, scenario_line
from tasks.gate.policy import Policy
from tasks.scenarios.filter_words import describe_filter
from tasks.schema.gate import GateResult


def print_policy(policy: Policy) -> None:
    """Print each rule in words, and its consequences."""
    for number, (rule, line) in enumerate(zip(policy.rules, policy.lines, strict=True), 1):
        where = "" if line is None else f" (line {line})"
        print_line(f"rule {number}{where}: {rule.words}")
        print_line(f"  {rule.consequences}")
    for name, chosen in policy.scenarios.items():
        print_line(f"scenario {name!r}: {describe_filter(chosen)}")


def print_gate(result: GateResult, folder: str) -> None:
    """Print each rule with its outcome, and the verdict."""
    for ruling in result.rulings:
        print_line(f"rule {ruling.number}: {ruling.rule}")
        print_line(f"  {outcome(ruling)}: {ruling.reason}")
    for scenario in result.scenarios:
        print_line(f"scenario:  {scenario_line(scenario)}")
    print_line(f"images:    {images_of(result)} of {result.data}; {result.compared}")
    print_line(f"verdict:   {result.sentence}")
    print_line(f"promotion: {result.promotion}")
    print_line(f"report:    {as_path(folder) / 'release.html'}")
    if result.champion is not None:
        print_line(f"compared:  {as_path(folder) / 'compare.html'}")
