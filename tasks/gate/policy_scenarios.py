"""The scenarios that the rules of a policy name.

Their filters stand in a file beside the policy, a copy of the scenarios.json of a run: they are
reviewed with the limits, are part of the policy's digest, and are the same for every candidate,
whose run folder has none yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.addresses import as_path
from models.errors import UserError, list_names
from tasks.gate.policy_lines import Lines
from tasks.gate.policy_rule import Rule
from tasks.query.filters import Filter
from tasks.scenarios.filter_words import depends_on_model
from tasks.scenarios.saved import Scenario, find_scenario, read_file
from tasks.storage.files import join

COPY = "name one of these, or copy scenarios.json again from the run folder where it was saved"


@dataclass(frozen=True)
class PolicyScenarios:
    """A policy's file of scenarios, and its rules' lines."""

    policy: str
    file: str | None
    lines: Lines

    def of(self, rules: Sequence[Rule]) -> dict[str, Filter]:
        """By name, the filters of the scenarios that rules name; refuses what no gate can use."""
        numbers = [number for number, rule in enumerate(rules) if rule.scenario is not None]
        if not numbers:
            return {}
        saved = self._read(numbers[0], rules)
        found = {}
        for number in numbers:
            rule = rules[number]
            scenario = find_scenario(saved, str(rule.scenario), self._where(number), COPY)
            self._check(scenario, rule, number)
            found[scenario.name] = scenario.filter
        return found

    def _read(self, first: int, rules: Sequence[Rule]) -> tuple[Scenario, ...]:
        if self.file is None:
            raise UserError(
                f"policy {self.policy}, {self.lines.name(first)} is of the scenario "
                f"{rules[first].scenario!r}, and the policy names no file of scenarios: add "
                'scenarios = "scenarios.json" above its first rule, and copy that file from the '
                "run folder where the scenario was saved"
            )
        path = as_path(join(str(as_path(self.policy).parent), self.file))
        if not path.is_file():
            raise UserError(
                f"policy {self.policy}: there is no file of scenarios {path}: copy scenarios.json "
                "there from the run folder where they were saved"
            )
        return read_file(path)

    def _where(self, number: int) -> str:
        return f"policy {self.policy}, {self.lines.name(number)}: {self.file}"

    def _check(self, scenario: Scenario, rule: Rule, number: int) -> None:
        """A lasso encloses other images in the plot of another run; and images that one of two
        models was chosen to fail on show it as the worse one, whichever it is."""
        where = f"policy {self.policy}, {self.lines.name(number)}: the scenario {scenario.name!r}"
        if scenario.filter.spaces:
            raise UserError(
                f"{where} is a lasso in the plot of one run, and every run has a plot of its own: "
                "save the images of the lasso as row ids, or choose by columns"
            )
        answers = depends_on_model(scenario.filter)
        if answers and rule.is_change:
            raise UserError(
                f"{where} chooses images by what the candidate says of them "
                f"({list_names(answers)}), which makes any two models differ there: choose by "
                "columns of your table, or limit the figure itself (at_least, at_most)"
            )
