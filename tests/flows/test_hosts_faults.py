"""What goes wrong between hosts in the middle of an audit, and what is refused before its first
shard.

Whatever happens, the command ends with 0 or 3 in time, and after a rerun without faults every row
is that of an undisturbed audit, while finished parts are not computed again. Needs root, and
Debian's iproute2, nftables, postgresql and faketime: make test-cluster.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tasks.storage.lock import STALE_AFTER
from tests.support.hosts import faults
from tests.support.hosts.deployment import Deployment
from tests.support.hosts.faults import Fault
from tests.support.hosts.host import OWN, ROOT, kill
from tests.support.other_version import pretend_version
from tests.support.same_rows import check_same_rows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

DISTURBED = (*faults.FAULTS, faults.pull_the_persons_cable_for_long)
HARMLESS = {  # they cost time, and nothing fails
    faults.pull_a_workers_cable,
    faults.slow_a_cable_down,
    faults.lose_some_packets,
    faults.switch_a_worker_off,
    faults.restart_the_database,
    faults.restart_prefect,
    faults.take_mlflow_away,
    faults.answer_slowly,
}
UNREAD = {  # an image that could not be read is tried again, and its part written again
    faults.pull_a_workers_cable_for_long,
    faults.answer_500,
    faults.answer_503,
    faults.answer_slowly,
    faults.refuse_everything,
}


@pytest.mark.parametrize("fault", DISTURBED, ids=lambda fault: fault.__name__)
def test_after_a_fault_every_row_is_there(
    fault: Fault, hosts: Deployment, undisturbed: Path
) -> None:
    run = fault.__name__.replace("_", "-")
    audit = hosts.audit(run)
    assert hosts.reach(audit, run, parts=3), audit.said
    fault(hosts, random.Random(1))
    code = audit.end(faults.LIMIT)
    assert code in ({0} if fault in HARMLESS else {0, 3}), audit.said
    assert "Traceback" not in audit.said, audit.said
    hosts.restore()
    before = hosts.services.written_parts(run)
    again = hosts.audit(run)
    assert again.end(faults.LIMIT) == 0, again.said
    check_same_rows(hosts.get(run), undisturbed)
    if fault not in UNREAD:
        after = hosts.services.written_parts(run)
        assert [part for part in before if after[part] > before[part]] == []


def test_a_persons_host_may_die(hosts: Deployment, undisturbed: Path) -> None:
    """Its lock is respected until it is certain that nobody holds it."""
    run = "persons-host"
    audit = hosts.audit(run)
    assert hosts.reach(audit, run, parts=3), audit.said
    hosts.person.die()
    audit.end(faults.LIMIT)
    hosts.restore()
    early = hosts.audit(run)
    assert early.end(faults.LIMIT) == 2, early.said
    assert "is being written by process" in early.said
    time.sleep(STALE_AFTER)
    again = hosts.audit(run)
    assert again.end(faults.LIMIT) == 0, again.said
    check_same_rows(hosts.get(run), undisturbed)


def test_mlflow_that_is_away_is_said_in_the_end(hosts: Deployment) -> None:
    faults.take_mlflow_away(hosts, random.Random(1))
    audit = hosts.audit("unpublished")
    assert audit.end(faults.LIMIT) == 0, audit.said
    assert "not published: " in audit.said


@pytest.mark.parametrize("hour", ["+3600", "-3600"], ids=["ahead", "behind"])
def test_a_workers_clock_may_be_an_hour_apart(
    hour: str, hosts: Deployment, undisturbed: Path
) -> None:
    first, second = hosts.workers
    second.stop()
    first.stop()
    first.start(**shifted_clock(hour))
    run = f"workers-clock{hour}"
    audit = hosts.audit(run)
    assert audit.end(faults.LIMIT) == 0, audit.said
    check_same_rows(hosts.get(run), undisturbed)


# Holds the lock of a run until it is killed, or says why it cannot; by a clock so far apart.
HOLD = """
import sys, time
right = time.time
time.time = lambda: right() + float(sys.argv[2])
from tasks.storage.lock import hold_lock
try:
    with hold_lock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(600)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("hour", ["+3600", "-3600"], ids=["ahead", "behind"])
def test_a_lock_holds_whatever_the_clocks_say(hour: str, hosts: Deployment) -> None:
    """Of a program whose clock is an hour apart, and for one."""
    there, here = hosts.workers[0].host, hosts.person
    for number, (holders, others) in enumerate(((hour, "0"), ("0", hour))):
        run, log = f"s3://runs/lock{hour}-{number}", f"lock{hour}-{number}.log"
        holder = there.start(log, "python", "-c", HOLD, run, holders)
        assert there.await_line(log, "held")
        said = here.run("timeout", "100", "python", "-c", HOLD, run, others)
        assert "is being written by process" in said
        kill(holder)


def shifted_clock(seconds: str) -> dict[str, str]:
    """The environment of a program whose clock differs from the others'; durations do not."""
    return {
        "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "FAKETIME": f"{seconds}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize(("package", "version"), [("sightline", "0.0.9"), ("torch", "2.11.0")])
def test_a_worker_of_another_version_is_refused(
    package: str, version: str, hosts: Deployment
) -> None:
    """Its environment says so."""
    worker = hosts.workers[0]
    pretend_version(worker.host.folder / package, package, version)
    worker.stop()
    worker.start(PYTHONPATH=f"{OWN}/{package}:{ROOT}")
    hosts.await_workers(2)
    audit = hosts.audit(f"other-{package}")
    assert audit.end(faults.LIMIT) == 2
    (line,) = [line for line in audit.said.splitlines() if line.startswith("sightline: ")]
    assert f"has {package} {version}, and this command has {package} " in line
    assert worker.host.address in line
    assert hosts.services.written_parts(f"other-{package}") == {}


MODEL = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
"""
CLASSES = ("balloon", "cactus", "fish", "mushroom")
PREPARED = ("--size", "64", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")


def test_a_worker_without_the_users_model_is_refused(hosts: Deployment) -> None:
    """It lies on the host of the person, and on that of one worker."""
    for host in (hosts.person, hosts.workers[0].host):
        (host.folder / "own_model.py").write_text(MODEL)
        (host.folder / "classes.txt").write_text("\n".join(CLASSES))
    hosts.await_workers(2)
    own = ("--model", f"{OWN}/own_model.py:build", "--classes", f"{OWN}/classes.txt", *PREPARED)
    audit = hosts.audit("no-model", *own)
    assert audit.end(faults.LIMIT) == 2, audit.said
    assert f"worker tcp://{hosts.workers[1].host.address}" in audit.said
    assert "cannot load the model (" in audit.said
    assert "Traceback" not in audit.said
    assert hosts.services.written_parts("no-model") == {}
