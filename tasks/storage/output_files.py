"""Files that a command writes into a folder of the user's, and may overwrite when they are ours."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from upath import UPath

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

    def is_written(self, folder: UPath) -> bool:
        """Is the first file there, and one of ours?"""
        try:
            self.kind.model_validate_json((folder / self.identity).read_bytes())
        except (OSError, ValidationError):
            return False
        return True
