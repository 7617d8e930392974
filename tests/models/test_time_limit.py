"""Code that sleeps is named, with its line, and stopped."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path

import pytest

from models import time_limit
from models.classifier.classifier import load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import UserError
from models.time_limit import limit_time
from models.user_code import load_function

SLEEPS = {
    "when it is loaded": "import time\ntime.sleep(60)\n",
    "when it is built": "import time\ndef build():\n    time.sleep(60)\n",
    "in its pass": (
        "import time\ndef build():\n    return forward\n"
        "def forward(images):\n    time.sleep(60)\n    return images.flatten(1)[:, :2]\n"
    ),
    "and ignores errors": (
        "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    time.sleep(60)\n"
    ),
}
SQUARE = Preprocessing(resize=32, crop=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

pytestmark = pytest.mark.timeout(60, method="thread")  # its other method uses the same timer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "PATIENCE", 0.2)
    monkeypatch.setattr(time_limit, "LIMIT", 0.5)


@pytest.mark.parametrize("when", SLEEPS)
def test_a_model_that_sleeps_is_stopped_and_named(when: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(SLEEPS[when])
    line = SLEEPS[when][: SLEEPS[when].index("time.sleep")].count("\n") + 1
    settings = ModelSettings(address=f"{file}:build", preprocessing=SQUARE)
    words = rf"has not ended after 0.5 s, at net.py line {line} \(.*\): run it by itself"
    with pytest.raises(UserError, match=words):
        load_classifier(settings)


def test_a_method_that_sleeps_when_it_is_loaded_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(SLEEPS["when it is loaded"])
    with pytest.raises(UserError, match=r"loading method file .*own.py has not ended after 0.5 s"):
        load_function(f"{file}:maps", "method")


def test_what_takes_long_is_said_before_it_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sightline")
    logging.getLogger("sightline").addHandler(caplog.handler)
    try:
        with limit_time("waiting"):
            time.sleep(0.3)
    finally:
        logging.getLogger("sightline").removeHandler(caplog.handler)
    assert "waiting takes long, at test_time_limit.py line" in caplog.text


def test_what_ends_in_time_leaves_no_timer_and_other_errors_stay() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ZeroDivisionError), limit_time("dividing"):
        _ = 1 / 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_a_thread_is_not_interrupted() -> None:
    ended: list[bool] = []

    def wait() -> None:
        with limit_time("waiting"):
            time.sleep(0.7)
        ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert ended
