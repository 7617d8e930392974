"""The command line. An interrupt ends it with one line, also while it is being imported."""

from __future__ import annotations

import signal
import sys

from flows.runtime.garbage import collect_rarely


def main() -> None:
    """The command `sightline`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until flows.cli.interrupts
    try:
        collect_rarely()
        from flows.cli.commands import run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("sightline: stopped before anything was done\n")
        sys.exit(3)
