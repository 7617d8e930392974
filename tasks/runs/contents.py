"""Every file that a run may write: only these are ever deleted, one by one.

The names alone are not enough: run.json must identify the run. Anything else in the folder is the
user's, links included: it stays, and is named. Nothing is deleted or written through a link.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from models.addresses import TEMPORARY, is_local
from models.errors import RunFolderError
from tasks.runs.folder import RunFolder, digest
from tasks.runs.stages import ESTIMATED, STAGES, Stage
from tasks.storage.files import read_stamps
from tasks.storage.lock import LOCK

CLAIMS = f"{LOCK}/"
UNIQUE = "[0-9a-f]{32}"  # of the names of claims and temporary files
STAGE = rf"(?:{ESTIMATED}/)?(?:{'|'.join(stage.name for stage in STAGES)})(?:/[^/]+)?"
FOLDERS = re.compile(rf"{STAGE}|{ESTIMATED}|notes|model|{LOCK}")
FILES = re.compile(
    rf"{STAGE}/part-\d{{5,}}\.parquet|notes/(?:\d+|own-process)\.json|model/model\.(?:json|safetensors)"
    rf"|{CLAIMS}{UNIQUE}\.json"
)
TEMPORARY_FILE = re.compile(rf"(?P<folder>.*/)?\.(?P<name>[^/]+)\.{UNIQUE}{re.escape(TEMPORARY)}")


@dataclass(frozen=True)
class Contents:
    """What is in a run folder, by relative addresses."""

    ours: tuple[str, ...]  # files that the run may write
    others: tuple[str, ...]  # files, folders and links of the user's

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What stands where the run has a file or a folder, such as a link."""
        names = (name.removesuffix("/") for name in self.others)
        return tuple(name for name in names if FOLDERS.fullmatch(name) or is_own_file(name))


def is_own_file(name: str) -> bool:
    """May a run write a file of this relative address, or its temporary one?"""
    temporary = TEMPORARY_FILE.fullmatch(name)
    if temporary is not None:
        name = f"{temporary['folder'] or ''}{temporary['name']}"
    return name in _FILES_OF_THE_ROOT or FILES.fullmatch(name) is not None


def list_contents(run: RunFolder) -> Contents:
    """The files of a run folder, and what else is in it."""
    files, others = _list_local(run) if is_local(run.path) else (_list_remote(run), [])
    ours = tuple(name for name in files if is_own_file(name))
    return Contents(ours, (*others, *(name for name in files if not is_own_file(name))))


def list_results(run: RunFolder) -> list[UPath]:
    """The files of a run that nobody writes any more once it is published: who looks at it later
    may add the coordinates of its plot, its table of images, and scenarios."""
    later = (run.coordinates.name, run.image_table.name, run.scenarios.name)
    changing = (run.state.name, *later, CLAIMS, f"{run.notes.name}/")
    names = sorted(name for name in list_contents(run).ours if not name.startswith(changing))
    return [run.path / name for name in names]


def stamp_results(run: RunFolder) -> str:
    """A digest of their names, sizes and times."""
    files = [str(path) for path in list_results(run)]
    names = [file.removeprefix(str(run.path)) for file in files]
    return digest(names, read_stamps(files))


def erase(run: RunFolder) -> Contents:
    """Delete all that the run wrote, and what is left of its lock; returns what the folder held."""
    contents = clear(run)
    _delete(run, [name for name in contents.ours if name.startswith(CLAIMS)])
    return contents


def clear(run: RunFolder) -> Contents:
    """Delete all that the run wrote, run.json last, but not its lock, which the caller holds.

    Returns what the folder held; refuses one whose run.json does not identify a run.
    """
    run.read_state()
    contents = list_contents(run)
    state = run.state.name
    kept = (state, CLAIMS)
    _delete(run, [name for name in contents.ours if not name.startswith(kept)])
    _delete(run, [state])
    return contents


def restart(run: RunFolder) -> None:
    """Delete what is derived from the parts: they may change from here on."""
    for path in _results(run):
        path.unlink(missing_ok=True)


def forget_interventions(run: RunFolder) -> None:
    """Delete the interventions of earlier tries and everything computed from them."""
    stages = [stage for stage in STAGES if stage.intervenes]
    failures = [stage.failures for stage in stages if stage.failures is not None]
    estimated = [stage.from_estimates() for stage in stages]
    ours = list_contents(run).ours
    donors = [name for name in ours if name == run.donors.name]
    _delete(run, [*donors, *_under(ours, (*stages, *failures, *estimated))])


def forget_notes(run: RunFolder) -> None:
    """Delete the notes of workers, once none is running."""
    prefix = f"{run.notes.name}/"
    _delete(run, [name for name in list_contents(run).ours if name.startswith(prefix)])


def remove_temporary_files(run: RunFolder) -> None:
    """Delete the temporary files that killed writers left behind."""
    if is_local(run.path):
        ours = list_contents(run).ours
        _delete(run, [name for name in ours if TEMPORARY_FILE.fullmatch(name)])


def refuse_obstacles(run: RunFolder) -> None:
    """Refuse a folder where something else, such as a link, stands in place of a file of ours."""
    obstacles = list_contents(run).obstacles
    if obstacles:
        raise RunFolderError(
            f"{run.path / obstacles[0]} is a link, or not what a run writes there, and it is "
            "neither followed nor overwritten: move it away, or give another --out"
        )


def _results(run: RunFolder) -> tuple[UPath, ...]:
    """What is derived from the parts."""
    pages = (run.report, run.methods_page)
    patterns = (run.patterns, run.pattern_members, run.pattern_spaces)
    figures = (run.flags, run.duplicates, run.summary, run.methods)
    return (*figures, *patterns, run.coordinates, run.image_table, *pages)


def _names(run: RunFolder) -> frozenset[str]:
    inputs = (run.state, run.catalog, run.donors, run.statistics_images, run.reuse_plan)
    return frozenset(path.name for path in (*inputs, run.scenarios, *_results(run)))


_FILES_OF_THE_ROOT = _names(RunFolder.at("/"))


def _under(names: Iterable[str], stages: Iterable[Stage]) -> list[str]:
    folders = tuple(f"{stage.folder}/" for stage in stages)
    return [name for name in names if name.startswith(folders)]


def _list_local(run: RunFolder) -> tuple[list[str], list[str]]:
    """The files in the run's own folders; and links, and other folders with a slash at the end."""
    found, others = [], []
    for folder, folders, files in os.walk(run.path):  # does not follow links
        inside = os.path.relpath(folder, run.path)
        names = {name: name if inside == "." else f"{inside}/{name}" for name in (*folders, *files)}
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        foreign = [name for name in folders if not FOLDERS.fullmatch(names[name])]
        folders[:] = sorted({*folders} - {*links, *foreign})
        found += [names[name] for name in sorted(files) if name not in links]
        others += [names[name] for name in links]
        others += [f"{names[name]}/" for name in foreign if name not in links]
    return found, others


def _list_remote(run: RunFolder) -> list[str]:
    root = run.path.path.rstrip("/") + "/"
    return [name.removeprefix(root) for name in run.path.fs.find(run.path.path)]


def _delete(run: RunFolder, names: Iterable[str]) -> None:
    """Delete files of the run, and its folders that are empty afterwards."""
    if not is_local(run.path):
        addresses = [(run.path / name).path for name in names]
        if addresses:
            run.path.fs.rm(addresses)
        return
    for name in names:
        (run.path / name).unlink(missing_ok=True)
    for folder, _, _ in os.walk(run.path, topdown=False):
        if FOLDERS.fullmatch(Path(folder).relative_to(run.path).as_posix()):
            with suppress(OSError):  # not empty
                Path(folder).rmdir()
