"""A release for real: audits, gate and registry, by the command and without a server."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import junitparser
import pytest
import yaml
from click.testing import Result
from mlflow.tracking import MlflowClient

from flows import release
from flows.cli.commands import main
from flows.release import Challenge
from flows.settings.command_settings import ReleaseSettings
from flows.settings.release import compose_release
from models.errors import MlflowUnavailable
from tasks.gate.policy import read_policy
from tasks.interventions.settings import InterventionSettings
from tasks.model_registry.promotion import AUDITS, REASONS, VERDICT, promote
from tasks.query.filters import Filter, HasValue
from tasks.runs import open_run
from tasks.scenarios.saved import Scenario, Scenarios
from tasks.schema.gate import GateResult
from tasks.tracking.settings import Tracking
from tests.support.audits import audit_test_split, perturb_head
from tests.support.command_line import SIGHTLINE, invoke, mlflow_of
from tests.support.mlflow_server import Line, Server, line_to
from tests.support.model_versions import (
    ALIAS,
    LENIENT,
    PASSED,
    aliases,
    candidacy,
    claims,
    tags,
    three_versions,
)
from tests.support.prefect_artifacts import check_artifacts

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.full
@pytest.mark.usefixtures("without_backoff")
def test_nothing_is_half_promoted_wherever_mlflow_goes_away(server: Server) -> None:
    client = MlflowClient(server.uri)
    three_versions(client, "unharmed")
    with line_to(server) as line:
        assert promote_through(line, "unharmed")
    requests = line.passed
    assert 8 <= requests <= 16
    for lost in range(requests):
        three_versions(client, f"lost-{lost}")
        with line_to(server, lost) as line:  # one answer: the client asks again
            assert promote_through(line, f"lost-{lost}")
        assert aliases(server.uri, f"lost-{lost}") == {ALIAS: "2", "candidate": "3"}
        three_versions(client, f"away-{lost}")
        with line_to(server, lost, cut=True) as line:
            there = promote_through(line, f"away-{lost}")
            now = aliases(server.uri, f"away-{lost}")
            assert now in ({ALIAS: "1", "candidate": "3"}, {ALIAS: "2", "candidate": "3"})
            assert now[ALIAS] == "2" or not there
            assert now[ALIAS] == "1" or tags(server.uri, 2, f"away-{lost}")[VERDICT] == "passed"
            line.cut, line.lost = False, None
            assert promote_through(line, f"away-{lost}")  # the same command again
        assert aliases(server.uri, f"away-{lost}")[ALIAS] == "2"
        assert claims(server.uri, f"away-{lost}") == []


def promote_through(line: Line, name: str) -> bool:
    try:
        return promote(candidacy(2, name), ALIAS, Tracking(line.uri, "tests"), PASSED) is None
    except MlflowUnavailable:
        return False


STRICT = """
[[rule]]
figure = "accuracy"
change_at_least = 0.99
"""


@dataclass(frozen=True)
class Releases:
    """A first champion, and a challenger that was refused."""

    folder: Path
    first: Result
    second: Result

    @property
    def uri(self) -> str:
        return mlflow_of(self.folder)

    def release_challenger(self, *more: str, mlflow: str | None = None) -> Result:
        """The challenger's finished audit against the lenient policy."""
        taken = ("--run", str(self.challenger), "--policy", str(self.folder / "lenient.toml"))
        return invoke("release", *taken, "--mlflow", mlflow or self.uri, *more)

    @property
    def challenger(self) -> Path:
        return self.folder / "two/candidate"


@pytest.fixture(scope="module")
def releases(
    benchmark_folder: Path,
    bundle: Path,
    other_bundle: Path,
    prefect_server: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Releases:
    folder = tmp_path_factory.mktemp("releases")
    (folder / "lenient.toml").write_text(LENIENT)
    (folder / "strict.toml").write_text(STRICT)
    data = ("--data", str(benchmark_folder), "--split", "test", "--mlflow", mlflow_of(folder))
    quick = ("--methods", "grad_cam_pp", "--workers", "1")
    candidate = ("--model", "mlflow:models:/scenes@candidate")

    def released(policy: str, out: str) -> Result:
        where = ("--policy", str(folder / policy), "--out", str(folder / out))
        return invoke("release", *data, *quick, *candidate, *where)

    register(bundle, mlflow_of(folder))
    first = released("lenient.toml", "one")
    register(other_bundle, mlflow_of(folder))
    return Releases(folder, first, released("strict.toml", "two"))


def test_the_first_candidate_is_judged_by_absolute_rules(releases: Releases) -> None:
    done = releases.first
    assert done.exit_code == 0, done.stderr
    assert "scenes has no champion yet: absolute rules decide" in done.stdout
    assert "not judged: no champion to compare with: decided by absolute rules" in done.stdout
    noted = tags(releases.uri, 1, "scenes")
    assert noted[VERDICT] == "passed"
    assert noted[AUDITS] == open_run(releases.folder / "one/candidate").state.id
    assert not (releases.folder / "one/champion").exists()


def test_a_refused_challenger_gets_reasons_and_the_champion_stays(releases: Releases) -> None:
    done, folder = releases.second, releases.folder / "two"
    assert done.exit_code == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "sightline: Refused by 1 of 1 rules. Alias champion stays version 1."
    )
    assert aliases(releases.uri, "scenes") == {"candidate": "2", ALIAS: "1"}
    reasons = tags(releases.uri, 2, "scenes")
    assert AUDITS not in reasons  # it stands on nothing that `sightline remove` should keep
    assert reasons[VERDICT] == "refused"
    assert reasons[REASONS].startswith("rule 1: the change of accuracy is ")
    pair = json.loads((folder / "compare.json").read_text())
    assert pair["before"]["run"] == str(folder / "champion")
    assert pair["after"]["run"] == str(folder / "candidate")
    assert (folder / "compare.html").is_file()
    assert f"report:    {folder / 'release.html'}" in done.stdout
    check_artifacts(folder / "release.html", "Alias champion stays version 1.")
    assert f"compared:  {folder / 'compare.html'}" in done.stdout
    result = json.loads((folder / "result.json").read_text())
    assert result["champion"]["address"] == "models:/scenes/1"
    assert result["candidate"]["digest"] != result["champion"]["digest"]
    assert not result["passed"]
    (suite,) = junitparser.JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (suite.tests, suite.failures) == (2, 2)  # the rule, and the promotion
    assert (folder / "release.md").read_text().startswith("**Refused.**")


def test_another_audit_than_the_champions_is_refused(releases: Releases) -> None:
    done = releases.release_challenger("--champion-run", str(releases.challenger))
    assert done.exit_code == 2
    assert "audit that one, or leave out --champion-run" in done.stderr
    assert aliases(releases.uri, "scenes")[ALIAS] == "1"


def test_an_mlflow_that_is_away_changes_nothing(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.release.find_challenge.retry_delay_seconds", 0)
    done = releases.release_challenger(mlflow="http://127.0.0.1:9")
    assert done.exit_code == 3
    assert "nothing was changed" in done.stderr.splitlines()[-1]
    assert aliases(releases.uri, "scenes")[ALIAS] == "1"


def test_a_verdict_is_kept_where_mlflow_goes_away_before_the_promotion(
    releases: Releases, tmp_path: Path
) -> None:
    kept = GateResult.model_validate_json((releases.folder / "two/result.json").read_text())
    given = {"gate.run": str(releases.challenger), "gate.policy": "policy.toml"}
    where = {"output.run": str(tmp_path), "tracking.uri": "http://127.0.0.1:9"}
    settings = compose_release(None, given | where)
    challenge = Challenge(candidacy(2, "scenes"), None, None, "")
    with pytest.raises(MlflowUnavailable, match="every alias is as it was"):
        release.promote.fn(settings, challenge, kept.model_copy(update={"passed": True}))
    result = GateResult.model_validate_json((tmp_path / "result.json").read_text())
    assert (result.passed, result.promoted) == (True, False)
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert suite.failures == 2  # the rule, as it was kept, and the promotion
    assert aliases(releases.uri, "scenes")[ALIAS] == "1"


def test_a_scenario_alone_can_refuse_a_challenger(releases: Releases, tmp_path: Path) -> None:
    """Saved in the explorer's or the command's way, copied beside the policy."""
    forest = Filter(conditions=(HasValue(column="background", values=("forest",)),))
    saved = ("scenario", str(releases.folder / "one/candidate"), "in the forest")
    done = invoke(*saved, "--filter", forest.model_dump_json())
    assert done.exit_code == 0, done.stderr
    shutil.copy(releases.folder / "one/candidate/scenarios.json", tmp_path)
    rules = LENIENT + STRICT + 'scenario = "in the forest"\nimages = 2\n'
    (tmp_path / "policy.toml").write_text('scenarios = "scenarios.json"\n' + rules)
    refused = invoke(
        *("release", "--run", str(releases.challenger), "--out", str(tmp_path / "out")),
        *("--champion-run", str(releases.folder / "two/champion"), "--mlflow", releases.uri),
        *("--policy", str(tmp_path / "policy.toml")),
    )
    assert refused.exit_code == 1, refused.stderr
    result = GateResult.model_validate_json((tmp_path / "out/result.json").read_text())
    assert [it.status for it in result.rulings] == ["pass", "pass", "fail"]
    rows = open_run(releases.challenger).table()["background"].to_pylist()
    (check,) = result.rulings[2].checks
    assert check.of == result.scenarios[0].images == rows.count("forest")
    assert f"scenario:  in the forest: background is 'forest' ({check.of} images)" in refused.stdout
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "out/junit.xml"))
    names = [case.name for case in suite]
    assert "rule 3: the change of accuracy in the scenario 'in the forest' is at least" in names[2]
    reasons = tags(releases.uri, 2, "scenes")[REASONS]
    assert reasons.startswith("rule 3: the change of accuracy in the scenario 'in the forest' is ")


def test_finished_audits_are_used_and_the_challenger_may_try_again(
    releases: Releases,
) -> None:
    stamp = (releases.challenger / "summary.json").stat().st_mtime_ns
    done = releases.release_challenger(
        "--champion-run", str(releases.folder / "two/champion"), "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert (releases.challenger / "summary.json").stat().st_mtime_ns == stamp
    result = json.loads(done.stdout)
    assert result["compared"] == f"compared with {releases.folder}/two/champion"
    assert [it["status"] for it in result["rulings"]] == ["pass", "pass"]
    assert result == json.loads((releases.challenger / "result.json").read_text())
    assert aliases(releases.uri, "scenes") == {"candidate": "2", ALIAS: "2"}
    assert tags(releases.uri, 2, "scenes")[VERDICT] == "passed"
    again = releases.release_challenger("--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == result  # not judged as its own challenger
    strict = ("--policy", str(releases.folder / "strict.toml"), "--mlflow", releases.uri)
    other = invoke("release", "--run", str(releases.challenger), *strict)
    assert other.exit_code == 1
    assert "version 2 is the champion already: absolute rules decide" in other.stdout
    assert "there is no champion to compare with: add absolute rules" in other.stderr
    assert aliases(releases.uri, "scenes") == {"candidate": "2", ALIAS: "2"}


@pytest.mark.full
def test_of_two_releases_at_once_one_wins(
    server: Server, benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    """Commands in processes of their own, each with its finished audits, at the same moment."""
    (tmp_path / "lenient.toml").write_text(LENIENT)
    models = [bundle, *(perturb_head(bundle, tmp_path / f"model-{n}", seed=n) for n in (2, 3))]
    pool = InterventionSettings(donors=str(tmp_path / "audit-1"))
    for number, model in enumerate(models, 1):
        register(model, server.uri)
        donors = pool if number > 1 else InterventionSettings()
        audit_test_split(tmp_path / f"audit-{number}", benchmark_folder, model, donors)
    MlflowClient(server.uri).set_registered_model_alias("scenes", ALIAS, "1")
    both = [subprocess.Popen(release_of(n, tmp_path, server.uri), stderr=-1) for n in (2, 3)]
    errors = [process.communicate(timeout=300)[1].decode() for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) in ([0, 1], [0, 2]), errors  # 2: the other had won before this one began
    winner, loser = (2, 3) if codes[0] == 0 else (3, 2)
    assert "champion" in errors[loser - 2].splitlines()[-1]
    assert aliases(server.uri, "scenes") == {"candidate": "3", ALIAS: str(winner)}
    assert tags(server.uri, winner, "scenes")[VERDICT] == "passed"
    assert tags(server.uri, loser, "scenes").get(VERDICT) != "passed"
    assert claims(server.uri, "scenes") == []


def release_of(number: int, folder: Path, uri: str) -> list[str]:
    return [
        *(SIGHTLINE, "release", "--run", str(folder / f"audit-{number}")),
        *("--champion-run", str(folder / "audit-1"), "--policy", str(folder / "lenient.toml")),
        *("--model", f"mlflow:models:/scenes/{number}", "--mlflow", uri),
    ]


def test_a_file_overrides_a_finished_runs_settings(releases: Releases, tmp_path: Path) -> None:
    run, policy = releases.challenger, releases.folder / "lenient.toml"
    file = tmp_path / "release.toml"
    file.write_text(
        f'[gate]\nrun = "{run}"\npolicy = "{policy}"\n[tracking]\nexperiment = "mine"\n'
    )
    settings = compose_release(file, {"gate.alias": "best"})
    assert (settings.gate.run, settings.output.run) == (str(run), str(run))
    assert (settings.tracking.experiment, settings.gate.alias) == ("mine", "best")
    assert settings.attribution.methods == ("grad_cam_pp",)
    assert compose_release(file, {"tracking.experiment": "his"}).tracking.experiment == "his"


def test_the_alias_of_the_champion_names_no_candidate(releases: Releases) -> None:
    done = releases.release_challenger("--model", "mlflow:models:/scenes@champion")
    assert done.exit_code == 2
    assert "has the alias that a release gives" in done.stderr


def register(bundle: Path, uri: str) -> None:
    where = ("--name", "scenes", "--alias", "candidate", "--mlflow", uri)
    assert invoke("log", "--model", str(bundle), *where).exit_code == 0


def test_what_is_no_registered_version_is_refused_before_anything(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_text(LENIENT)
    where = ("--data", str(benchmark_folder), "--out", str(tmp_path / "out"))
    policy = ("--policy", str(tmp_path / "policy.toml"))
    done = invoke("release", *where, *policy, "--model", str(bundle))
    assert done.exit_code == 2
    assert "only a registered version can be released" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("prefect_server")
def test_an_error_in_the_policy_comes_before_the_audit(
    benchmark_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_text(LENIENT.replace("at_least", "at_lest"))
    where = ("--data", str(benchmark_folder), "--out", str(tmp_path / "out"))
    policy = ("--policy", str(tmp_path / "policy.toml"))
    done = invoke("release", *where, *policy, "--model", "mlflow:models:/scenes@candidate")
    assert done.exit_code == 2
    assert "line 4, rule 1: unknown key 'at_lest' (did you mean 'at_least'?)" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_deployment_holds_settings_of_a_release_and_no_schedule() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (deployment,) = [it for it in deployments if it["entrypoint"] == "flows.release:release"]
    assert deployment["name"] == "on-demand"
    assert "schedules" not in deployment
    settings = ReleaseSettings.model_validate(deployment["parameters"])
    assert read_policy(str(ROOT / settings.gate.policy)).rules


def test_policies_and_workflows_of_the_page_are_right(tmp_path: Path) -> None:
    scenario = Scenario(name="night, snow", filter=Filter())
    content = Scenarios(scenarios=(scenario,)).model_dump_json()
    (tmp_path / "scenarios.json").write_text(content)
    rules = []
    for policy in blocks("toml"):
        (tmp_path / "policy.toml").write_text(policy)
        rules.append(read_policy(str(tmp_path / "policy.toml")).rules)
    assert [len(of_policy) for of_policy in rules] == [3, 2]
    assert {rule.scenario for rule in rules[1]} == {"night, snow"}
    (workflow,) = blocks("yaml")
    for step in yaml.safe_load(workflow)["jobs"]["gate"]["steps"]:
        words = shlex.split(step.get("run", ""))
        if words[:1] == ["sightline"]:
            known = {name for option in main.commands[words[1]].params for name in option.opts}
            assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.full
@pytest.mark.usefixtures("prefect_server")
def test_the_commands_of_the_page_work(
    benchmark_folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_of(tmp_path))
    shutil.copytree(benchmark_folder, "demo/benchmark")
    shutil.copytree(bundle, "demo/model")
    Path("policy.toml").write_text(LENIENT)
    for line in "".join(blocks("sh")).splitlines():
        done = invoke(*shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.stderr)
    assert aliases(mlflow_of(tmp_path), "benchmark") == {"candidate": "1", ALIAS: "1"}
    files = {"result.json", "junit.xml", "release.html", "release.md"}
    assert files | {"candidate"} == {path.name for path in Path("releases/7").iterdir()}
    assert files <= {path.name for path in Path("releases/7/candidate").iterdir()}


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs/release.md").read_text(encoding="utf-8")
    return [block.split("```")[0] for block in page.split(f"```{language}\n")[1:]]
