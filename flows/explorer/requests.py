"""What the page asks, typed and within limits; anything else is refused in one line."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from models.errors import UserError, describe_refusal, printable
from tasks.query.filters import Filter, Space
from tasks.query.views import Order, Sorting

MOST_ROWS = 500  # of a page
MOST_COLUMNS = 500
LARGEST_ROW = 1 << 31

RunSide = Literal["now", "before"]
Change = Literal["picture", "object_removed", "background_removed", "exchanged", "moved"]
Asked = TypeVar("Asked", bound=BaseModel)


def _parse(text: Any) -> Any:
    return Filter.parse(text) if isinstance(text, str) and text else Filter()


Chosen = Annotated[Filter, BeforeValidator(_parse)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Selection(_Request):
    """A filter."""

    filter: Chosen = Filter()


class View(Selection):
    """A filter, and an order."""

    sort: str | None = None
    order: Order = "asc"

    @property
    def sorting(self) -> Sorting:
        return Sorting(self.sort or None, self.order)


class Page(View):
    """Some rows of a view."""

    offset: int = Field(default=0, ge=0, lt=LARGEST_ROW)
    limit: int = Field(default=200, ge=1, le=MOST_ROWS)


class Columns(Selection):
    """Columns to count."""

    columns: tuple[str, ...] = Field(default=(), max_length=MOST_COLUMNS)


class Facets(Columns):
    """Columns to count; of their values only those that contain a text."""

    find: str = Field(default="", max_length=1_000)


class OneRow(_Request):
    """One image."""

    row_id: str


class Picture(OneRow):
    """A picture of an image, changed or not."""

    kind: Change = "picture"
    slot: int = Field(default=0, ge=0, lt=1000)
    size: Literal["thumb", "full"] = "full"
    run: RunSide = "now"


class Map(OneRow):
    """A method's map."""

    method: str
    run: RunSide = "now"


class Outline(OneRow):
    """The foreground's outline."""

    run: RunSide = "now"


class Plot(Selection):
    """The points of a filter, coloured by a column."""

    space: Space = "whole"
    colour: str | None = None


class Nearby(Selection):
    """The image of a filter whose point is nearest."""

    space: Space
    x: float = Field(allow_inf_nan=False)
    y: float = Field(allow_inf_nan=False)


class Download(View):
    """A view as a file."""

    format: Literal["csv", "parquet"] = "csv"


class NewScenario(_Request):
    """A filter to be kept under a name."""

    name: str
    filter: Filter


class ScenarioName(_Request):
    name: str


def read_query(request: Request, kind: type[Asked]) -> Asked:
    """The parameters of an address; `columns` may be there many times."""
    values: dict[str, Any] = dict(request.query_params)
    if "columns" in values:
        values["columns"] = request.query_params.getlist("columns")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _refusal(error) from error


async def read_body(request: Request, kind: type[Asked]) -> Asked:
    """A body of JSON."""
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError) -> UserError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the request"
    return UserError(f"{printable(where)}: {describe_refusal(dict(first))}")
