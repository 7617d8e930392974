"""Which images: typed conditions that hold together, and their SQL.

Values never become SQL text: they are parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import UserError, describe_refusal, list_names, printable, suggest
from tasks.query.columns import Column, Kind, searched_columns

Space = Literal["whole", "object", "background"]  # of the features that a plot shows
SPACES: tuple[Space, ...] = ("whole", "object", "background")

MOST_CONDITIONS, MOST_VALUES, MOST_ROWS, MOST_CORNERS = 100, 2_000, 10_000, 1_000
LONGEST_TEXT = 1_000
FARTHEST = 1e6  # of a lasso's corners: the plot is a unit square

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]


class _Condition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HasValue(_Condition):
    """One of these values; null is a missing one."""

    kind: Literal["values"] = "values"
    column: Text
    values: tuple[Text | None, ...] = Field(max_length=MOST_VALUES)


class InRange(_Condition):
    """A number from `low` to `high`, both included; a missing one is outside."""

    kind: Literal["range"] = "range"
    column: Text
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)


class ContainsText(_Condition):
    """A text that contains this one, whatever the case; without a column, in any that has words."""

    kind: Literal["text"] = "text"
    column: Text | None = None
    text: Text


class InLasso(_Condition):
    """A point of the plot inside a polygon."""

    kind: Literal["lasso"] = "lasso"
    space: Space
    polygon: tuple[tuple[Coordinate, Coordinate], ...] = Field(
        min_length=3, max_length=MOST_CORNERS
    )


class IsRow(_Condition):
    """One of these images."""

    kind: Literal["rows"] = "rows"
    row_ids: tuple[Text, ...] = Field(max_length=MOST_ROWS)


Condition = Annotated[
    HasValue | InRange | ContainsText | InLasso | IsRow, Field(discriminator="kind")
]


class Filter(BaseModel):
    """The images that meet every condition; without any, all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conditions: tuple[Condition, ...] = Field(default=(), max_length=MOST_CONDITIONS)

    @classmethod
    def parse(cls, text: str) -> Filter:
        """From JSON; refuses anything else in one line."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = printable(".".join(map(str, first["loc"])) or "the filter")
            reason = describe_refusal(dict(first))
            raise UserError(
                f"the filter cannot be read ({where}: {reason}): give "
                '{"conditions": [{"kind": "values", "column": "flag", "values": '
                '["rests_on_background"]}]}, as docs/explorer.md says'
            ) from error

    def without(self, column: str) -> Filter:
        """The other conditions: what a column's own counts are made with."""
        kept = (it for it in self.conditions if getattr(it, "column", None) != column)
        return Filter(conditions=tuple(kept))

    @property
    def spaces(self) -> frozenset[Space]:
        return frozenset(it.space for it in self.conditions if isinstance(it, InLasso))

    @model_validator(mode="after")
    def _few_corners(self) -> Filter:
        corners = sum(len(it.polygon) for it in self.conditions if isinstance(it, InLasso))
        if corners > MOST_CORNERS:
            raise ValueError(f"{corners} corners of lassos, at most {MOST_CORNERS} are allowed")
        return self


@dataclass(frozen=True)
class Where:
    """A condition in SQL, with its parameters in order."""

    sql: str
    parameters: tuple[Any, ...]


@dataclass(frozen=True)
class SqlNames:
    """What the columns and coordinates are called in the SQL."""

    columns: Mapping[str, Column]
    names: Mapping[str, str]  # of each column, quoted where needed
    coordinates: Mapping[Space, tuple[str, str]]

    def where(self, chosen: Filter) -> Where:
        """All conditions together."""
        found = [self._condition(condition) for condition in chosen.conditions]
        sql = " AND ".join(f"({where.sql})" for where in found)
        return Where(sql or "true", tuple(it for where in found for it in where.parameters))

    def _condition(self, condition: Condition) -> Where:
        if isinstance(condition, HasValue):
            return self._has_value(condition)
        if isinstance(condition, InRange):
            return self._in_range(condition)
        if isinstance(condition, ContainsText):
            return self._contains(condition)
        if isinstance(condition, InLasso):
            return self._in_lasso(condition)
        row_ids = list(condition.row_ids)
        return Where(f"list_contains(?::VARCHAR[], {self.names['row_id']})", (row_ids,))

    def _has_value(self, condition: HasValue) -> Where:
        column = find_column(self.columns, condition.column, "category", "list", "text", "number")
        values = [value for value in condition.values if value is not None]
        name = self.names[column.name]
        test = "list_has_any(?::VARCHAR[], {})" if column.kind == "list" else _AMONG
        sql = f"coalesce({test.format(name)}, false)"
        if None in condition.values:
            sql = f"{name} IS NULL OR {sql}"
        return Where(sql, (values,))

    def _in_range(self, condition: InRange) -> Where:
        column = find_column(self.columns, condition.column)
        if not column.has_numbers:
            column = find_column(self.columns, condition.column, "number")
        name = self.names[column.name]
        ends = [(">=", condition.low), ("<=", condition.high)]
        tests = [f"{name} {sign} ?" for sign, end in ends if end is not None]
        parameters = tuple(end for _, end in ends if end is not None)
        return Where(" AND ".join([f"{name} IS NOT NULL", *tests]), parameters)

    def _contains(self, condition: ContainsText) -> Where:
        if condition.column is None:
            names = [self.names[name] for name in searched_columns(self.columns.values())]
        else:
            names = [
                self.names[find_column(self.columns, condition.column, "category", "text").name]
            ]
        sql = " OR ".join(f"contains(lower({name}::VARCHAR), lower(?))" for name in names)
        return Where(f"coalesce({sql}, false)", (condition.text,) * len(names))

    def _in_lasso(self, condition: InLasso) -> Where:
        """An odd number of the polygon's edges lies to the right of the point."""
        if condition.space not in self.coordinates:
            raise UserError(
                f"there is no plot of the space {condition.space!r} in this run; it has "
                f"{list_names(self.coordinates) or 'none'}"
            )
        x, y = self.coordinates[condition.space]
        corners = condition.polygon
        edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
        crossed = [_crossed(x, y, start, end) for start, end in edges if start[1] != end[1]]
        inside = f"{_sum(crossed)} % 2 = 1"
        return Where(f"{x} IS NOT NULL AND {inside}", ())


_AMONG = "list_contains(?::VARCHAR[], {}::VARCHAR)"


def find_column(columns: Mapping[str, Column], name: str, *kinds: Kind) -> Column:
    """The column of this name, of one of these kinds or any; refuses one that is not there."""
    if name not in columns:
        raise UserError(
            f"there is no column {printable(name)!r}{suggest(name, list(columns))}; "
            f"there are {list_names(columns)}"
        )
    column = columns[name]
    if kinds and column.kind not in kinds:
        allowed = [it.name for it in columns.values() if it.kind in kinds]
        raise UserError(
            f"column {name!r} holds a {column.kind} and cannot be asked so; "
            f"{list_names(allowed)} can"
        )
    return column


def name_columns(columns: Iterable[Column]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def _crossed(x: str, y: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """1 where the edge crosses the ray from the point to the right, else 0."""
    (x0, y0), (x1, y1) = start, end
    across = f"({y0!r} > {y}) <> ({y1!r} > {y})"
    part = f"({y} - {y0!r}) / {y1 - y0!r}"  # of the edge: a slope may be infinite
    return f"({across} AND {x} < {x1 - x0!r} * ({part}) + {x0!r})::INTEGER"


def _sum(terms: Sequence[str]) -> str:
    """In halves: DuckDB refuses a sum of a thousand, which it nests that deep."""
    if len(terms) < 2:
        return "".join(terms) or "0"
    middle = len(terms) // 2
    return f"({_sum(terms[:middle])} + {_sum(terms[middle:])})"
