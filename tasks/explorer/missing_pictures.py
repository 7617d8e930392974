"""Pictures that the explorer cannot show."""

from __future__ import annotations

from models.errors import UserError


class MissingPicture(UserError):
    """What cannot be shown of an image, and why."""


class UnknownPicture(MissingPicture):
    """A method or a number that nothing of the run has."""
