"""Files that a command writes into a folder of the user's, and may overwrite when they are ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from upath import UPath

from models.addresses import TEMPORARY, is_local
from models.errors import UserError


@dataclass(frozen=True)
class OutputFiles:
    """Files that are written together: the first, JSON of this kind, identifies all as ours."""

    identity: str
    kind: type[BaseModel]
    others: tuple[str, ...]

    def check(self, folder: UPath) -> None:
        """Refuse a folder with a file of one of these names that is not ours, or a link."""
        paths = [folder / name for name in (self.identity, *self.others)]
        links = [path for path in paths if path.is_symlink()]
        found = [path for path in paths if path.exists()]
        if links or (found and not self.is_written(folder)):
            raise UserError(
                f"{(links or found)[0]} was not written by Sightline, or is damaged, and is not "
                "overwritten: move it away, or give another --out"
            )

    def remove_temporary_files(self, folder: UPath) -> None:
        """Delete what a killed writer of these files left behind."""
        if not is_local(folder):  # object stores show no file before it is whole
            return
        names = "|".join(map(re.escape, (self.identity, *self.others)))
        left = re.compile(rf"\.({names})\.[0-9a-f]{{32}}{re.escape(TEMPORARY)}")
        for path in Path(str(folder)).glob(f".*{TEMPORARY}"):
            if left.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)

    def is_written(self, folder: UPath) -> bool:
        """Is the first file there, and one of ours?"""
        try:
            self.kind.model_validate_json((folder / self.identity).read_bytes())
        except (OSError, ValidationError):
            return False
        return True
