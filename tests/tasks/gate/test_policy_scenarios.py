"""Rules of scenarios: from the policy and its file of scenarios to the verdict on real audits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from models.errors import UserError
from reports.gate_page import render_gate
from reports.junit import as_junit
from reports.markdown import gate_as_markdown
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure, widen
from tasks.compare.paired_images import read_pair
from tasks.gate.decide import decide
from tasks.gate.policy import Policy, read_policy
from tasks.query.filters import ContainsText, Filter, HasValue, InLasso, InRange
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.scenarios.saved import Scenarios, save_scenario
from tests.support.command_line import invoke

LAND = Filter(conditions=(HasValue(column="background", values=("forest", "desert", "snow")),))
LASSO = InLasso(space="object", polygon=((0, 0), (1, 0), (0, 1)))
SAVED = {
    "everything": Filter(),
    "on land, sunny": LAND,
    "nowhere": Filter(conditions=(HasValue(column="background", values=()),)),
    "night": Filter(conditions=(HasValue(column="time", values=("night",)),)),
    "sure": Filter(conditions=(InRange(column="confidence", low=0.5),)),
    "any text": Filter(conditions=(ContainsText(text="a"),)),
    "since the champion": Filter(conditions=(HasValue(column="before.correct", values=("true",)),)),
    "lasso": Filter(conditions=(LASSO,)),
}
NAME = "on land, sunny"


def rule(scenario: str | None, *lines: str, figure: str = "accuracy") -> str:
    of = "" if scenario is None else f"scenario = {json.dumps(scenario)}\n"
    return (
        f'\n[[rule]]\nfigure = "{figure}"\n{of}' + "\n".join(lines or ("at_least = 0.01",)) + "\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved = [{"name": name, "filter": chosen} for name, chosen in SAVED.items()]
    content = Scenarios.model_validate({"scenarios": saved})
    (tmp_path / "scenarios.json").write_text(content.model_dump_json())
    return tmp_path


def policy(folder: Path, *rules: str, file: str | None = "scenarios.json") -> Policy:
    first = "" if file is None else f'scenarios = "{file}"\n'
    (folder / "policy.toml").write_text(first + "".join(rules))
    return read_policy(str(folder / "policy.toml"))


@pytest.fixture(scope="module")
def candidate(other_run: RunFolder) -> Run:
    return open_run(other_run.path)


@pytest.fixture(scope="module")
def champion(finished_run: RunFolder) -> Run:
    return open_run(finished_run.path)


def test_a_rule_names_its_scenario_and_a_policy_explains_it(folder: Path) -> None:
    each = ("at_least = 0.5", 'each = "class"', "images = 10")
    read = policy(folder, rule(NAME, *each), rule(None, "change_at_least = -0.1"))
    assert read.scenarios == {NAME: LAND}
    done = invoke("policy", "check", str(folder / "policy.toml"))
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "rule 1 (line 3): accuracy of each class in the scenario 'on land, sunny' is at least 50%, "
        "of 10 images or more"
    )
    assert lines[-1] == ("scenario 'on land, sunny': background is 'forest' or 'desert' or 'snow'")


def test_the_digest_of_a_policy_changes_with_the_filters_that_its_rules_use(folder: Path) -> None:
    before = policy(folder, rule(NAME)).digest
    text = (folder / "scenarios.json").read_text()
    (folder / "scenarios.json").write_text(text.replace("night", "noon"))
    assert policy(folder, rule(NAME)).digest == before
    (folder / "scenarios.json").write_text(text.replace("desert", "beach"))
    assert policy(folder, rule(NAME)).digest != before


MISTAKES = {
    "no file is named": (
        (rule(NAME),),
        None,
        "rule 1 (line 2) is of the scenario 'on land, sunny', and the policy names no file of "
        'scenarios: add scenarios = "scenarios.json" above its first rule, and copy that file',
    ),
    "the file is missing": ((rule(NAME),), "none.json", "there is no file of scenarios"),
    "no such scenario": (
        (rule(None), rule("on lnd, sunny")),
        "scenarios.json",
        "rule 2 (line 7): scenarios.json has no scenario 'on lnd, sunny' (did you mean 'on land, "
        "sunny'?); it has 'everything', 'on land, sunny', 'nowhere', 'night', 'sure', 'any text', "
        "'since the champion', 'lasso': name one of these, or copy scenarios.json again",
    ),
    "a lasso": ((rule("lasso"),), "scenarios.json", "is a lasso in the plot of one run"),
    "a change of images chosen by results": (
        (rule("sure", "change_at_least = -0.1"),),
        "scenarios.json",
        "the scenario 'sure' chooses images by what the candidate says of them ('confidence'), "
        "which makes any two models differ there: choose by columns of your table, or limit the "
        "figure itself",
    ),
    "a change of images with a text": (
        (rule("any text", "change_at_least = -0.1"),),
        "scenarios.json",
        "('the text of every column')",
    ),
    "patterns": (
        (rule(NAME, "at_most = 0", figure="patterns.confirmed"),),
        "scenarios.json",
        "patterns.confirmed is of the whole audit: remove scenario",
    ),
    "a name of two lines": (
        ('[[rule]]\nfigure = "accuracy"\nat_least = 0.1\nscenario = "a\\nb"\n',),
        "scenarios.json",
        "has characters that cannot be printed",
    ),
    "a contradiction": (
        (rule(NAME, "at_least = 0.9"), rule(NAME, "at_most = 0.5")),
        "scenarios.json",
        "nothing keeps both",
    ),
}


@pytest.mark.parametrize(("rules", "file", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_scenario_that_no_gate_can_use_is_refused_before_any_audit(
    folder: Path, rules: tuple[str, ...], file: str | None, message: str
) -> None:
    with pytest.raises(UserError) as refused:
        policy(folder, *rules, file=file)
    assert message in str(refused.value)
    done = invoke("policy", "check", str(folder / "policy.toml"))
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_limits_of_different_scenarios_do_not_contradict(folder: Path) -> None:
    limits = rule(NAME, "at_least = 0.9"), rule("everything", "at_most = 0.5")
    assert len(policy(folder, *limits, rule(None, "at_most = 0.4")).rules) == 3


@pytest.mark.parametrize("figure", ["accuracy", "flagged", "excess", "flips", "worst_group"])
@pytest.mark.parametrize("limit", ["at_most = 0.1", "change_at_most = 0.01"])
def test_a_scenario_of_every_image_is_judged_as_the_whole_audit_is(
    folder: Path, candidate: Run, champion: Run, figure: str, limit: str
) -> None:
    rules = (rule(it, limit, "images = 5", figure=figure) for it in (None, "everything"))
    whole, part = decide(policy(folder, *rules), candidate, champion, "").rulings
    within = " in the scenario 'everything'"
    assert part.rule == whole.rule.replace(" is ", f"{within} is ", 1)
    assert part.reason.replace(within, "") == whole.reason
    assert [it.model_copy(update={"sentence": ""}) for it in part.checks] == [
        it.model_copy(update={"sentence": ""}) for it in whole.checks
    ]


@pytest.mark.parametrize("is_change", [False, True])
def test_a_rule_is_of_the_images_of_its_scenario_in_both_audits(
    folder: Path, candidate: Run, champion: Run, is_change: bool
) -> None:
    limit = "change_at_most = 0.0" if is_change else "at_most = 0.1"
    result = decide(policy(folder, rule(NAME, limit)), candidate, champion, "")
    (check,) = result.rulings[0].checks
    pair = read_pair(champion, candidate)
    table = candidate.table().to_pandas().set_index("row_id")["background"]
    chosen = table.isin(LAND.conditions[0].values)  # type: ignore[union-attr]
    own = pair.after["row_id"].filter(chosen[pair.after["row_id"].to_pylist()].to_numpy())
    query = FigureQuery("accuracy", change=is_change)
    expected = compute_figure(pair.choose(own.combine_chunks()), query)
    assert isinstance(expected, FigureValue)
    wide = widen(expected, query)
    assert (check.value, check.low, check.high, check.of) == (
        *(wide.value, wide.low, wide.high),
        int(chosen.sum()),
    )
    assert f" in the scenario {NAME!r} is " in check.sentence
    (scenario,) = result.scenarios
    assert (scenario.name, scenario.images) == (NAME, int(chosen.sum()))


def test_classes_within_a_scenario_are_judged_one_by_one(
    folder: Path, candidate: Run, champion: Run
) -> None:
    each = ("at_least = 0.0", 'each = "class"', "images = 2")
    (ruling,) = decide(policy(folder, rule(NAME, *each)), candidate, champion, "").rulings
    table = candidate.table().to_pandas()
    own = table[table["background"].isin(LAND.conditions[0].values)]  # type: ignore[union-attr]
    counts = own["label"].astype(str).value_counts()
    assert {check.name: check.of for check in ruling.checks if check.name} == {
        name: count for name, count in counts.items() if count >= 2
    }


def test_without_a_champion_only_changes_are_skipped(folder: Path, candidate: Run) -> None:
    rules = rule(NAME), rule(NAME, "change_at_least = -1.0"), rule("since the champion")
    result = decide(policy(folder, *rules), candidate, None, "")
    assert [it.status for it in result.rulings] == ["pass", "skipped", "missing"]
    assert "there is no column 'before.correct'" in result.rulings[2].reason


def test_images_that_another_model_got_right_are_a_scenario_too(
    folder: Path, candidate: Run, champion: Run
) -> None:
    result = decide(policy(folder, rule("since the champion")), candidate, champion, "")
    assert result.scenarios[0].images == champion.summary().accuracy.count


def test_a_scenario_without_images_or_without_its_column_refuses(
    folder: Path, candidate: Run, champion: Run
) -> None:
    warned = rule("night", "at_least = 0.1", 'on_missing = "warn"')
    rules = rule("nowhere"), rule("night"), warned, rule(None)
    result = decide(policy(folder, *rules), candidate, champion, "")
    assert [it.status for it in result.rulings] == ["missing", "missing", "missing", "pass"]
    assert [it.effect for it in result.rulings] == ["fail", "fail", "warn", "pass"]
    assert not result.passed
    assert "no chosen image was predicted" in result.rulings[0].reason
    assert "the scenario 'night' is not of this audit: there is no column 'time'" in (
        result.rulings[1].reason
    )
    assert {it.name: it.images for it in result.scenarios} == {"nowhere": 0, "night": None}


def test_every_page_of_a_verdict_names_its_scenarios(
    folder: Path, candidate: Run, champion: Run
) -> None:
    hostile = "<script>alert(1)</script> & ]]> | `x`"
    path = folder / "scenarios.json"
    path.write_text(path.read_text().replace("on land, sunny", hostile))
    result = decide(policy(folder, rule(hostile), rule("night")), candidate, champion, "")
    page = render_gate(result)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "background is &#39;forest&#39; or" in page
    assert "not of this audit" in page
    names = [case.get("name") or "" for case in ElementTree.fromstring(as_junit(result)).iter()]
    assert any(repr(hostile) in name for name in names)
    text = gate_as_markdown(result)
    assert "<script>" not in text
    assert "Scenario &#60;script&#62;" in text


def test_a_run_s_own_file_can_be_named(
    folder: Path, finished_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))
    save_scenario(run, NAME, LAND)
    read = policy(folder, rule(NAME), file="run/scenarios.json")
    assert read.scenarios == {NAME: LAND}
    assert policy(folder, rule(NAME), file=str(run.scenarios)).digest == read.digest
    assert replace(read, scenarios={}) == replace(policy(folder, rule(NAME)), scenarios={})
