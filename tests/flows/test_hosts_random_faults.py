"""Random faults between hosts at random moments: after the last rerun every row is there.

A schedule is a seed: an audit or two, during each of which things go wrong, and then one in peace.
50 schedules, in `make soak`. Needs root, and what make test-cluster needs.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.hosts import faults
from tests.support.hosts.deployment import SHARDS, Deployment
from tests.support.same_rows import check_same_rows

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seed", range(50))
def test_after_the_last_rerun_every_row_is_there(
    seed: int, hosts: Deployment, undisturbed: Path
) -> None:
    chance = random.Random(seed)
    run = f"random-{seed}"
    for _ in range(chance.choice((1, 1, 2))):
        said = disturb(hosts, run, chance)
        assert "Traceback" not in said, said
        hosts.restore()
    again = hosts.audit(run)
    assert again.end(faults.LIMIT) == 0, again.said
    check_same_rows(hosts.get(run), undisturbed)


def disturb(hosts: Deployment, run: str, chance: random.Random) -> str:
    """What an audit says during which things go wrong."""
    audit = hosts.audit(run)
    before = len(hosts.services.written_parts(run))
    moments = sorted(chance.randrange(1, SHARDS + 1) for _ in range(chance.choice((1, 1, 2))))
    for parts in moments:
        if hosts.reach(audit, run, max(before, parts)):
            chance.choice(faults.FAULTS)(hosts, chance)
    assert audit.end(faults.LIMIT) in (0, 3), audit.said
    return audit.said
