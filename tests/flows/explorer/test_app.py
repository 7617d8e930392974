"""The explorer's addresses over HTTP: who is let in, and what nobody can do to it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from flows.explorer.app import ANSWERS, explorer_app
from flows.explorer.opened import OpenedRuns
from flows.explorer.security import Door
from models.errors import NotComparable
from tasks.explorer.projection import compute_coordinates
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.runs.rows import RunRows
from tasks.storage.parquet import write_table

PORT, TOKEN = 8000, "a-token-that-nobody-guesses"
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def opened(
    other_run: RunFolder, finished_run: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> OpenedRuns:
    """A copy, since scenarios and the plot are kept in the run's folder."""
    folder = tmp_path_factory.mktemp("runs") / "opened"
    shutil.copytree(other_run.path, folder)
    return OpenedRuns.of(Run.at(folder), Run.at(finished_run.path))


@pytest.fixture(scope="module")
def client(opened: OpenedRuns) -> Iterator[TestClient]:
    door = Door(explorer_app(opened), TOKEN, PORT)
    with TestClient(door, base_url=f"http://{HOST}/{TOKEN}/", raise_server_exceptions=False) as it:
        yield it


def get(client: TestClient, address: str, **parameters: Any) -> Any:
    answer = client.get(f"http://{HOST}/{TOKEN}/{address}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def chosen(*conditions: dict[str, Any]) -> str:
    return json.dumps({"conditions": list(conditions)})


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (f"http://{HOST}/api/run", {}),
        (f"http://{HOST}/{TOKEN}", {}),
        (f"http://{HOST}/{TOKEN[:-1]}/api/run", {}),
        (f"http://{HOST}/{TOKEN}x/api/run", {}),
        (f"http://{HOST}//{TOKEN}/api/run", {}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Host": "evil.example"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Host": f"evil.example:{PORT}"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Origin": "http://evil.example"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Origin": "null"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Origin": f"http://127.0.0.1:{PORT + 1}"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Sec-Fetch-Site": "cross-site"}),
        (f"http://{HOST}/{TOKEN}/api/run", {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_a_wrong_token_host_or_origin_gets_nothing(
    client: TestClient, address: str, headers: dict[str, str]
) -> None:
    answer = client.get(address, headers=headers)
    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_page_is_given_to_whoever_has_its_address(client: TestClient, host: str) -> None:
    own = {"Host": f"{host}:{PORT}", "Origin": f"http://{host}:{PORT}"}
    answer = client.get(f"http://{HOST}/{TOKEN}/", headers=own)
    assert answer.status_code == 200
    assert '<script type="module" src="static/' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_port_that_browsers_leave_out_is_let_in(opened: OpenedRuns) -> None:
    door = Door(explorer_app(opened), TOKEN, 80)
    with TestClient(door, base_url="http://localhost") as client:  # which leaves it out, too
        assert client.get(f"/{TOKEN}/").status_code == 200
        assert client.get(f"/{TOKEN}/", headers={"Host": "evil.example"}).status_code == 403


@pytest.fixture(scope="module")
def answers_of_a_deleted_run(
    finished_run: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """It was opened, and deleted before anything else was asked."""
    folder = tmp_path_factory.mktemp("runs") / "deleted"
    shutil.copytree(finished_run.path, folder)
    opened = OpenedRuns.of(Run.at(folder), None)
    row, method = {"row_id": "images/test/00000.png"}, opened.now.run.methods[0]
    shutil.rmtree(folder)
    questions: dict[str, dict[str, Any]] = {
        **{name: {} for name in ("api/run", "api/sql", "api/figures")},
        "api/nearby": {"space": "whole", "x": 0.5, "y": 0.5},
        "api/plot": {},
        "api/row": row,
        "picture": row,
        "outline": row,
        "map": {**row, "method": method},
    }
    with TestClient(explorer_app(opened), raise_server_exceptions=False) as client:
        answers = {name: client.get(f"/{name}", params=it) for name, it in questions.items()}
        body = {"name": "night", "filter": {"conditions": []}}
        answers["api/scenarios"] = client.post("/api/scenarios", json=body)
    assert not folder.exists()
    return answers


@pytest.mark.parametrize("name", ["run", "sql", "figures", "nearby", "plot", "row", "scenarios"])
def test_a_run_that_is_deleted_while_it_is_open_is_named(
    answers_of_a_deleted_run: dict[str, Any], name: str
) -> None:
    answer = answers_of_a_deleted_run[f"api/{name}"]
    assert answer.status_code in (400, 503), answer.text
    assert "/deleted" in answer.json()["error"]


def test_a_plot_of_other_images_than_those_that_were_read_is_refused(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    """Such as of a run that was audited again while it was looked at."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run.path, folder)
    opened = OpenedRuns.of(Run.at(folder), None)
    run = opened.now.run.folder
    table = compute_coordinates(RunRows(opened.now.run))
    write_table(run.coordinates, table.slice(1).replace_schema_metadata(table.schema.metadata))
    with TestClient(explorer_app(opened)) as client:
        answer = client.get("/api/plot")
    assert answer.status_code == 400, answer.text
    assert "other images than when it was opened" in answer.json()["error"]


def test_a_run_that_is_not_finished_shows_what_there_is(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished_run.path, folder)
    shutil.rmtree(folder / "predictions")
    for name in ("flags", "summary"):
        next(folder.glob(f"{name}.*")).unlink()
    opened = OpenedRuns.of(Run.at(folder), None)
    with TestClient(explorer_app(opened)) as client:
        (row,) = client.get("/api/rows", params={"limit": 1}).json()["rows"]
        figures = client.get("/api/figures")
    assert row["label"] is not None
    assert (row["prediction"], row["flag"], row["score"]) == (None, None, None)
    assert figures.status_code == 400, figures.text
    assert "is not finished" in figures.json()["error"]


@pytest.mark.parametrize("name", ["picture", "outline", "map"])
def test_so_are_its_pictures(answers_of_a_deleted_run: dict[str, Any], name: str) -> None:
    answer = answers_of_a_deleted_run[name]
    assert answer.status_code == 503, answer.text
    assert "/deleted" in answer.json()["error"]


def test_only_the_pages_own_files_are_given(client: TestClient) -> None:
    known = client.get(f"http://{HOST}/{TOKEN}/static/main.js")
    assert known.headers["content-type"].startswith("text/javascript")
    climbing = ("../__init__.py", "%2e%2e/__init__.py", "..%2f__init__.py")
    for name in (*climbing, "py.typed", "", "x%00"):
        answer = client.get(f"http://{HOST}/{TOKEN}/static/{name}")
        assert answer.status_code in (404, 403), name


def test_the_run_says_what_can_be_asked(client: TestClient) -> None:
    run = get(client, "api/run")
    assert [it["images"] for it in run["runs"]] == [64, 64]
    assert run["compared"] is True
    names = {column["name"]: column for column in run["columns"]}
    assert names["flag"]["kind"] == "category"
    assert names["before.flag"]["words"].endswith("in the run before")
    assert run["main_method"] in run["methods"]
    assert "of 64 images with a label are predicted right" in run["headline"]


def test_a_view_is_paged_in_its_order(client: TestClient) -> None:
    def page(offset: int, limit: int) -> list[dict[str, Any]]:
        asked = {"sort": "score", "order": "desc", "offset": offset, "limit": limit}
        rows: list[dict[str, Any]] = get(client, "api/rows", **asked)["rows"]
        return rows

    together = page(0, 64)
    assert [it["row_id"] for it in page(0, 40) + page(40, 40)] == [it["row_id"] for it in together]
    scores = [it["score"] for it in together if it["score"] is not None]
    assert scores == sorted(scores, reverse=True)


def test_facets_and_histograms_ignore_their_own_condition(client: TestClient) -> None:
    labels = get(client, "api/facets", columns=["label"])["facets"]["label"]["values"]
    only = chosen({"kind": "values", "column": "label", "values": [labels[0]["value"]]})
    counted = get(client, "api/facets", columns=["label", "flag"], filter=only)
    assert counted["total"] == labels[0]["count"]
    assert counted["facets"]["label"]["values"] == labels
    assert sum(it["count"] for it in counted["facets"]["flag"]["values"]) == counted["total"]
    bins = get(client, "api/histograms", columns=["score"], filter=only)["histograms"]["score"]
    assert sum(bins["chosen"]) + bins["missing"] == counted["total"]


def test_facets_find_values_by_their_text(client: TestClient) -> None:
    labels = get(client, "api/facets", columns=["label"])["facets"]["label"]["values"]
    text = labels[0]["value"][1:].upper()
    found = get(client, "api/facets", columns=["label"], find=text)["facets"]["label"]
    expected = [it for it in labels if it["value"] and text.lower() in it["value"].lower()]
    assert found == {"values": expected, "more": 0}


def test_a_picture_that_is_not_there_is_no_error_and_says_why(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(str(finished_run.path), folder)
    shutil.rmtree(folder / "interventions")
    opened = OpenedRuns.of(Run.at(folder), None)
    with TestClient(explorer_app(opened)) as client:
        asked = {"row_id": "images/test/00000.png", "kind": "object_removed"}
        answer = client.get("/picture", params=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "was not changed by the audit" in unquote(answer.headers["x-why"])
    assert "immutable" not in answer.headers["cache-control"]  # it may be there a minute later


def test_two_runs_without_a_common_image_are_refused(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(str(finished_run.path), folder)
    catalog = pq.read_table(folder / "catalog.parquet")
    row_ids = pa.array([f"other/{it}" for it in catalog["row_id"].to_pylist()], pa.string())
    pq.write_table(catalog.set_column(0, "row_id", row_ids), folder / "catalog.parquet")
    assert catalog.column_names[0] == "row_id"
    with pytest.raises(NotComparable, match="under the same row id"):
        OpenedRuns.of(Run.at(folder), Run.at(finished_run.path))


def test_one_image_and_its_pictures(client: TestClient) -> None:
    row = get(client, "api/rows", sort="score", order="desc", limit=1)["rows"][0]
    details = get(client, "api/row", row_id=row["row_id"])
    earlier = details["before"]
    assert earlier["row_id"] == row["row_id"]
    assert earlier["values"]["score"] == details["values"]["before.score"] is not None
    for change in details["changes"]:
        for size in ("thumb", "full"):
            asked = {"kind": change["kind"], "slot": change["slot"], "size": size}
            assert picture_of(client, "picture", row_id=row["row_id"], **asked).format == "JPEG"
    for name in ("now", "before"):
        heat = picture_of(
            client, "map", row_id=row["row_id"], method=details["maps"][0]["method"], run=name
        )
        outline = picture_of(client, "outline", row_id=row["row_id"], run=name)
        assert heat.mode == outline.mode == "RGBA"
        assert heat.size == outline.size


def picture_of(client: TestClient, address: str, **parameters: Any) -> Image.Image:
    answer = client.get(f"http://{HOST}/{TOKEN}/{address}", params=parameters)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_a_selection_leaves_as_a_table(client: TestClient, opened: OpenedRuns) -> None:
    flagged = chosen({"kind": "range", "column": "score", "low": 0.5})
    asked = {"filter": flagged, "sort": "score", "order": "desc"}
    rows = get(client, "api/rows", **asked)["rows"]
    answers = {
        kind: client.get(f"http://{HOST}/{TOKEN}/selection", params={**asked, "format": kind})
        for kind in ("csv", "parquet")
    }
    table = list(csv.DictReader(io.StringIO(answers["csv"].text)))
    assert [it["row_id"] for it in table] == [it["row_id"] for it in rows]
    assert table == pq.read_table(io.BytesIO(answers["parquet"].content)).to_pylist()


def test_the_plot_has_a_point_for_each_image_and_a_lasso_takes_those_inside(
    client: TestClient,
) -> None:
    plot = get(client, "api/plot", space="whole", colour="flag")
    points = plot["points"]
    assert len(points["x"]) == len(points["y"]) == len(points["row"]) == plot["total"] == 64
    assert plot["missing"] == 0
    assert max(points["colour"]) < len(plot["colours"])
    left = {"kind": "lasso", "space": "whole", "polygon": [[-1, -1], [0.5, -1], [0.5, 2], [-1, 2]]}
    rows = get(client, "api/rows", filter=chosen(left))["rows"]
    inside = {row for row, x in zip(points["row"], points["x"], strict=True) if x < 65535 / 2}
    assert {row["row"] for row in rows} == inside
    x, y = points["x"][5] / 65535, points["y"][5] / 65535
    nearest = get(client, "api/nearby", space="whole", x=x, y=y)["row_id"]
    assert nearest == get(client, "api/rows", limit=64)["rows"][points["row"][5]]["row_id"]


def test_a_scenario_is_kept_with_the_run(client: TestClient, opened: OpenedRuns) -> None:
    address = f"http://{HOST}/{TOKEN}/api/scenarios"
    night = json.loads(chosen({"kind": "range", "column": "score", "low": 0.4}))
    saved = client.post(address, json={"name": "night, snow", "filter": night})
    assert saved.status_code == 200, saved.text
    assert opened.now.run.folder.scenarios.is_file()
    (scenario,) = get(client, "api/scenarios")
    assert scenario["name"] == "night, snow"
    assert scenario["figures"] == get(client, "api/figures", filter=json.dumps(night))
    names = [it["figure"] for it in scenario["figures"]["now"]]
    assert names == ["accuracy", "flagged", "excess", "flips"]
    assert len(scenario["figures"]["change"]) == len(names)
    assert client.post(address, json={"name": "x\ny", "filter": night}).status_code == 400
    assert client.post(address, content=b"{").status_code == 400
    assert client.delete(address, params={"name": "nobody's"}).status_code == 400
    assert client.delete(address, params={"name": "night, snow"}).status_code == 200
    assert get(client, "api/scenarios") == []


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("api/rows?limit=0", 400, "limit"),
        ("api/rows?limit=501", 400, "at most 500"),
        ("api/rows?offset=-1", 400, "offset"),
        ("api/rows?offset=99999999999999999999", 400, "offset"),
        ("api/rows?sort=scor", 400, "did you mean 'score'"),
        ("api/rows?order=sideways", 400, "order"),
        ("api/rows?sql=SELECT", 400, "sql"),
        ("api/facets?columns=score", 400, "holds a number"),
        ("api/histograms?columns=flag", 400, "holds a category"),
        ("api/row?row_id=nobody", 404, "nobody"),
        ("api/row", 400, "row_id"),
        ("picture?row_id=../../etc/passwd", 404, "passwd"),
        ("picture?row_id=images/test/00000.png&kind=exchanged&slot=99", 400, "there is no 99"),
        ("map?row_id=images/test/00000.png&method=../x", 400, "no map"),
        ("api/nothing", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    client: TestClient, address: str, status: int, words: str
) -> None:
    answer = client.get(f"http://{HOST}/{TOKEN}/{address}")
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


values = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["row_id", "flag", "score", "images/test/00000.png", "0", "-1", "1e309", "nan", "now", "{}"]
    ),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=6,
    ).map(json.dumps),
)
NAMES = (
    *("filter", "sort", "order", "offset", "limit", "columns", "row_id", "kind", "slot", "size"),
    *("method", "run", "space", "colour", "x", "y", "format", "name", "nobody's"),
)
parameter_lists = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4)


@settings(max_examples=300)
@given(
    st.sampled_from([*ANSWERS, "", "static/x"]),
    parameter_lists,
    st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
)
def test_no_request_makes_it_fail(
    client: TestClient, address: str, parameters: list[tuple[str, str]], method: str
) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in parameters)
    answer = client.request(method, f"http://{HOST}/{TOKEN}/{address}?{query}")
    assert answer.status_code < 500, answer.text


def test_points_are_coloured_by_a_number_from_low_to_high(client: TestClient) -> None:
    answer = get(client, "api/plot", space="whole", colour="score")
    *starts, missing = answer["colours"]
    assert missing is None
    assert starts == sorted(starts)
    points = answer["points"]
    for row, colour in zip(points["row"][:5], points["colour"][:5], strict=True):
        score = get(client, "api/rows", offset=row, limit=1)["rows"][0]["score"]
        within = score is None if colour == len(starts) else starts[colour] <= score + 1e-6
        assert within
