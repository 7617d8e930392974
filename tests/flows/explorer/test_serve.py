"""Ctrl-C while something is still computed: the command ends, and says nothing of it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading, time, urllib.request, os, signal
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from flows.explorer import serve

def slow(request):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(3)
    return Response("late")

serve.explorer_app = lambda opened: Starlette(routes=[Route("/", slow)])
listener = serve.listen(0)
ask = lambda address: threading.Thread(target=_ask, args=(address,), daemon=True).start()

def _ask(address):
    try:
        urllib.request.urlopen(address).read()
    except OSError:
        pass

serve.serve(None, listener, ask)
"""


def test_what_is_given_up_is_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
