"""The command line."""

from flows.cli.commands import main

__all__ = ["main"]
