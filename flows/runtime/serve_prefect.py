"""Prefect's server as a process: `python -P -m flows.runtime.serve_prefect --port 4200`."""

from __future__ import annotations

import sys

from flows.runtime.garbage import collect_rarely


def serve(arguments: list[str]) -> None:
    collect_rarely()  # before the server's modules are imported
    import uvicorn

    uvicorn.main(["--factory", "prefect.server.api.server:create_app", *arguments])


if __name__ == "__main__":
    serve(sys.argv[1:])
