"""Audits of networks that read coloured squares and tags (tests/support/tagged_pictures.py)."""

from __future__ import annotations

from pathlib import Path

from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from tasks.attribution.settings import AttributionSettings, AuditRequest
from tasks.catalog.settings import DataSettings
from tasks.discover.settings import PatternSettings
from tasks.interventions.settings import InterventionSettings
from tasks.runs.folder import RunFolder
from tests.support import tagged_pictures
from tests.support.audits import run_audit
from tests.support.tagged_pictures import SIZE

SHARD_SIZE = 64


def audit(
    folder: Path,
    table: Path,
    factory: str,
    *,
    masks: bool = True,
    reuse: Path | None = None,
    donors: Path | None = None,
) -> RunFolder:
    """An audit up to its summary, without patterns; `donors` is a run as `reuse` is."""
    model = ModelSettings(
        address=f"{tagged_pictures.__file__}:{factory}",
        preprocessing=Preprocessing(crop=(SIZE, SIZE), mean=(0, 0, 0), std=(1, 1, 1)),
        classes=str(table.with_name("classes.txt")),
        layer="cells",
    )
    data = DataSettings(path=str(table if masks else table.with_name("unmarked.csv")))
    asked = AuditRequest(
        data,
        AttributionSettings(shard_size=SHARD_SIZE),
        InterventionSettings(donors=donors and str(donors)),
        patterns=PatternSettings(),
    )
    return run_audit(folder, data, model, asked=asked, reuse=reuse)
