"""What the environment says where the embedded servers keep their files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.settings.environment import prefect_home, prepare_environment


@pytest.mark.parametrize("named", [None, "elsewhere", "~/prefect"])
def test_prefects_folder_is_made_where_the_user_wants_it(named: str | None, tmp_path: Path) -> None:
    """Its server starts there, and writes its log there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [it for it in os.environ if it.startswith(("PREFECT_", "MLFLOW_", "DASK_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path))
        patch.chdir(tmp_path)
        patch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
        if named is not None:
            patch.setenv("PREFECT_HOME", named)
        prepare_environment()
        expected = {
            None: tmp_path / "home/prefect",
            "elsewhere": tmp_path / "elsewhere",
            "~/prefect": tmp_path / "prefect",
        }
        assert prefect_home() == expected[named]
        assert prefect_home().is_dir()
