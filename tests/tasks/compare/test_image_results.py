"""What a run says of each image: refused where its files do not belong together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models.errors import DamagedFile
from tasks.compare.image_results import read_images
from tasks.runs import open_run
from tasks.runs.folder import RunFolder


def test_flags_that_are_not_cut_as_the_predictions_are_damaged(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    run = open_run(shutil.copytree(finished_run.path, tmp_path / "run"))
    rows = [len(table) for table in read_images(run, ["row_id", "flag"])]
    flags = pq.read_table(run.folder.flags)
    pq.write_table(flags, run.folder.flags, row_group_size=max(rows) - 1)
    with pytest.raises(DamagedFile, match=r"flags.parquet is damaged \(its rows are not those of"):
        list(read_images(run, ["row_id", "flag"]))
