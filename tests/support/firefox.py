"""Debian's headless Firefox, spoken to by WebDriver BiDi."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

INSTALL = "Firefox is missing: apt-get install -y firefox-esr"
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


@dataclass
class Firefox:
    connection: Connection
    page: str = ""
    sent: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        self.connection.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while (answer := json.loads(self.connection.recv())).get("id") != self.sent:
            self.events.append(answer)
        assert answer["type"] == "success", (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, address: str) -> None:
        self.call("browsingContext.navigate", context=self.page, url=address, wait="complete")

    def value(self, expression: str) -> Any:
        """Of JavaScript in the page, as JSON knows it."""
        target = {"context": self.page}
        asked = {"target": target, "awaitPromise": False}
        answer = self.call("script.evaluate", expression=f"JSON.stringify({expression})", **asked)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))


@contextmanager
def start_firefox(folder: Path) -> Iterator[Firefox]:
    """With one empty page, whose log is reported; its profile is kept in the folder."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    assert program, INSTALL
    command = [program, "--headless", "--no-remote", "--profile", str(folder)]
    with subprocess.Popen(
        [*command, "--remote-debugging-port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = next(filter(None, map(LISTENING.search, process.stderr)))
        try:
            with connect(f"{found[1]}/session", max_size=None) as connection:
                firefox = Firefox(connection)
                firefox.call("session.new", capabilities={})
                firefox.call("session.subscribe", events=["log.entryAdded"])
                (page,) = firefox.call("browsingContext.getTree")["contexts"]
                firefox.page = page["context"]
                yield firefox
        finally:
            process.terminate()
