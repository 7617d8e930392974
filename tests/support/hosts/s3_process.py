"""moto's S3 server as a process of its own, which fails as it is told.

    python -m tests.support.hosts.s3_process ADDRESS PORT FOLDER

FOLDER/faults.json says how, and is read again for each request; FOLDER/requests.log gets a line for
each, with the answer's status.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

FAULTS, REQUESTS = "faults.json", "requests.log"
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        pass


def make_faulty(serve: Application, folder: Path) -> Application:
    """The same server: a `share` of its answers is `status`, and each comes after `seconds`."""

    def answer(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def start_and_note(status: str, *words: Any) -> Any:
            with (folder / REQUESTS).open("a") as log:
                log.write(f"{request['REQUEST_METHOD']} {request['PATH_INFO']} {status[:3]}\n")
            return start(status, *words)

        faults: dict[str, Any] = {}
        with suppress(FileNotFoundError, json.JSONDecodeError):
            faults = json.loads((folder / FAULTS).read_text())
        time.sleep(faults.get("seconds", 0.0))
        if random.random() < faults.get("share", 0.0):
            request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
            body = _fail(faults["status"], start_and_note)
            return [] if request["REQUEST_METHOD"] == "HEAD" else body
        return serve(request, start_and_note)

    return answer


def _fail(status: int, start: Callable[..., Any]) -> list[bytes]:
    """As S3 says it."""
    code = {500: "InternalError", 503: "ServiceUnavailable"}[status]
    body = f"<Error><Code>{code}</Code><Message>Please try again.</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start(f"{status} {code}", headers)
    return [body]


if __name__ == "__main__":
    address, port, folder = sys.argv[1:]
    application = make_faulty(DomainDispatcherApplication(create_backend_app), Path(folder))
    run_simple(address, int(port), application, threaded=True, request_handler=Quiet)
