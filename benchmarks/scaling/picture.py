"""Images a second against workers, both axes logarithmic, as an SVG that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 84, 30, 20, 130  # of the plot
MOST_WORKERS = 4096
LEAST_SPEED, MOST_SPEED = 1.0, 1e7
COLOURS = ("#1b6ca8", "#c4501b", "#4c7a34", "#8a4fa8")
INK, FAINT = "#444", "#ddd"


@dataclass(frozen=True)
class Line:
    """One kind of worker."""

    name: str
    points: tuple[tuple[int, float], ...]  # workers, images a second
    alone: float  # images a second of one worker: perfect scaling starts there


def draw(lines: Sequence[Line]) -> str:
    """The picture; dashes are perfect scaling."""
    body = [*_grid()]
    for number, (line, colour) in enumerate(zip(lines, COLOURS, strict=False)):
        perfect = [(count, count * line.alone) for count in (1, MOST_WORKERS)]
        body += [
            _path(perfect, colour, "stroke-dasharray='3 5' stroke-width='1'"),
            _path(line.points, colour, "stroke-width='2.5'"),
            *_legend(number, line.name, colour),
        ]
    text = f"{HEIGHT - BOTTOM + 38}"
    body.append(f"<text x='{LEFT}' y='{text}'>workers; dashes: perfect scaling</text>")
    body.append(f"<text x='{LEFT}' y='{TOP - 6}'>images a second</text>")
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"font-family='sans-serif' font-size='13' fill='{INK}'>\n"
        "<title>Images a second by the number of workers, foretold</title>\n"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _grid() -> Iterator[str]:
    for power in range(0, 13, 3):
        x = _x(2**power)
        yield f"<path d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}' stroke='{FAINT}'/>"
        at = f"x='{x:.1f}' y='{HEIGHT - BOTTOM + 18}'"
        yield f"<text {at} text-anchor='middle'>{2**power:,}</text>"
    for power in range(round(math.log10(LEAST_SPEED)), round(math.log10(MOST_SPEED)) + 1):
        y = _y(10**power)
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='{FAINT}'/>"
        yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' text-anchor='end'>{10**power:,}</text>"


def _legend(number: int, name: str, colour: str) -> Iterator[str]:
    y = HEIGHT - BOTTOM + 60 + 18 * number
    yield f"<path d='M{LEFT} {y - 4}h24' stroke='{colour}' stroke-width='2.5'/>"
    yield f"<text x='{LEFT + 32}' y='{y}'>{escape(name)}</text>"


def _path(points: Sequence[tuple[int, float]], colour: str, style: str) -> str:
    inside = [(count, speed) for count, speed in points if speed >= LEAST_SPEED]
    corners = " ".join(
        f"{_x(count):.1f},{_y(min(speed, MOST_SPEED)):.1f}" for count, speed in inside
    )
    return f"<polyline points='{corners}' fill='none' stroke='{colour}' {style}/>"


def _x(workers: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log(workers) / math.log(MOST_WORKERS)


def _y(speed: float) -> float:
    share = math.log(speed / LEAST_SPEED) / math.log(MOST_SPEED / LEAST_SPEED)
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
