"""The stages of an audit in one process, on Dask, without the servers of Prefect and MLflow.

    python tests/stages.py DATA MASKS MODEL RUN

For tests that kill it: it starts in seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from models.architectures import ModelSettings
from models.registered import Fetched
from tasks.catalog import DataSettings
from tasks.cluster import ComputeSettings
from tasks.drive import UnfinishedRun, attribute_run
from tasks.flag import FlagSettings
from tasks.lock import held
from tasks.prepare import prepare_run
from tasks.shard import AttributionSettings
from tasks.store import OutputSettings
from tasks.summarise import summarise, write_flags

SHARD = 20
METHODS = ("grad_cam_pp", "layer_cam")


def main(images: str, masks: str, model: str, run: str) -> int:
    data = DataSettings(path=images, masks=masks)
    address = ModelSettings(address=model)
    attribution = AttributionSettings(methods=METHODS, shard_size=SHARD)
    sections = {"data": data, "model": address, "attribution": attribution}
    chosen = {key: value.model_dump(mode="json") for key, value in sections.items()}
    with held(run):
        folder = prepare_run(data, Fetched(address), attribution, OutputSettings(run=run), chosen)
        try:
            compute = ComputeSettings(workers=2)
            cost = attribute_run(folder, compute, f"{Path(run).parent}/dask", lambda _: None)
        except UnfinishedRun as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 3
        write_flags(folder, FlagSettings())
        summarise(folder, FlagSettings(), cost)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(3)
