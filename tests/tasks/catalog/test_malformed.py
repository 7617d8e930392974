"""Any content of a table or annotations gives a catalog or one line, never a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import UserError
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "owl"}],
    "annotations": [
        {
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 1, 2, 2],
            "segmentation": [[1, 1, 5, 1, 5, 5]],
        },
        {"image_id": 2, "category_id": 2, "segmentation": {"counts": [4, 4, 56], "size": [8, 8]}},
    ],
}
ROW = {
    "file_name": "a.jpg",
    "label": "cat",
    "mask": ["a.jpg"],
    "split": "train",
    "bbox": [1, 2, 3, 4],
    "x": 1,
    "y": 2,
    "w": 3,
    "h": 4,
    "objects": {"bbox": [[1, 2, 3, 4]], "category": ["cat"]},
}
PLAIN = [None, 0, -1, 1.5, float("nan"), 1e309, 2**70, 10**400, True, "", "x", "é\ud800", "a\nb"]
NESTED = [[], {}, [1], [[1]], [None], ["1", 2], [[1, 2, 3, "4"]], {"a": 1}]
JUNK = st.sampled_from([*PLAIN, *NESTED]).map(copy.deepcopy)


@st.composite
def damaged(draw: st.DrawFn, sound: Any) -> Any:
    """The sound value with up to four parts replaced or left out."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 4))):
        inner, keys = value, list[Any]()
        while isinstance(inner, (dict, list)) and inner:
            keys = [*keys, draw(st.sampled_from(list(_keys(inner))))]
            if draw(st.booleans()):
                break
            inner = inner[keys[-1]]
        _put(value, keys, draw(JUNK), draw(st.booleans()))
    return value


def _keys(value: Any) -> Any:
    return value if isinstance(value, dict) else range(len(value))


def _put(value: Any, keys: list[Any], junk: Any, left_out: bool) -> None:
    for key in keys[:-1]:
        value = value[key]
    if keys and left_out:
        del value[keys[-1]]
    elif keys:
        value[keys[-1]] = junk


def check_catalog_or_one_line(data: DataSettings) -> None:
    try:
        check_catalog(make_catalog(data, ("cat", "owl")), data)
    except UserError as error:
        assert "\n" not in str(error)


quick = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        if not (tmp_path / name).exists():
            Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


@quick
@given(content=damaged(COCO))
def test_annotations(tmp_path: Path, content: Any) -> None:
    path = folder(tmp_path) / "i.json"
    path.write_text(json.dumps(content))
    check_catalog_or_one_line(DataSettings(path=str(path)))
    (tmp_path / "t.csv").write_text("file_name,label\na.jpg,cat\nb.jpg,owl\n")
    check_catalog_or_one_line(DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path)))


@quick
@given(
    rows=st.lists(damaged(ROW), min_size=1, max_size=2),
    boxes=st.sampled_from([None, ("bbox",), ("x", "y", "w", "h")]),
    split=st.sampled_from([None, "train"]),
    values=st.sampled_from([None, "1", "voc"]),
)
def test_tables(
    tmp_path: Path, rows: Any, boxes: tuple[str, ...] | None, split: Any, values: Any
) -> None:
    path = folder(tmp_path) / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    check_catalog_or_one_line(
        DataSettings(path=str(path), box_columns=boxes, split=split, mask_values=values)
    )
