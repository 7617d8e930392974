"""run.json: its keys, their order, and the keys of other versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.errors import DamagedFile
from tasks.attribution.settings import AttributionSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.inventory import entry_of, find_runs, remove_run

KEYS = (
    *("id", "sightline", "flag_rule", "settings", "classes", "class_groups", "state", "reuse"),
    *("schema_version", "identity", "model", "warnings", "model_origin", "model_stamps"),
)
IDENTITY = (
    *("catalog", "model", "classes", "preprocessing", "layer", "target", "foreground"),
    *("polarity", "orientation", "estimator", "numeric", "shard_size"),
)


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder.at(shutil.copytree(finished_run.path, tmp_path / "run"))


def change(run: RunFolder, **changes: object) -> None:
    """As another version would have written it."""
    state = json.loads(run.state.read_text())
    identity = state["identity"] | changes.pop("identity", {})
    run.state.write_text(json.dumps(state | changes | {"identity": identity}))


def test_the_keys_are_in_order(run: RunFolder) -> None:
    state = json.loads(run.state.read_text())
    assert tuple(state) == KEYS
    assert tuple(state["identity"]) == IDENTITY


def test_reading_and_writing_changes_no_byte(run: RunFolder) -> None:
    text = run.state.read_text()
    run.write_state(run.read_state())
    assert run.state.read_text() == text


def test_keys_of_a_later_version_are_kept(run: RunFolder) -> None:
    change(run, later={"a": [1]}, identity={"colour": "grey"})
    run.update_state(state="finished")
    state = json.loads(run.state.read_text())
    assert state["later"] == {"a": [1]}
    assert state["identity"]["colour"] == "grey"
    assert open_run(run.path).state.state == "finished"


def test_another_identity_is_described_by_field_even_of_a_later_version(run: RunFolder) -> None:
    before = run.read_state().identity
    change(run, identity={"colour": "grey"})
    assert before.describe_differences(run.read_state().identity) == "colour was None, is 'grey'"
    assert not before.describe_differences(before)


def test_a_state_that_cannot_be_read_is_one_line(run: RunFolder) -> None:
    change(run, identity={"shard_size": "many"})
    for read in (open_run, entry_of, remove_run):
        with pytest.raises(DamagedFile, match=r"another version .*identity.shard_size") as raised:
            read(str(run.path))
        assert str(run.state) in str(raised.value)
        assert "\n" not in str(raised.value)
    (entry,) = find_runs(str(run.path))
    assert (entry.state, entry.model) == ("damaged", "")
    assert "identity.shard_size" in str(entry.damage)


def test_settings_are_read_as_their_own_type(run: RunFolder) -> None:
    state = run.read_state()
    assert state.section("foreground", ForegroundSettings) == ForegroundSettings()
    assert state.section("attribution", AttributionSettings).methods == state.methods
    with pytest.raises(DamagedFile, match=r"settings of flags in /.*/run\.json are damaged"):
        state.section("flags", ForegroundSettings)


def test_geometry_is_what_moves_pixels(run: RunFolder) -> None:
    identity = run.read_state().identity
    assert identity.geometry == {
        "resize": None,
        "crop": [64, 64],
        "interpolation": "bilinear",
        "antialias": True,
    }
    assert identity.has_foreground
    without = identity.model_copy(update={"foreground": "none"})
    assert not without.has_foreground
    assert without.model_copy(update={"estimator": "one"}).has_foreground
