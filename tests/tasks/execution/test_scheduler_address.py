"""An address where no scheduler answers is refused in time, whatever listens there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from distributed import LocalCluster, Security

from models.errors import UserError
from tasks.execution.cluster import open_client
from tasks.execution.scheduler_address import check_scheduler
from tasks.execution.settings import ComputeSettings
from tests.support.silent_server import silent_server, trickling_server

Server = Callable[[], AbstractContextManager[str]]
NO_KEYS = Security()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.execution.scheduler_address.TIMEOUT", 1)


@pytest.mark.parametrize("server", [silent_server, trickling_server])
@pytest.mark.timeout(60)
def test_one_that_accepts_and_never_answers_is_refused(server: Server) -> None:
    with server() as address, pytest.raises(UserError, match=f"answers at tcp://{address} within"):
        open_client(ComputeSettings(dask=f"tcp://{address}"), "unused").__enter__()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9", ""])
def test_one_where_nothing_listens_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="no Dask scheduler answers at"):
        check_scheduler(address, NO_KEYS)


def test_keys_that_are_not_configured_are_asked_for() -> None:
    with pytest.raises(UserError, match="asks for a certificate: give --tls-ca-file"):
        check_scheduler("tls://127.0.0.1:9", NO_KEYS)


def test_a_scheduler_is_accepted() -> None:
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        check_scheduler(cluster.scheduler_address, NO_KEYS)  # raises nothing
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
