"""What the measured costs foretell for 8, 64 and 512 workers, as tables; the picture of
docs/scaling.md with --picture FILE.

    python -m benchmarks.scaling.foretell [--picture docs/scaling.svg]
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.scaling.measured_costs import MeasuredCosts, read_costs
from benchmarks.scaling.model import Costs, best_size, foretell, saturating_workers
from benchmarks.scaling.picture import Line, draw

WORKERS = (1, 2, 8, 64, 512)
IMAGES = 10_000_000
SIZE = 256  # by default
FAST = 0.002  # seconds an image
FAST_SPEED = f"{1 / FAST:.0f} images a second"
FAST_NAME = f"{FAST_SPEED} (assumed)"
LATENCY = 0.02  # seconds of a request to S3
S3_NAME = f"{FAST_SPEED}, run on S3 ({1e3 * LATENCY:.0f} ms a request, assumed)"


def cases(measured: MeasuredCosts) -> dict[str, Costs]:
    """The workers that are foretold: two networks as measured, and a fast one, also on S3."""
    subjects = {name: measured.of(name) for name in measured.image}
    fast = measured.of_image(FAST)
    on_s3 = replace(fast, shard=fast.shard + measured.requests_per_shard * LATENCY)
    return subjects | {FAST_NAME: fast, S3_NAME: on_s3}


def table_of_workers(measured: MeasuredCosts) -> str:
    """Ten million images in shards of the default size."""
    rows = [
        "| worker | workers | hours computing | images a second | efficiency | hours in all |",
        "|---|---|---|---|---|---|",
    ]
    for name, costs in cases(measured).items():
        for workers in WORKERS:
            found = foretell(costs, workers, IMAGES, SIZE)
            rows.append(
                f"| {name} | {workers} | {_hours(found.compute)} | {found.images_per_second:,.0f} "
                f"| {found.efficiency:.0%} | {_hours(found.total)} |"
            )
    return "\n".join(rows)


def table_of_limits(measured: MeasuredCosts) -> str:
    """Where the coordinator saturates, and the best size of shards."""
    rows = [
        "| worker | saturated from workers | best shards: 8 workers | 64 | 512 | efficiency then |",
        "|---|---|---|---|---|---|",
    ]
    for name, costs in cases(measured).items():
        sizes = {workers: best_size(costs, workers, IMAGES) for workers in (8, 64, 512)}
        then = [f"{foretell(costs, it, IMAGES, size).efficiency:.0%}" for it, size in sizes.items()]
        best = " | ".join(f"{size:,}" for size in sizes.values())
        limit = saturating_workers(costs, SIZE)
        rows.append(f"| {name} | {limit:,.0f} | {best} | {', '.join(then)} |")
    return "\n".join(rows)


def draw_scaling(measured: MeasuredCosts) -> str:
    """Images a second by workers: each case in default shards, and beside perfect scaling."""
    return draw(list(_lines(measured)))


def _lines(measured: MeasuredCosts) -> Iterator[Line]:
    counts = [2 ** (step / 2) for step in range(25)]  # 1 to 4,096
    for name, costs in cases(measured).items():
        points = tuple(
            (round(count), foretell(costs, round(count), IMAGES, SIZE).images_per_second)
            for count in counts
        )
        yield Line(name, points, IMAGES / foretell(costs, 1, IMAGES, SIZE).compute)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f}" if seconds >= 360 else f"{seconds / 3600:.2f}"


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, metavar="FILE")
    picture = parser.parse_args().picture
    measured = read_costs()
    if picture is not None:
        picture.write_text(draw_scaling(measured), encoding="utf-8")
    sys.stdout.write(f"{table_of_workers(measured)}\n\n{table_of_limits(measured)}\n")


if __name__ == "__main__":
    main()
