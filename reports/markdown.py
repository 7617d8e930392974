"""An audit, a comparison and a verdict as Markdown, for Prefect's page and for pull requests.

User text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reports import gate_page, models_page
from reports.figure_changes import ChangeRow, rows_of
from reports.finding import headline
from reports.open_command import open_command
from reports.pattern_changes import PatternRow, pattern_rows
from reports.pattern_sentences import pattern_lines
from reports.visible_text import visible
from tasks.schema import (
    FIGURES,
    Excess,
    Interval,
    PairedFigure,
    PairedSummary,
    Rate,
    Summary,
)
from tasks.schema.gate import GateResult, Ruling

LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)  # http:// www. a@b.c @a
WORD_JOINER = "\u2060"  # invisible
PLAIN = frozenset(" -./,:%+−–()'")  # besides letters and digits, what Markdown leaves alone
NAMED = 10  # figures of classes that are worse
HEADLINE = ("accuracy", "worst_group", "flagged", "null", "excess", "undecided", "flips")


def audit_as_markdown(summary: Summary) -> str:
    """What was found, and a table of the headline figures that have a value."""
    figures = summary.by_name()
    lines = [
        f"**{escape(headline(summary))}**",
        "",
        f"{escape(summary.model.address)}, {summary.images.predicted:,} images of "
        f"{escape(summary.data)}; {summary.images.failed:,} failed.",
        "",
        "| figure | value | 95% interval |",
        "|---|---:|---|",
        *(_figure_row(name, figures[name]) for name in HEADLINE if name in figures),
        *_pattern_list(summary),
        *_open_it(summary),
    ]
    return "\n".join(lines) + "\n"


def models_as_markdown(paired: PairedSummary) -> str:
    """The verdict and a table of the figures, for a pull request."""
    lines = [
        f"**{models_page.headline(paired)}** {escape(paired.sentence)}",
        "",
        f"{escape(paired.before.address)} → {escape(paired.after.address)}, "
        f"{paired.images:,} images of {escape(paired.data)}.",
        "",
        "| figure | before | after | change |",
        "|---|---:|---:|---|",
        *map(_change_row, rows_of(paired.figures)),
        *(
            f"| {_title(it.figure, it.name)} | – | – | {escape(it.reason)} |"
            for it in paired.missing
        ),
        "",
        *_after_table(paired),
    ]
    return "\n".join(lines) + "\n"


def gate_as_markdown(result: GateResult) -> str:
    """The verdict, a table of rules with those that refuse first, and whether it was promoted."""
    lines = [
        f"**{gate_page.headline(result)}** {escape(result.sentence)} {escape(result.promotion)}",
        "",
        f"{escape(result.candidate.address)}, {gate_page.images_of(result)} of "
        f"{escape(result.data)}; {escape(result.compared)}.",
        "",
        "| number | rule | result | reason |",
        "|---:|---|---|---|",
        *map(_rule_row, gate_page.worst_first(result)),
        "",
        *_scenario_list(result),
        f"Policy {escape(result.policy)} ({result.policy_digest[:12]}); intervals are 95%; those "
        "of classes are wide enough for all of one rule to hold together.",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """User text in Markdown: what could be markup is written as a character reference, and
    addresses are broken where a reader of GitHub's kind would make links of them."""
    return "".join(
        character if character.isalnum() or character in PLAIN else f"&#{ord(character)};"
        for character in LINK.sub(WORD_JOINER, visible(text))
    )


def _title(figure: str, name: str | None) -> str:
    title = FIGURES[figure].title
    return title if name is None else f"{title}, {escape(name)}"


def _pattern_list(summary: Summary) -> Iterator[str]:
    for line in pattern_lines(summary):
        yield ""
        yield escape(line)


def _open_it(summary: Summary) -> Iterator[str]:
    """The command in a block of code, which GitHub copies with a click, and whose text is no
    markup; its fence is longer than any in the text."""
    command = open_command(summary.run)
    if command is not None:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
        yield from ("", "To look at every image, filtered and sorted:", "")
        yield from (f"{fence}sh", command, fence)


def _figure_row(name: str, figure: Rate | Interval | Excess) -> str:
    show = FIGURES[name].unit.show
    if figure.value is None or figure.low is None or figure.high is None:
        return f"| {_title(name, None)} | – | – |"
    ends = f"{show(figure.low)} to {show(figure.high)}"
    return f"| {_title(name, None)} | {show(figure.value)} | {ends} |"


def _change_row(row: ChangeRow) -> str:
    change = f"**{row.sentence}**" if row.is_clear else row.sentence
    return f"| {_title(row.figure.name, row.name)} | {row.before} | {row.after} | {change} |"


def _after_table(paired: PairedSummary) -> Iterator[str]:
    if paired.patterns:
        yield "| pattern and what it pulls to | before | after | change |"
        yield "|---|---:|---:|---|"
        yield from map(_pattern_row, pattern_rows(paired.patterns))
        yield ""
    parts = {"Groups of classes": paired.class_groups, "Classes": paired.classes}
    for title, figures in parts.items():
        worse = [figure for figure in figures if figure.verdict == "worse"]
        if worse:
            yield f"{title}: {'; '.join(_name_worse(worse))}."
            yield ""
    changed = (f"{count:,} {kind.replace('_', ' ')}" for kind, count in paired.turns.items())
    yield f"Images: {', '.join(changed)}. Intervals are 95%, paired over images."


def _name_worse(worse: Sequence[PairedFigure]) -> list[str]:
    named = [f"{_title(figure.figure, figure.name)} {figure.sentence}" for figure in worse[:NAMED]]
    more = len(worse) - len(named)
    return [*named, f"and {more:,} more in compare.json"] if more else named


def _pattern_row(row: PatternRow) -> str:
    change = f"**{row.sentence}**" if row.is_clear else row.sentence
    name = f"{row.id} {escape(row.name)} → {escape(row.pulls_to)}"
    return f"| {name} | {row.before} | {row.after} | {change} |"


def _scenario_list(result: GateResult) -> Iterator[str]:
    for scenario in result.scenarios:
        yield f"Scenario {escape(gate_page.scenario_line(scenario))}."
        yield ""


def _rule_row(ruling: Ruling) -> str:
    result = gate_page.outcome(ruling)
    emphasised = f"**{result}**" if ruling.effect == "fail" else result
    return f"| {ruling.number} | {escape(ruling.rule)} | {emphasised} | {escape(ruling.reason)} |"
