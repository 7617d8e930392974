"""Compare two models on the same images, from their finished runs."""

from __future__ import annotations

from upath import UPath

from flows.output_folders import COMPARISON
from models.addresses import as_path
from reports.markdown import models_as_markdown
from reports.models_page import render_models
from tasks.compare.paired_examples import examples_of_pair
from tasks.compare.two_models import compare_models
from tasks.runs import open_run
from tasks.runs.reader import Run
from tasks.schema import PairedSummary
from tasks.storage.files import write_text


def compare_audits(before: str, after: str, folder: str) -> PairedSummary:
    """Compare two finished runs and write the comparison to a folder."""
    first, last = open_run(before), open_run(after)
    paired = compare_models(first, last)
    write_paired(first, last, paired, as_path(folder))
    return paired


def write_paired(before: Run, after: Run, paired: PairedSummary, folder: UPath) -> None:
    """Write compare.json, which identifies the others as ours, compare.html and compare.md."""
    page = render_models(paired, examples_of_pair(before, after, paired))
    COMPARISON.check(folder)
    COMPARISON.remove_temporary_files(folder)
    write_text(folder / COMPARISON.identity, paired.model_dump_json(indent=2) + "\n")
    write_text(folder / "compare.html", page)
    write_text(folder / "compare.md", models_as_markdown(paired))
