"""Debian's headless Chromium, spoken to through its own pipe, for tests and measurements.

A pipe instead of a port: nothing listens, so that runs side by side cannot meet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INSTALL = "Chromium is missing: apt-get install -y chromium"
OPTIONS = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
WIDE, NARROW = 1280, 390  # px of a screen and of a phone
PATIENCE = 120_000  # ms for what takes a second on a quiet machine
ARROWS = ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown")
FROM_33 = ("PageUp", "PageDown", "End", "Home", *ARROWS)  # Windows' numbers, which browsers use
CODES = dict(zip(FROM_33, range(33, 41), strict=True))
CODES |= {"Backspace": 8, "Tab": 9, "Enter": 13, "Escape": 27}
TEXTS = {"Enter": "\r"}  # what a key types that has a name
SHIFT = 8

Point = tuple[float, float]


@dataclass
class Browser:
    """Commands out, answers and events in; both are JSON ended by a zero byte."""

    process: int  # its id
    commands: int
    answers: int
    sent: int = 0
    unread: bytes = b""
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        message: dict[str, Any] = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.sent:
            self.events.append(answer)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def value(self, expression: str) -> Any:
        """Of JavaScript in the page; promises are waited for."""
        asked = {"awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", expression=expression, **asked)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait for a condition of the page."""
        look = f"() => {{ try {{ return ({condition}) }} catch {{ return false }} }}"
        came = self.value(
            f"new Promise(done => {{ const end = Date.now() + {PATIENCE}, met = {look}; const look"
            " = () => met() ? done(true) : Date.now() > end ? done(false) : setTimeout(look, 10);"
            " look() })"
        )
        assert came, f"never true: {condition}"

    def wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def named(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """Light or dark; neither if empty."""
        features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, address: str, width: int = WIDE) -> None:
        """From an empty page, since an address that differs after its # alone is not loaded."""
        self.resize(width)
        for url in ("about:blank", address):
            self.events.clear()
            self.call("Page.navigate", url=url)
            self.wait("Page.loadEventFired")

    def press(self, *keys: str, shift: bool = False) -> None:
        for key in keys:
            text = TEXTS.get(key, key if len(key) == 1 else "")
            pressed = {"key": key, "modifiers": SHIFT * shift, "windowsVirtualKeyCode": _code(key)}
            kind = "keyDown" if text else "rawKeyDown"
            self.call("Input.dispatchKeyEvent", type=kind, text=text, **pressed)
            self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def drag(self, *points: Point) -> None:
        """The left button goes down at the first point and up at the last; one is a click."""
        self._mouse("mouseMoved", points[0])
        self._mouse("mousePressed", points[0], clickCount=1)
        for point in points[1:]:
            self._mouse("mouseMoved", point, buttons=1)
        self._mouse("mouseReleased", points[-1], clickCount=1)

    def scroll(self, point: Point, pixels: float) -> None:
        self._mouse("mouseWheel", point, deltaX=0, deltaY=pixels)

    def move(self, point: Point) -> None:
        self._mouse("mouseMoved", point)

    def _mouse(self, kind: str, point: Point, **more: Any) -> None:
        button = (
            "none" if kind in ("mouseWheel", "mouseMoved") and not more.get("buttons") else "left"
        )
        place = {"x": point[0], "y": point[1], "button": button}
        self.call("Input.dispatchMouseEvent", type=kind, **place, **more)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            chunk = os.read(self.answers, 1 << 20)
            assert chunk, "Chromium has gone"
            self.unread += chunk
        message, _, self.unread = self.unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def _code(key: str) -> int:
    """A quote's own number would be taken for an arrow's: what is no letter needs none."""
    letter = ord(key.upper()) if len(key) == 1 and key.isalnum() else 0
    return CODES.get(key, letter)


@contextmanager
def start_chromium(folder: Path) -> Iterator[Browser]:
    """With one empty page, its console, its log and its requests reported; its profile in here."""
    program = shutil.which("chromium")
    assert program, INSTALL
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4; only a shell can place them there.
    line = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
    arguments = [*OPTIONS.split(), "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", line, program, *arguments],
            pass_fds=(read_commands, write_answers),
            stdout=log,
            stderr=log,
        )
    os.close(read_commands)
    os.close(write_answers)
    browser = Browser(process.pid, commands, answers)
    try:
        _attach(browser)
        yield browser
    finally:
        os.close(commands)  # the end of its commands is the end of Chromium
        process.wait(30)
        os.close(answers)


def _attach(browser: Browser) -> None:
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
    browser.session = attached["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
