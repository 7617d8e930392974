"""Policies: rules in words, and mistakes by line with the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli.commands import main
from models.errors import UserError
from tasks.gate.policy import read_policy
from tasks.schema import figures_of_images

EXAMPLE = Path(__file__).parent.parent.parent.parent / "flows/policy.toml"
RULE = '[[rule]]\nfigure = "accuracy"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "policy.toml"
    path.write_text(text)
    return str(path)


def check(address: str) -> Result:
    return CliRunner().invoke(main, ["policy", "check", address], catch_exceptions=False)


def test_the_example_says_each_rule_in_words() -> None:
    done = check(str(EXAMPLE))
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    policy = read_policy(str(EXAMPLE))
    assert len(lines) == 2 * len(policy.rules)
    text = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(policy.lines):
        assert line is not None
        assert text[line - 1] == "[[rule]]"
        assert lines[2 * number].startswith(f"rule {number + 1} (line {line}): ")
    assert lines[0].endswith("accuracy is at least 80%, of 200 images or more")
    assert lines[2].endswith("flips is at most 10%, of 200 images or more")
    assert lines[4].endswith("exchange_gap is at most +10 points, of 200 images or more")
    assert lines[8].endswith("patterns.confirmed is at most 0, of 200 images or more")
    assert "broken: warn, undecided: warn, not computed: warn" in lines[11]
    assert "the change of accuracy is at least −2 points against the champion" in lines[12]
    assert lines[17].endswith("broken: fail, undecided: warn, not computed: fail")
    assert "patterns.new is at most 0 against the champion" in lines[18]
    assert "accuracy of each class is at least 50%" in lines[20]


@pytest.mark.parametrize("figure", [name for name in figures_of_images() if name != "lift"])
def test_every_figure_can_be_asked_for(figure: str, tmp_path: Path) -> None:
    text = f'[[rule]]\nfigure = "{figure}"\nat_most = 0.5\n\n[[rule]]\nfigure = "{figure}"\n'
    policy = read_policy(written(tmp_path, text + 'change_at_least = 0.0\neach = "class"\n'))
    assert [rule.is_change for rule in policy.rules] == [False, True]
    assert [rule.subject for rule in policy.rules] == [figure, f"the change of {figure}"]
    assert policy.lines == (1, 5)
    assert "at least 0 points" in policy.rules[1].words


INVALID = {
    "a key": (
        RULE + "at_mots = 0.5\n",
        "line 3, rule 1: unknown key 'at_mots' (did you mean 'at_most'?); known are figure, ",
    ),
    "a key of the second rule": (
        RULE + "at_most = 0.5\n\n# at_mots\n[[rule]]\nfigure = 'flips'\n  at_mots = 0.5",
        "line 8, rule 2: unknown key 'at_mots' (did you mean 'at_most'?)",
    ),
    "a section": (
        "[[rules]]\nfigure = 'flips'\n",
        "unknown key 'rules' (did you mean 'rule'?); known are rule, scenarios",
    ),
    "one table": ("\n[rule]\nfigure = 'flips'\nat_most = 1\n", "each under its own [[rule]]"),
    "no rules": ("", "there are no rules: write each under its own [[rule]]"),
    "an empty list": ("rule = []", "line 1: there are no rules: write each under its own [[rule]]"),
    "a figure": (
        "\n[[rule]]\nat_most = 0.1\nfigure = 'flip'\n",
        "line 4, rule 1: figure = 'flip': unknown figure (did you mean 'flips'?); known are ",
    ),
    "an old figure": (
        "[[rule]]\nat_most = 0.1\nfigure = 'gap'\n",
        "line 3, rule 1: figure = 'gap': write exchange_gap (accuracy - accuracy_exchanged); "
        "class_gap is the audit's own",
    ),
    "no figure": ("[[rule]]\nat_most = 0.1\n", "line 1, rule 1: figure is missing; known are"),
    "a method": (
        "[[rule]]\nfigure = 'lift'\nmethod = 'gradcam'\nat_least = 1.0\n",
        "line 3, rule 1: method = 'gradcam': unknown method 'gradcam' (did you mean 'grad_cam'?)",
    ),
    "an empty method": (
        "[[rule]]\nfigure = 'lift'\nmethod = ''\nat_least = 1.0\n",
        "line 3, rule 1: method = '': unknown method ''",
    ),
    "warnings alone": (RULE + "at_least = 0.5\nwarn = true", "every rule only warns, so nothing"),
    "no method": (
        "[[rule]]\nfigure = 'lift'\nat_least = 1.0\n",
        "lift is a figure of each method: add method = 'grad_cam'",
    ),
    "a method of flips": (
        "[[rule]]\nfigure = 'flips'\nmethod = 'grad_cam'\nat_most = 0.1",
        "flips is not a figure of each method: remove method",
    ),
    "no limit": (RULE, "line 1, rule 1: a rule has limits of the figure"),
    "two kinds": (RULE + "at_least = 0.5\nchange_at_least = 0.0", "; found both"),
    "limits the wrong way": (
        RULE + "at_least = 0.9\nat_most = 0.8",
        "line 1, rule 1: no figure is at least 0.9 and at most 0.8: exchange the limits",
    ),
    "rules that contradict": (
        RULE + "at_least = 0.9\n" + RULE + "at_most = 0.8\n",
        "rule 1 (line 1) asks for at least 0.9 of accuracy and rule 2 (line 4) for at most 0.8",
    ),
    "per cent": (
        RULE + "at_least = 90.0",
        "at_least = 90 is out of reach: accuracy is from 0 to 1",
    ),
    "a negative share": (RULE + "at_most = -0.1", "out of reach"),
    "no number": (RULE + "at_least = nan", "line 3, rule 1: at_least = nan: "),
    "no end": (RULE + "at_most = inf", "line 3, rule 1: at_most = inf: "),
    "words": (RULE + "at_least = '0.9'", "line 3, rule 1: at_least = '0.9': "),
    "an answer": (
        RULE + "at_least = 0.9\non_undecided = 'ignore'",
        "line 4, rule 1: on_undecided = 'ignore': allowed are 'pass', 'warn' or 'fail'",
    ),
    "each": (RULE + "at_least = 0.9\neach = 'group'", "line 4, rule 1: each = 'group': "),
    "images": (RULE + "at_least = 0.9\nimages = 0", "line 4, rule 1: images = 0: "),
    "no TOML": (RULE + "at_least = \n", "is not TOML at line 3, column 12: correct it there"),
    "written in another way": (
        "rule = [{figure = 'flips', at_mots = 0.5}]",
        "policy.toml, rule 1: unknown key 'at_mots'",
    ),
}


@pytest.mark.parametrize(("text", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_policy_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    done = check(written(tmp_path, text))
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert message in line
    assert f"policy {tmp_path}" in line


def test_a_byte_order_mark_is_no_part_of_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(RULE + "at_least = 0.5\n", encoding="utf-8-sig")
    assert read_policy(str(path)).lines == (1,)


def test_a_policy_that_is_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not found: give --policy FILE"):
        read_policy(str(tmp_path / "policy.toml"))


def test_maps_that_nobody_computes_are_told_before_the_audit(tmp_path: Path) -> None:
    lift = "[[rule]]\nfigure = 'lift'\nmethod = 'rise'\nat_least = 1.0\n"
    policy = read_policy(written(tmp_path, RULE + "at_least = 0.5\n" + lift))
    policy.check_methods(("grad_cam", "rise"))
    with pytest.raises(UserError, match=r"rule 2 asks for the lift of rise, and the audit com"):
        policy.check_methods(("grad_cam",))
    lenient = read_policy(written(tmp_path, lift + "on_missing = 'warn'\n"))
    lenient.check_methods(("grad_cam",))


def test_a_limit_is_told_to_its_last_digit(tmp_path: Path) -> None:
    (rule,) = read_policy(written(tmp_path, RULE + "at_least = 0.9999999\n")).rules
    assert "at least 99.99999%" in rule.words


def test_a_warning_contradicts_nobody(tmp_path: Path) -> None:
    text = RULE + "at_least = 0.9\n" + RULE + "at_most = 0.8\nwarn = true\n"
    assert len(read_policy(written(tmp_path, text)).rules) == 2


def test_the_same_rules_have_one_digest(tmp_path: Path) -> None:
    first = read_policy(written(tmp_path, RULE + "at_least = 0.9"))
    again = read_policy(written(tmp_path, "# words\n" + RULE + "at_least = 0.90"))
    other = read_policy(written(tmp_path, RULE + "at_least = 0.8"))
    assert first.digest == again.digest != other.digest
