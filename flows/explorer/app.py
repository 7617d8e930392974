"""The explorer's addresses: the page, and what it asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flows.explorer.describe_runs import describe_patterns, describe_runs
from flows.explorer.downloads import as_csv, as_parquet
from flows.explorer.json_values import as_json
from flows.explorer.opened import OpenedRuns
from flows.explorer.requests import (
    Columns,
    Download,
    Facets,
    Map,
    Nearby,
    NewScenario,
    OneRow,
    Outline,
    Page,
    Picture,
    Plot,
    ScenarioName,
    Selection,
    View,
    read_body,
    read_query,
)
from models.errors import UserError, describe_os_error
from reports.heatmaps import heat_layer, outline_layer, png
from tasks.explorer.missing_pictures import MissingPicture, UnknownPicture
from tasks.query.copied_sql import copied_sql
from tasks.runs.rows import UnknownRow
from tasks.scenarios.saved import delete_scenario, read_scenarios, save_scenario

log = logging.getLogger("sightline")

OfFilter = TypeVar("OfFilter", bound=Selection)
Answer = Callable[[OpenedRuns, Request], Response]
FILES = files("reports") / "explorer"
KEPT = {"Cache-Control": "private, max-age=3600, immutable"}  # a run's pictures do not change
MISSING = {"Cache-Control": "private, max-age=60"}  # one that could not be read may come back
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def explorer_app(opened: OpenedRuns) -> Starlette:
    """The application without its door (flows/explorer/security.py)."""
    routes = [
        Route("/", _route(opened, _page)),
        Route("/static/{name}", _route(opened, _static)),
        *(Route(f"/{path}", _route(opened, answer)) for path, answer in ANSWERS.items()),
        Route("/api/scenarios", partial(_save_scenario, opened), methods=["POST"]),
        Route("/api/scenarios", _route(opened, _delete_scenario), methods=["DELETE"]),
    ]
    errors = {
        UnknownPicture: _refuse,
        MissingPicture: _no_picture,
        UserError: _refuse,
        OSError: _cannot_read,
        HTTPException: _fail,
        Exception: _fail,
    }
    return Starlette(routes=routes, exception_handlers=errors)


def _route(opened: OpenedRuns, answer: Answer) -> Callable[[Request], Response]:
    """Runs in a thread, since it computes."""

    def route(request: Request) -> Response:
        return answer(opened, request)

    return route


def _page(opened: OpenedRuns, request: Request) -> Response:
    return _file("index.html")


def _static(opened: OpenedRuns, request: Request) -> Response:
    return _file(request.path_params["name"])


def _read(opened: OpenedRuns, request: Request, kind: type[OfFilter]) -> OfFilter:
    """A question about the images of a filter."""
    asked = read_query(request, kind)
    opened.prepare(asked.filter)
    return asked


def _file(name: str) -> Response:
    """One of the page's own files; their names are compared, never opened as a path."""
    known = {file.name: file for file in FILES.iterdir()}
    if name not in known:
        raise HTTPException(404)
    suffix = f".{name.rpartition('.')[2]}"
    return Response(known[name].read_bytes(), media_type=MEDIA_TYPES.get(suffix))


def _run(opened: OpenedRuns, request: Request) -> Response:
    return JSONResponse(as_json(describe_runs(opened)))


def _rows(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, Page)
    total, rows = opened.views.page(asked.filter, asked.sorting, asked.offset, asked.limit)
    return JSONResponse(as_json({"total": total, "rows": rows}))


def _facets(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, Facets)
    facets = opened.views.facets(asked.filter, asked.columns, asked.find)
    return _counted(opened, asked, "facets", facets)


def _histograms(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, Columns)
    histograms = opened.views.histograms(asked.filter, asked.columns)
    return _counted(opened, asked, "histograms", histograms)


def _counted(opened: OpenedRuns, asked: Columns, name: str, counts: Any) -> Response:
    total = opened.views.count(asked.filter)
    return JSONResponse(as_json({"total": total, name: counts}))


def _sql(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, View)
    text = copied_sql(opened.runs, opened.database, asked.filter, asked.sorting)
    return JSONResponse({"sql": text})


def _selection(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, Download)
    table = opened.views.selection(asked.filter, asked.sorting)
    write = {"csv": as_csv, "parquet": as_parquet}[asked.format]
    name = f'attachment; filename="selection.{asked.format}"'
    return Response(write(table), headers={"Content-Disposition": name})


def _row(opened: OpenedRuns, request: Request) -> Response:
    asked = read_query(request, OneRow)
    return JSONResponse(as_json(opened.details(asked.row_id)))


def _picture(opened: OpenedRuns, request: Request) -> Response:
    asked = read_query(request, Picture)
    pictures = opened.side(asked.run).pictures
    jpeg = pictures.picture(asked.row_id, asked.kind, asked.slot, thumbnail=asked.size == "thumb")
    return Response(jpeg, media_type="image/jpeg", headers=KEPT)


def _map(opened: OpenedRuns, request: Request) -> Response:
    asked = read_query(request, Map)
    map_HW = opened.side(asked.run).pictures.map(asked.row_id, asked.method)
    return Response(png(heat_layer(map_HW)), media_type="image/png", headers=KEPT)


def _outline(opened: OpenedRuns, request: Request) -> Response:
    asked = read_query(request, Outline)
    mask_HW = opened.side(asked.run).pictures.foreground(asked.row_id)
    return Response(png(outline_layer(mask_HW)), media_type="image/png", headers=KEPT)


def _plot(opened: OpenedRuns, request: Request) -> Response:
    return JSONResponse(as_json(opened.plot.draw(_read(opened, request, Plot))))


def _nearby(opened: OpenedRuns, request: Request) -> Response:
    return JSONResponse(as_json(opened.plot.nearest(_read(opened, request, Nearby))))


def _figures(opened: OpenedRuns, request: Request) -> Response:
    asked = _read(opened, request, Selection)
    return JSONResponse(as_json(opened.audited.figures(asked.filter)))


def _scenarios(opened: OpenedRuns, request: Request) -> Response:
    saved = read_scenarios(opened.now.run.folder)
    for scenario in saved:
        opened.prepare(scenario.filter)
    return JSONResponse([as_json(opened.audited.scenario(scenario)) for scenario in saved])


async def _save_scenario(opened: OpenedRuns, request: Request) -> Response:
    asked = await read_body(request, NewScenario)
    await run_in_threadpool(save_scenario, opened.now.run.folder, asked.name, asked.filter)
    return JSONResponse({})


def _delete_scenario(opened: OpenedRuns, request: Request) -> Response:
    delete_scenario(opened.now.run.folder, read_query(request, ScenarioName).name)
    return JSONResponse({})


def _patterns(opened: OpenedRuns, request: Request) -> Response:
    return JSONResponse(as_json(describe_patterns(opened.now.run)))


def _refuse(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownRow) else 400
    return JSONResponse({"error": str(error)}, status_code=status)


def _no_picture(request: Request, error: Exception) -> Response:
    """Many images have no foreground, or no map of a method: that is an answer, no mistake."""
    return Response(status_code=204, headers={**MISSING, "X-Why": quote(str(error), safe=" ")})


def _cannot_read(request: Request, error: Exception) -> Response:
    """Above all of a run that was deleted or moved while it is looked at."""
    assert isinstance(error, OSError)
    why = (
        f"the run cannot be read any more ({describe_os_error(error)}): where it was moved or "
        "audited again, start `sightline open` again"
    )
    return JSONResponse({"error": why}, status_code=503)


def _fail(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, status_code=error.status_code)
    log.error("the explorer failed at %s", request.url.path, exc_info=error)
    return JSONResponse({"error": f"{type(error).__name__}: see the log"}, status_code=500)


ANSWERS: dict[str, Answer] = {
    "api/run": _run,
    "api/rows": _rows,
    "api/facets": _facets,
    "api/histograms": _histograms,
    "api/sql": _sql,
    "api/row": _row,
    "api/patterns": _patterns,
    "api/figures": _figures,
    "api/scenarios": _scenarios,
    "api/plot": _plot,
    "api/nearby": _nearby,
    "picture": _picture,
    "map": _map,
    "outline": _outline,
    "selection": _selection,
}
