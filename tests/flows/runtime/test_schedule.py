"""What is said at the end of a run that MLflow did not get."""

from __future__ import annotations

import logging

import pytest
from prefect.states import Completed, Failed

from flows.runtime.schedule import warn_unpublished
from models.errors import MlflowUnavailable


@pytest.fixture(autouse=True)
def _warnings_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "sightline")


def test_an_error_of_ours_is_said_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    line = "MLflow at http://x does not answer; to send it later: sightline publish run"
    warn_unpublished(Failed(data=MlflowUnavailable(line), message="Task run encountered"))
    assert caplog.record_tuples == [("sightline", logging.WARNING, f"not published: {line}")]


def test_another_one_is_said_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    warn_unpublished(Failed(data=ValueError("of https://me:s3cret@host/x")))
    assert caplog.messages == ["not published: ValueError: of https://host/x"]


def test_nothing_is_said_of_a_run_that_was_published(caplog: pytest.LogCaptureFixture) -> None:
    warn_unpublished(Completed())
    assert not caplog.messages
