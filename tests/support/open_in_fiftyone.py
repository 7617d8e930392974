"""A program for FiftyOne's own environment: opens a dataset's folder, and prints what is in it.

It imports nothing of ours: the folder has to be enough.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import fiftyone  # type: ignore[import-not-found]
from fiftyone import ViewField


def look(folder: str) -> dict[str, Any]:
    dataset = fiftyone.Dataset.from_dir(folder, fiftyone.types.FiftyOneDataset)
    flagged = dataset.load_saved_view("rests on background")
    evaluated = dataset.evaluate_classifications("prediction", gt_field="ground_truth")
    samples = list(dataset)
    return {
        "count": len(dataset),
        "fields": {
            name: type(field).__name__ for name, field in dataset.get_field_schema().items()
        },
        "words": dataset.get_field("score").description,
        "row_ids": dataset.values("row_id"),
        "labels": dataset.values("ground_truth.label"),
        "predictions": dataset.values("prediction.label"),
        "confidences": dataset.values("prediction.confidence"),
        "flags": dataset.count_values("flag.label"),
        "texts": dataset.values("texts"),
        "undecided": len(dataset.match(ViewField("flag.label") == "undecided")),
        "flagged": flagged.values("score"),
        "accuracy": float(evaluated.metrics()["accuracy"]),
        "maps": [_size_and_largest(sample.map.map_path) for sample in samples],
        "masks": [int((sample.foreground_mask.get_mask() == 255).sum()) for sample in samples],
        "targets": dataset.mask_targets,
        "sizes": dataset.values(["metadata.width", "metadata.height"]),
        "taken": [name for name in dir(samples[0]) if not name.startswith("_")],
    }


def _size_and_largest(path: str) -> list[int]:
    label = fiftyone.Heatmap(map_path=path)
    label.import_map()
    return [*label.map.shape, int(label.map.max())]


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1])), file=sys.stdout)  # noqa: T201
