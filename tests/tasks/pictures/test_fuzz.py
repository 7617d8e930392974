"""Any file in a dataset is read, or refused in one line: no traceback, no hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.errors import UserError
from tasks.attribution.settings import AttributionSettings
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Failure, MaskReading, Sample, identify, read_sample
from tasks.schema import FAILURES
from tasks.storage.parquet import read_table
from tests.support import encoded_pictures, fuzz_pictures, fuzz_tables
from tests.support.audits import BENCHMARK, run_audit

PREPARED = Preprocessing(resize=32, crop=(32, 32))
READING = MaskReading("foreground", "upright")
SECONDS = 60  # for one file, which takes far below one


class Hung(BaseException):
    """No code of ours catches this."""


@contextmanager
def in_time(name: str) -> Iterator[None]:
    """Stops what hangs; leaves the alarm of pytest's own time limit as it was."""

    def stop(_: int, __: FrameType | None) -> None:
        raise Hung(name)

    before = signal.signal(signal.SIGALRM, stop)
    left = signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def read(row: Row) -> Sample | Failure:
    """A sample of the right shape, or a failure in one line, in time."""
    with in_time(row.image):
        found = read_sample(row, PREPARED, READING)
    failure = found if isinstance(found, Failure) else found.failure
    if failure is not None:
        check_message(failure)
    if isinstance(found, Sample):
        assert found.picture_CHW.shape == (3, 32, 32), row.image
    return found


def check_message(failure: Failure) -> None:
    """One line each, printable in a terminal and a table."""
    for text in (failure.message, failure.remedy):
        assert text, failure
        assert text.isprintable(), failure
        assert len(text) < 2000, failure
        text.encode()
    assert failure.kind in ("permanent", "transient")


def read_all(folder: Path, files: encoded_pictures.Files) -> dict[str, Sample | Failure]:
    found = {}
    for name, content in files:
        (folder / name).write_bytes(content)
        found[name] = read(Row(name, str(folder / name), None))
    return found


def failed(results: dict[str, Sample | Failure]) -> set[str]:
    return {name for name, result in results.items() if isinstance(result, Failure)}


def test_the_corpus_is_large_and_its_names_are_unique(tmp_path: Path) -> None:
    pictures = [*fuzz_pictures.sound(), *fuzz_pictures.broken(), *fuzz_pictures.strange()]
    pictures += fuzz_pictures.executable(tmp_path / "marker")
    assert len({name for name, _ in pictures}) == len(pictures) > 500
    assert len(list(fuzz_pictures.masks())) + len(list(fuzz_pictures.regions())) > 150
    assert len(list(fuzz_tables.tables(tmp_path / "marker"))) > 50


def test_sound_pictures_are_read(tmp_path: Path) -> None:
    assert failed(read_all(tmp_path, fuzz_pictures.sound())) == set()


def test_broken_pictures_are_permanent_failures(tmp_path: Path) -> None:
    found = read_all(tmp_path, fuzz_pictures.broken())
    assert failed(found) == set(found)
    assert {result.kind for result in found.values() if isinstance(result, Failure)} == {
        "permanent"
    }


def test_strange_pictures_are_one_or_the_other(tmp_path: Path) -> None:
    found = read_all(tmp_path, fuzz_pictures.strange())
    assert 0 < len(failed(found)) < len(found)


def test_nothing_in_a_picture_is_run(tmp_path: Path) -> None:
    found = read_all(tmp_path, fuzz_pictures.executable(tmp_path / "marker"))
    assert failed(found) == set(found)
    assert not (tmp_path / "marker").exists()


def test_what_is_not_a_file_is_a_failure_and_does_not_block(tmp_path: Path) -> None:
    addresses = fuzz_pictures.write_odd_places(tmp_path)
    for address in [*addresses, "file:///dev/zero"]:
        found = read(Row("a", address, None))
        assert isinstance(found, Failure), address
        assert found.kind == "transient", address
        with pytest.raises(OSError, match=r"."), in_time(address):
            identify(Row("a", address, None))


@pytest.mark.parametrize("address", ["a\0b.png", "\ud800.png", "nowhere://a.png", "x" * 5000, ""])
def test_what_is_not_an_address_is_a_failure(address: str) -> None:
    assert isinstance(read(Row("a", address, None)), Failure)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_transient(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded_pictures.encoded(encoded_pictures.noise(), "png"))
    secret.chmod(0)
    found = read(Row("a", str(secret), None))
    assert isinstance(found, Failure)
    assert found.kind == "transient"


def test_masks_of_all_kinds_leave_the_picture(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(encoded_pictures.encoded(encoded_pictures.noise(), "png"))
    used = 0
    for number, (name, content) in enumerate(fuzz_pictures.masks()):
        mask = tmp_path / f"{number} {name}"
        mask.write_bytes(content)
        for values in (None, (1, 255, 0xFF0000)):
            found = read(Row(name, str(image), None, (str(mask),), values))
            assert isinstance(found, Sample), name
            assert (found.mask_HW is None) == (found.failure is not None), name
            assert found.foreground_id is not None
            used += found.mask_HW is not None
    for address in fuzz_pictures.write_odd_places(tmp_path):
        found = read(Row(address, str(image), None, (address,)))
        assert isinstance(found, Sample)
        assert found.failure is not None
    assert used > 20


def test_regions_of_all_kinds_leave_the_picture(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(encoded_pictures.encoded(encoded_pictures.noise(), "png"))
    for text in fuzz_pictures.regions():
        found = read(Row("a", str(image), None, None, None, text))
        assert isinstance(found, Sample), text[:100]
        assert (found.mask_HW is None) == (found.failure is not None), text[:100]


def test_tables_are_catalogs_or_one_line(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded_pictures.encoded(encoded_pictures.noise(), name))
    crashed, catalogs = {}, {}
    for name, content in fuzz_tables.tables(tmp_path / "marker"):
        (tmp_path / name).write_bytes(content)
        try:
            catalogs[name] = listed(tmp_path / name)
        except UserError as error:
            assert len(str(error).splitlines()) == 1, name
        except Exception as error:
            crashed[name] = f"{type(error).__name__}: {error}"[:200]
    assert crashed == {}
    assert not (tmp_path / "marker").exists()
    for good in ("good.csv", "bom.csv", "windows.csv", "good.jsonl", "good.parquet"):
        assert catalogs[good]["image"].to_pylist()[0] == str(tmp_path / "a.png")
    for catalog in catalogs.values():
        for row in rows_of(catalog.slice(0, 10)):
            read(row)


def listed(path: Path) -> pa.Table:
    with in_time(str(path)):
        data = DataSettings(path=str(path))
        catalog = make_catalog(data, ("cat", "dog"))
        try:
            check_catalog(catalog, data)
        except UserError as error:  # none of its pictures exists
            assert len(str(error).splitlines()) == 1
    return catalog


WHOLE = encoded_pictures.whole()
STARTS = (
    *encoded_pictures.STARTS,
    b"",
    b"MM\0*",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"P5 9 9 255 ",
    b"8BPS",
    b"%!PS",
)
STARTS_OF_BOXES = (b"\0\0\0\x20ftypavif", b"\0\0\0\x18ftypheic")


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(start=st.sampled_from(STARTS + STARTS_OF_BOXES), rest=st.binary(max_size=400))
def test_any_bytes_are_a_sample_or_a_failure(tmp_path: Path, start: bytes, rest: bytes) -> None:
    (tmp_path / "a").write_bytes(start + rest)
    assert isinstance(read(Row("a", str(tmp_path / "a"), None)), Sample | Failure)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    name=st.sampled_from(sorted(encoded_pictures.FORMATS)),
    change=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_any_change_of_a_picture_is_a_sample_or_a_failure(
    tmp_path: Path, name: str, change: list[tuple[float, int]]
) -> None:
    content = bytearray(WHOLE[name])
    for position, value in change:
        content[int(position * len(content))] = value
    (tmp_path / "a").write_bytes(content)
    row = Row("a", str(tmp_path / "a"), None, (str(tmp_path / "a"),))
    assert isinstance(read(row), Sample | Failure)


def test_a_whole_run_loses_nothing(tmp_path: Path, bundle: Path) -> None:
    """Every picture of the corpus through a shard: a prediction or a failure."""
    folder = tmp_path / "data"
    folder.mkdir()
    kinds: list[Callable[[], encoded_pictures.Files]] = [
        fuzz_pictures.sound,
        fuzz_pictures.broken,
        fuzz_pictures.strange,
    ]
    names = []
    for kind in kinds:
        for name, content in kind():
            names.append(f"{kind.__name__} {name}"[-200:])
            (folder / names[-1]).write_bytes(content)
    names += [Path(address).name for address in fuzz_pictures.write_odd_places(folder)]
    pa.parquet.write_table(pa.table({"file_name": names}), folder / "table.parquet")
    run = run_audit(
        tmp_path / "run",
        DataSettings(path=str(folder / "table.parquet")),
        ModelSettings(address=str(bundle)),
        AttributionSettings(shard_size=400),
    )
    predicted = [row for part in run.parts("predictions") for row in ids(read_table(part))]
    failures = pa.concat_tables([read_table(part) for part in run.parts("failures/predictions")])
    assert failures.schema.names == FAILURES.names
    lost = ids(failures.filter(pc.equal(failures["stage"], "read")))
    assert sorted(predicted + lost) == sorted(names)
    assert len(predicted) > 160
    assert len(lost) > 150
    assert len(BENCHMARK.classes) > 1


def ids(table: pa.Table) -> list[str]:
    found: list[str] = table["row_id"].to_pylist()
    return found
