"""No address, wherever it stands, opens another file, sends a request or runs code.

The first tests show that the detectors see it when the check of addresses is taken away.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flows.settings.compose import read_config
from models import addresses
from models.addresses import as_path, read_text, refuse_address
from models.classifier.bundle import read_bundle
from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from models.classifier.weights import read_state
from models.errors import UserError
from tasks.attribution.reuse import previous_run
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.class_groups import check_class_groups
from tasks.catalog.mapping_file import read_mapping
from tasks.catalog.settings import DataSettings
from tasks.gate.policy import read_policy
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.inventory import find_runs, remove_run
from tasks.runs.series import find_previous
from tests.support.command_line import check_refused, invoke, set_option
from tests.support.web_server import WebServer, serve

# Where warnings are errors, UPath's would end an attempt before the trap is touched.
pytestmark = pytest.mark.filterwarnings("ignore:UPath")

REFERENCES = {"version": 1, "refs": {"a.png": "base64:AAAA"}}


@dataclass
class Trap:
    """A server, a file that nobody names, and what was touched of them."""

    site: WebServer
    planted: Path
    opened: list[str] = field(default_factory=list)

    @property
    def is_touched(self) -> bool:
        return bool(self.site.requests or self.opened)

    def reset(self) -> None:
        self.site.requests.clear()
        self.opened.clear()


TRAPS: list[Trap] = []  # those that are set; a hook of the interpreter cannot be removed


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and TRAPS:
        for trap in TRAPS:
            if str(trap.planted) in str(arguments[0]):
                trap.opened.append(str(arguments[0]))


sys.addaudithook(_notice)


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    planted = tmp_path_factory.mktemp("planted") / "planted.json"
    planted.write_text(json.dumps(REFERENCES))
    with serve() as site, pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        site.files["/evil.json"] = planted.read_bytes()
        trap = Trap(site, planted)
        TRAPS.append(trap)
        yield trap
        TRAPS.remove(trap)


@pytest.fixture(autouse=True)
def _reset(trap: Trap) -> None:
    trap.reset()


def table(folder: Path, **row: str) -> DataSettings:
    (folder / "list.jsonl").write_text(json.dumps(row))
    return DataSettings(path=str(folder / "list.jsonl"))


def read_rows(data: DataSettings) -> None:
    check_catalog(make_catalog(data, ()), data)


def annotated(folder: Path, address: str) -> DataSettings:
    image = {"id": 1, "file_name": address}
    content = {"images": [image], "annotations": [], "categories": []}
    (folder / "coco.json").write_text(json.dumps(content))
    return DataSettings(path=str(folder / "coco.json"))


def bundle_with(folder: Path, **values: str) -> ModelSettings:
    content = {
        "architecture": "torchvision:resnet18",
        "classes": ["a", "b"],
        "preprocessing": {"crop": [64, 64]},
    }
    (folder / "model.json").write_text(json.dumps(content | values))
    return ModelSettings(address=str(folder))


WAYS: dict[str, Callable[[str, Path], object]] = {  # in which an address comes into the program
    "image column": lambda address, folder: read_rows(table(folder, file_name=address)),
    "mask column": lambda address, folder: read_rows(table(folder, image="a.png", mask=address)),
    "COCO's images": lambda address, folder: read_rows(annotated(folder, address)),
    "--data": lambda address, _: read_rows(DataSettings(path=address)),
    "--images": lambda address, folder: read_rows(
        table(folder, image="a").model_copy(update={"images": address})
    ),
    "--masks": lambda address, folder: read_rows(
        table(folder, image="a").model_copy(update={"masks": address})
    ),
    "--annotations": lambda address, folder: read_rows(
        table(folder, image="a").model_copy(update={"annotations": address})
    ),
    "--labels": lambda address, _: read_mapping(address),
    "--class-groups": lambda address, _: check_class_groups(address, None),
    "--classes": lambda address, _: read_text(address),
    "--weights": lambda address, _: read_state(address),
    "--model": lambda address, _: load_classifier(ModelSettings.model_construct(address=address)),
    "a bundle": lambda address, _: read_bundle(address),
    "a bundle's weights": lambda address, folder: load_classifier(
        bundle_with(folder, weights=address)
    ),
    "a bundle's architecture": lambda address, folder: load_classifier(
        bundle_with(folder, architecture=address)
    ),
    "--donors": lambda address, _: RunFolder.at(address).donors.is_file(),
    "--reuse": lambda address, folder: previous_run(address, RunFolder.at(str(folder))),
    "--out": lambda address, _: RunFolder.at(address).holds_run(),
    "--series": lambda address, _: find_previous(as_path(address), "run"),
    "a run": lambda address, _: open_run(address).summary(),
    "runs": lambda address, _: list(find_runs(address)),
    "remove": lambda address, _: remove_run(address),
    "--policy": lambda address, _: read_policy(address),
    "--config": lambda address, _: read_config(Path(address)),
}


def try_all(address: str, folder: Path) -> None:
    for way in WAYS.values():
        with suppress(UserError, OSError, ValueError):
            way(address, folder)


def hostile(trap: Trap) -> list[str]:
    """Addresses that open the trap, if fsspec sees them as they are."""
    return [
        f"reference://a.png::{trap.site.address}/evil.json",
        f"reference://a.png::{trap.planted}",
        f"simplecache::{trap.site.address}/evil.json",
        f"filecache::file://{trap.planted}",
        f"{trap.site.address}/evil.json",
    ]


@pytest.mark.parametrize("way", ["--labels", "--policy", "a run", "--donors", "--weights"])
def test_without_the_check_the_traps_are_touched(
    way: str, trap: Trap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(addresses, "refuse_address", lambda address: address)
    with suppress(Exception):
        WAYS[way](f"reference://x::{trap.site.address}/evil.json", tmp_path)
    assert trap.site.requests
    with suppress(Exception):
        WAYS[way](f"reference://y::{trap.planted}", tmp_path)
    assert trap.opened


@pytest.mark.parametrize("way", WAYS)
def test_no_way_in_opens_them(way: str, trap: Trap, tmp_path: Path) -> None:
    for address in hostile(trap):
        with suppress(UserError, OSError, ValueError):
            assert not WAYS[way](address, tmp_path), address
        assert not trap.is_touched, address


@pytest.mark.parametrize("way", WAYS)
def test_a_reference_file_is_never_interpreted(
    way: str, trap: Trap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Old releases of fsspec run the code in its templates when it is opened."""
    kind = fsspec.get_filesystem_class("reference")
    opened: list[object] = []
    monkeypatch.setattr(kind, "__init__", lambda *_, **options: opened.append(options))
    for address in ("reference://a.png", f"reference://a.png::{trap.planted}"):
        with suppress(UserError, OSError, ValueError):
            WAYS[way](address, tmp_path)
    assert opened == []


PROTOCOLS = st.sampled_from(
    (
        *("reference", "simplecache", "filecache", "blockcache", "cached", "dir", "zip", "tar"),
        *("libarchive", "github", "gist", "git", "jupyter", "hf", "ftp", "sftp", "ssh", "smb"),
        *("http", "https", "webhdfs", "hdfs", "dask", "data", "javascript", "asyncwrapper", "jlab"),
        *("generic", "root", "oss", "lakefs", "dbfs", "dvc", "box", "wandb", "oci", "pyscript"),
        *("file", "local", "memory", "arrow_hdfs", "hTTp", "HTTP", "Reference", "ｈttp"),
        *("%68ttp", " http", "\thttp", "http ", "http\n", "\u202ehttp", "http\0", ""),
    )
)
PATHS = st.sampled_from(("a.png", "", "/", "a/../../b", "%2e%2e/a", "ü", "a b", "*", "?x=1", "#x"))
JOINTS = st.sampled_from(("::", ":: ", "::/", "%3A%3A", "::::"))
SEPARATORS = st.sampled_from(("://", ":", ":/", ":///", "%3A//", "：//", ":\\\\"))


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, str, str]:
    """What stands before the target, how it is joined to it, and what follows."""
    links = [
        draw(PROTOCOLS) + draw(st.sampled_from(("", draw(SEPARATORS) + draw(PATHS))))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return "::".join(links), draw(JOINTS), draw(st.sampled_from(("", "::a", "?x", "#x", " ")))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chain=chains(), to_file=st.booleans(), with_protocol=st.booleans())
@example(chain=("reference://a.png", "::", ""), to_file=False, with_protocol=True)
@example(chain=("zip://a.png", "::", ""), to_file=True, with_protocol=True)
def test_no_generated_address_touches_the_traps(
    chain: tuple[str, str, str],
    to_file: bool,
    with_protocol: bool,
    trap: Trap,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before, joint, after = chain
    target = str(trap.planted) if to_file else f"{trap.site.address}/evil.json"
    target = f"file://{target}" if to_file and with_protocol else target
    folder = tmp_path_factory.mktemp("inputs")
    for address in (f"{before}{joint}{target}{after}", f"{before}://{target}{after}"):
        stripped = address.removeprefix("file://").removeprefix("local://")
        if to_file and os.path.normpath(stripped) == str(trap.planted):
            continue  # the file itself, by another name: that may be opened
        trap.reset()
        try_all(address, folder)
        assert not trap.is_touched, address


@given(address=st.text(max_size=40))
def test_only_paths_and_storage_are_addresses(address: str) -> None:
    try:
        refuse_address(address)
    except ValueError as error:
        assert "\n" not in str(error)
        assert "://" in address
    else:
        bare = address.removeprefix("file://").removeprefix("local://")
        assert "://" not in bare or bare.startswith(("s3://", "gs://", "abfs://", "memory://"))


@pytest.fixture
def options(benchmark_folder: Path, bundle: Path, tmp_path: Path) -> list[str]:
    shutil.copytree(bundle, tmp_path / "model")
    return [
        *("--data", str(benchmark_folder), "--split", "test"),
        *("--model", str(tmp_path / "model"), "--out", str(tmp_path / "run"), "--dry-run"),
    ]


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("--data", "data.path"),
        ("--images", "data.images"),
        ("--masks", "data.masks"),
        ("--annotations", "data.annotations"),
        ("--labels", "data.labels"),
        ("--mask-values", "data.mask_values"),
        ("--model", "model.address"),
        ("--weights", "model.weights"),
        ("--classes", "model.classes"),
        ("--out", "output.run"),
        ("--reuse", "output.reuse"),
        ("--donors", "interventions.donors"),
        ("--foreground-weights", "foreground.weights"),
    ],
)
def test_an_option_is_refused_in_one_line(
    option: str, setting: str, trap: Trap, options: list[str]
) -> None:
    for address in hostile(trap):
        set_option(options, option, address)
        done = invoke("audit", *options)
        check_refused(done, 2, f"setting {setting}: ")
        assert not trap.is_touched


@pytest.mark.parametrize("column", ["file_name", "mask"])
def test_a_table_is_refused_in_one_line(
    column: str, trap: Trap, options: list[str], tmp_path: Path
) -> None:
    for address in hostile(trap):
        rows = {"file_name": "a.png", "label": "fish", "split": "test"} | {column: address}
        (tmp_path / "list.jsonl").write_text(json.dumps(rows))
        set_option(options, "--data", str(tmp_path / "list.jsonl"))
        done = invoke("audit", *options)
        check_refused(done, 2, " is neither a local file nor where the data lies: ")
        assert not trap.is_touched


@pytest.mark.parametrize(
    "words", [("show",), ("runs",), ("publish",), ("policy", "check"), ("remove", "--yes")]
)
def test_other_commands_refuse_it_in_one_line(words: tuple[str, ...], trap: Trap) -> None:
    for address in hostile(trap):
        check_refused(invoke(*words, address), 2, address.partition("://")[0])
        assert not trap.is_touched
