"""`sightline export`: a run in the formats of other tools."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from flows.cli.log_lines import log_options, quiet_option
from flows.cli.one_line_errors import one_line_errors
from flows.cli.output.lines import print_line
from flows.settings.environment import prepare_environment
from models.addresses import read_text
from models.errors import UserError, printable
from tasks.export.registry import NAMES, format_of

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.export.formats import ExportRequest
    from tasks.query.database import ImageDatabase
    from tasks.query.filters import Filter
    from tasks.runs.reader import Run

log = logging.getLogger("sightline")


@click.command()
@click.argument("run")
@click.option("--to", "name", required=True, type=click.Choice(NAMES), help="Format of the export.")
@click.option("--out", help="New folder to write. Default: the run's name and the format's.")
@click.option("--filter", "chosen", help="Images to export: JSON, or a file of it.")
@click.option("--method", help="Method whose maps are exported. Default: the flags'.")
@click.option("--copy-images", is_flag=True, help="Copy the pictures into the folder.")
@quiet_option
@log_options
@one_line_errors()
def export(run: str, name: str, out: str | None, quiet: bool, **options: Any) -> None:
    """Write a run, or the images that meet a filter, in the format of another tool.

    The last line that it prints opens the export there.
    """
    prepare_environment()
    from flows.runtime.progress import show_pictures
    from tasks.export.formats import check_new_folder, write_export
    from tasks.runs import open_run

    form, opened = format_of(name), open_run(run)
    form.check(options["method"], options["copy_images"])
    folder = check_new_folder(out or f"{opened.folder.path.name}-{name}")
    request = _request(opened, form.needs_coordinates, **options)
    with show_pictures(f"export to {name}") as progress:
        notes = write_export(form, request, folder, progress)
    for note in notes:
        log.warning(note)
    if not quiet:
        log.info("%d images are in %s; this opens them:", request.selection.total, folder)
    print_line(form.how_to_open(folder))


def _request(
    run: Run, needs_coordinates: bool, chosen: str | None, method: str | None, copy_images: bool
) -> ExportRequest:
    """What the options ask for."""
    from tasks.export.formats import ExportRequest
    from tasks.export.selection import Selection, main_method
    from tasks.query.database import open_images

    wanted = _read_filter(chosen)
    images = open_images(run)
    needed = needs_coordinates or bool(wanted.spaces)
    coordinates = _add_coordinates(run, images) if needed else None
    selection = Selection.of(run, images, wanted)
    return ExportRequest(selection, main_method(run, method), copy_images, coordinates)


def _read_filter(text: str | None) -> Filter:
    """Everything without one."""
    from tasks.query.filters import Filter

    if text is None or text.lstrip().startswith("{"):
        return Filter() if text is None else Filter.parse(text)
    content = read_text(text)
    if content is None:
        raise UserError(f"--filter {printable(text)} not found: give JSON, or a file of it")
    return Filter.parse(content)


def _add_coordinates(run: Run, images: ImageDatabase) -> pa.Table:
    """Of the plot, which are computed once for a run."""
    from tasks.explorer.projection import coordinates
    from tasks.query.filters import SPACES

    log.info("coordinates of the plot: they are computed once for a run")
    table = coordinates(run)
    images.add_coordinates(table, SPACES)
    return table
