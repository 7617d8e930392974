"""The MLflow client: entities created once, errors in one line, settings as parameters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from mlflow.tracking import MlflowClient

from models.answering_servers import check_answer, find_fault
from models.classifier.mlflow_models import fetch
from models.classifier.settings import ModelSettings
from models.errors import MlflowUnavailable, UserError
from tasks.tracking.mlflow_client import (
    LONGEST_PARAMETER,
    connect,
    find_experiment,
    find_or_create,
    find_or_create_run,
    mlflow_errors,
    new_parameters,
)
from tasks.tracking.settings import Tracking, flatten
from tests.support.silent_server import silent_server, trickling_server


def test_what_exists_is_found_and_not_created() -> None:
    found = find_or_create(lambda: ["first"], lambda: pytest.fail("created"), pytest.fail)
    assert found == "first"


def test_of_several_the_first_stays() -> None:
    entities: list[str] = []
    deleted: list[str] = []
    first = find_or_create(
        lambda: entities, lambda: entities.extend(["ours", "theirs"]), deleted.append
    )
    assert first == "ours"
    assert deleted == ["theirs"]


def test_an_experiment_that_another_creates_meanwhile_is_found(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, created = connect(tracking), find_experiment(connect(tracking), tracking)
    look = MlflowClient.get_experiment_by_name
    answers = iter([None])  # as if the first look had come too early
    monkeypatch.setattr(
        MlflowClient, "get_experiment_by_name", lambda *given: next(answers, look(*given))
    )
    assert find_experiment(client, tracking) == created


def test_a_failure_of_mlflow_is_one_line_and_a_users_error_stays() -> None:
    with (
        pytest.raises(MlflowUnavailable, match=r"MLflow at http://x failed \(a b\); wait"),
        mlflow_errors("http://me:s3cret@x", "wait"),
    ):
        raise OSError("a\nb")
    with pytest.raises(UserError, match="yours"), mlflow_errors("http://x", "wait"):
        raise UserError("yours")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("server", [silent_server, trickling_server])
def test_a_server_whose_answer_does_not_end_is_named(
    server: Callable[[], AbstractContextManager[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.answering_servers.TIMEOUT", 1.0)
    with server() as address:
        uri = f"http://{address}"
        line = (
            rf"MLflow at {uri} does not answer .* did not finish an answer within 1 seconds\); wait"
        )
        with pytest.raises(MlflowUnavailable, match=line), mlflow_errors(uri, "wait"):
            connect(Tracking(uri, "any"))
        settings = ModelSettings(address="mlflow:models:/any@champion")
        line = rf"MLflow at {uri} does not give mlflow:models:/any@champion .* within 1 seconds"
        with pytest.raises(MlflowUnavailable, match=line), fetch(settings, uri):
            pass


def test_a_server_that_is_not_there_is_left_to_mlflows_client() -> None:
    check_answer("http://127.0.0.1:9")  # raises nothing
    assert isinstance(find_fault("http://127.0.0.1:9"), ConnectionRefusedError)


def test_settings_become_parameters_once(tracking: Tracking) -> None:
    client = connect(tracking)
    run = find_or_create_run(client, tracking, "run", {"sightline.run_id": "1"})
    settings = {"data": {"path": "d" * 600, "split": None}, "seed": 3}
    assert dict(flatten(settings)) == {"data.path": "d" * 600, "seed": "3"}
    parameters = new_parameters(run, settings)
    assert {it.key: len(it.value) for it in parameters} == {
        "data.path": LONGEST_PARAMETER,
        "seed": 1,
    }
    client.log_batch(run.info.run_id, params=parameters)
    again = find_or_create_run(client, tracking, "run", {"sightline.run_id": "1"})
    assert again.info.run_id == run.info.run_id
    assert new_parameters(again, settings | {"more": True})[0].key == "more"
