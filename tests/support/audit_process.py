"""An audit on Dask as a process of its own, without the servers of Prefect and MLflow.

    python tests/support/audit_process.py DATA MASKS MODEL RUN

For tests that kill it: it starts within seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

SHARD = 20
METHODS = ("grad_cam_pp", "layer_cam")


def main(images: str, masks: str, model: str, run: str) -> int:
    # Here, since an interrupt may come while they are imported.
    from models.classifier.mlflow_models import FetchedModel
    from models.classifier.settings import ModelSettings
    from models.errors import UnfinishedRun
    from tasks.attribution.settings import AttributionSettings, AuditRequest
    from tasks.catalog.settings import DataSettings
    from tasks.execution.attribution_stage import attribute_run
    from tasks.execution.prepare import prepare_run
    from tasks.execution.settings import ComputeSettings
    from tasks.flags.settings import FlagSettings
    from tasks.runs.settings import OutputSettings
    from tasks.storage.lock import hold_lock
    from tasks.summary.summarise import summarise

    data = DataSettings(path=images, masks=masks)
    settings = ModelSettings(address=model)
    attribution = AttributionSettings(methods=METHODS, shard_size=SHARD)
    request, output = AuditRequest(data, attribution), OutputSettings(run=run)
    with hold_lock(run):
        folder = prepare_run(
            request, FetchedModel(settings), output, {"model": settings.model_dump()}
        )
        try:
            compute = ComputeSettings(workers=2)
            cost = attribute_run(folder, compute, f"{Path(run).parent}/dask", lambda _: None)
        except UnfinishedRun as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 3
        summarise(folder, FlagSettings(), cost)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(3)
