"""What goes wrong between hosts. A fault is over when its function returns, unless its docstring
says until when; `Deployment.restore` ends all of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.support.hosts.deployment import Deployment
from tests.support.hosts.network import lose_packets, set_cable, slow_down

Fault = Callable[[Deployment, random.Random], None]

SHORT = (2.0, 8.0)  # seconds: TCP sends again, and nobody notices
LONG = (40.0, 50.0)  # longer than Dask's 30 seconds, after which it takes the other side for dead


def pull_a_workers_cable(hosts: Deployment, chance: random.Random) -> None:
    _pull_cable(chance.choice(hosts.workers).host.name, chance.uniform(*SHORT))


def pull_a_workers_cable_for_long(hosts: Deployment, chance: random.Random) -> None:
    _pull_cable(chance.choice(hosts.workers).host.name, chance.uniform(*LONG))


def pull_the_persons_cable(hosts: Deployment, chance: random.Random) -> None:
    _pull_cable(hosts.person.name, chance.uniform(*SHORT))


def pull_the_persons_cable_for_long(hosts: Deployment, chance: random.Random) -> None:
    _pull_cable(hosts.person.name, chance.uniform(*LONG))


def _pull_cable(host: str, seconds: float) -> None:
    set_cable(host, plugged=False)
    time.sleep(seconds)
    set_cable(host, plugged=True)


def slow_a_cable_down(hosts: Deployment, chance: random.Random) -> None:
    """Until it is repaired."""
    slow_down(chance.choice([*_outer_hosts(hosts)]), chance.choice(("1mbit", "4mbit")))


def lose_some_packets(hosts: Deployment, chance: random.Random) -> None:
    """Until it is repaired."""
    lose_packets(chance.choice([*_outer_hosts(hosts)]), chance.choice((1, 5)))


def _outer_hosts(hosts: Deployment) -> list[str]:
    return [*(worker.host.name for worker in hosts.workers), hosts.person.name]


def switch_a_worker_off(hosts: Deployment, chance: random.Random) -> None:
    """Until it is switched on."""
    chance.choice(hosts.workers).die()


def restart_the_scheduler(hosts: Deployment, chance: random.Random) -> None:
    _restart(hosts, "scheduler", chance)


def restart_the_database(hosts: Deployment, chance: random.Random) -> None:
    _restart(hosts, "postgres", chance)


def restart_prefect(hosts: Deployment, chance: random.Random) -> None:
    _restart(hosts, "prefect", chance)


def _restart(hosts: Deployment, service: str, chance: random.Random) -> None:
    hosts.services.kill(service)
    time.sleep(chance.uniform(0.0, 3.0))
    hosts.services.start(service)


def take_mlflow_away(hosts: Deployment, _: random.Random) -> None:
    """Until it is started again."""
    hosts.services.kill("mlflow")


def answer_500(hosts: Deployment, chance: random.Random) -> None:
    """S3, at times, until it is mended."""
    hosts.services.spoil_s3(status=500, share=chance.uniform(0.02, 0.2))


def answer_503(hosts: Deployment, chance: random.Random) -> None:
    """S3, at times, until it is mended."""
    hosts.services.spoil_s3(status=503, share=chance.uniform(0.02, 0.2))


def answer_slowly(hosts: Deployment, chance: random.Random) -> None:
    """S3, until it is mended."""
    hosts.services.spoil_s3(seconds=chance.uniform(0.02, 0.1))


def refuse_everything(hosts: Deployment, chance: random.Random) -> None:
    """S3, for some seconds."""
    hosts.services.spoil_s3(status=503, share=1.0)
    time.sleep(chance.uniform(*SHORT))
    hosts.services.mend_s3()


LIMIT = 600.0  # seconds after which the command must have ended, by itself
# A schedule of tests/flows/test_hosts_random_faults.py is a seed that chooses among these: with one
# more of them, each seed would be another schedule.
FAULTS = (
    pull_a_workers_cable,
    pull_a_workers_cable_for_long,
    pull_the_persons_cable,
    slow_a_cable_down,
    lose_some_packets,
    switch_a_worker_off,
    restart_the_scheduler,
    restart_the_database,
    restart_prefect,
    take_mlflow_away,
    answer_500,
    answer_503,
    answer_slowly,
    refuse_everything,
)
