"""Verdicts as Markdown for a pull request, of two models and of the gate; words are escaped."""

from __future__ import annotations

from collections.abc import Iterator

from reports import gate_page, models_page
from reports.figure_changes import ChangeRow, rows_of
from reports.formatting import visible
from tasks.schema import FIGURES, PairedSummary
from tasks.schema.gate import GateResult, Ruling

PLAIN = frozenset(
    " -./,:%+−–()'"
)  # beside letters and digits: what Markdown gives no meaning inside


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
    """The verdict, a table of rules with what refuses first, and what became of the candidate."""
    lines = [
        f"**{gate_page.headline(result)}** {escape(result.sentence)} {escape(result.promotion)}",
        "",
        f"{escape(result.candidate.address)}, {gate_page.images_of(result)} of "
        f"{escape(result.data)}; {escape(result.compared)}.",
        "",
        "| rule | asked | result | found |",
        "|---:|---|---|---|",
        *map(_rule_row, gate_page.worst_first(result)),
        "",
        f"Policy {escape(result.policy)} ({result.policy_digest[:12]}); intervals are 95%, of "
        "each class so wide that those of one rule hold together.",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """A user's words in Markdown: what could be markup stands as the number of its character."""
    return "".join(
        character if character.isalnum() or character in PLAIN else f"&#{ord(character)};"
        for character in visible(text)
    )


def _title(figure: str, name: str | None) -> str:
    title = FIGURES[figure].title
    return title if name is None else f"{title}, {escape(name)}"


def _change_row(row: ChangeRow) -> str:
    change = f"**{row.sentence}**" if row.is_sure else row.sentence
    return f"| {_title(row.figure.name, row.name)} | {row.before} | {row.after} | {change} |"


def _after_table(paired: PairedSummary) -> Iterator[str]:
    worse = [it for it in paired.classes if it.verdict == "worse"]
    if worse:
        classes = "; ".join(f"{_title(it.figure, it.name)} {it.sentence}" for it in worse)
        yield f"Classes: {classes}."
        yield ""
    changed = (f"{count:,} {kind.replace('_', ' ')}" for kind, count in paired.turns.items())
    yield f"Images: {', '.join(changed)}. Intervals are 95%, paired over images."


def _rule_row(ruling: Ruling) -> str:
    result = gate_page.outcome(ruling)
    shown = f"**{result}**" if ruling.effect == "fail" else result
    return f"| {ruling.number} | {escape(ruling.rule)} | {shown} | {escape(ruling.reason)} |"
