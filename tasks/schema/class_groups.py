"""Groups of the model's classes, as a file of the user's names them."""

from __future__ import annotations

from tasks.schema.values import Value


class ClassGroups(Value):
    """The group of each class, and where a tree of classes was cut."""

    group_of: dict[str, str]  # by class, in the model's order
    level: int = 1  # of the file's tree, from its widest groups
    levels: int = 1  # that the tree has; 1: the file names the group of each class

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in alphabetical order."""
        return tuple(sorted(set(self.group_of.values())))

    def describe(self) -> str:
        """`27 groups of classes, level 4 of 9 of the tree`."""
        count = len(self.names)
        groups = "1 group of classes" if count == 1 else f"{count:,} groups of classes"
        tree = f", level {self.level} of {self.levels} of the tree" if self.levels > 1 else ""
        return f"{groups}{tree}"
