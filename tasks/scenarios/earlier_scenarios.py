"""The scenarios of the run before: the next audit of a series has them too."""

from __future__ import annotations

import logging

from models.addresses import is_file
from models.errors import UserError
from tasks.runs.folder import RunFolder
from tasks.scenarios.saved import read_scenarios, write_scenarios

log = logging.getLogger("sightline")


def take_earlier_scenarios(run: RunFolder) -> None:
    """Copy those of the run that rows are reused from, where this run has none of its own.

    Lassos stay behind: every run has a plot of its own, in which they would enclose other images.
    The caller holds the run's lock.
    """
    before = run.read_state().reuse
    if before is None or is_file(run.scenarios):
        return
    try:
        earlier = read_scenarios(RunFolder.at(before))
    except (UserError, OSError) as error:  # damaged, or out of reach
        log.warning("the scenarios of %s were not taken over: %s", before, error)
        return
    kept = [scenario for scenario in earlier if not scenario.filter.spaces]
    for scenario in earlier:
        if scenario.filter.spaces:
            log.info(
                "the scenario %r is a lasso in the plot of %s: it stays", scenario.name, before
            )
    if kept:
        write_scenarios(run, kept)
