"""What the explorer takes in Chromium, on runs of 50,000 and of a million images.

    python -m benchmarks.explorer.browser [--quick] [RUN...]

The command is started anew in each round; its page is opened in a browser that has seen nothing.
Without a RUN, an audit of generated pictures is made large (benchmarks/explorer/enlarged_run.py);
that takes minutes. What else the machine does is in every figure: the load stands beside them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.chromium import Browser, start_chromium
from benchmarks.explorer.open_command import OpenExplorer, open_explorer
from benchmarks.explorer.random_use import RandomUse
from benchmarks.measure import Figure, make_parser, median_with_interval, print_figures
from tasks.query.kept_table import LARGE
from tasks.runs.folder import RunFolder

ROUNDS, FILTERS = 5, 8
MINUTES = 10.0  # of random use
MOMENTS = (0.1, 0.25, 0.5, 0.75, 1.0)  # of it, at which memory is read
SEED = 1
ADDRESS, PAINT, FILTERED = "to the address", "to the first paint", "of a filter"  # seconds
AGAIN = "to the address, once the table of images is kept"
GOALS: dict[int, dict[str, float]] = {  # by images
    50_000: {f"seconds {PAINT}": 2.0, f"seconds {FILTERED}": 0.3},
    1_000_000: {
        f"seconds {ADDRESS}": 5.0,
        f"seconds {AGAIN}": 5.0,
        f"seconds {FILTERED}": 1.0,
    },
}
BLANK = 200  # ms
# From a click on a value to the frame after which the new count stands on the screen.
FILTER = """
new Promise(done => {
  const values = [...document.querySelectorAll(".value")].filter(e => e.checkVisibility());
  const count = document.querySelector("#count"), grid = document.querySelector("#grid");
  const was = count.textContent, start = performance.now();
  values[PLACE % values.length].click();
  const look = () => count.textContent !== was && !grid.classList.contains("stale")
    ? requestAnimationFrame(() => done(performance.now() - start))
    : performance.now() - start > 5000 ? done(null) : requestAnimationFrame(look);
  look();
})
"""
# Scrolls a little in every frame and notes the longest time that a tile in view waited for its
# row, without words or a picture.
SCROLL = """
new Promise(done => {
  const grid = document.querySelector("#grid"), box = grid.getBoundingClientRect();
  let left = STEPS, since = null, longest = 0;
  const frame = now => {
    const blank = [...grid.querySelectorAll(".tile.waits:not([hidden])")].some(e => {
      const at = e.getBoundingClientRect();
      return at.bottom > box.top && at.top < box.bottom;
    });
    if (blank) longest = Math.max(longest, now - (since ??= now));
    else since = null;
    if (left-- > 0) { grid.scrollTop += WAY; requestAnimationFrame(frame); }
    else if (since !== null && now - since < 20000) requestAnimationFrame(frame);
    else done(longest);
  };
  requestAnimationFrame(frame);
})
"""
WAYS = {"slowly": (200, 30), "a screen a frame": (40, 800)}  # frames, px in each


def run(quick: bool, runs: tuple[Path, ...] = ()) -> list[Figure]:
    """Of each run; without one, of runs that are made."""
    if runs:
        return [figure for path in runs for figure in _measure(path, quick)]
    from benchmarks.explorer.made_runs import make_run

    with tempfile.TemporaryDirectory() as name:
        sizes = (2_000,) if quick else tuple(GOALS)
        made = [make_run(Path(name) / str(images), images) for images in sizes]
        return [figure for path in made for figure in _measure(path, quick)]


def _measure(path: Path, quick: bool) -> Iterator[Figure]:
    rounds = [_open_and_use(path) for _ in range(2 if quick else ROUNDS)]
    images = rounds[0]["images"][0]
    found = {name: [value for turn in rounds for value in turn[name]] for name in rounds[0]}
    del found["images"]
    nearest = min(GOALS, key=lambda size: abs(size - images))
    limits = GOALS[nearest] | {f"ms of the longest blank, {way}": BLANK for way in WAYS}
    for name, values in found.items():
        limit = None if quick else limits.get(name)
        median, low, high = median_with_interval(values)
        goal = f"under {limit:g}" if limit is not None else ""
        holds = median < limit if limit is not None else None
        yield Figure(f"{images:,} images: {name}", median, low, high, goal, holds)
    for name, value in _remembered(path, 0.2 if quick else MINUTES):
        yield Figure(f"{images:,} images: {name}", value)
    yield Figure(f"{images:,} images: load of the machine", max(0.01, os.getloadavg()[1]))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[OpenExplorer, Browser]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "chromium").mkdir()
        with start_chromium(folder / "chromium") as browser, open_explorer(folder, path) as opened:
            yield opened, browser


def _open_and_use(path: Path) -> dict[str, list[float]]:
    found = _use_first(path)
    table = RunFolder.at(path).image_table
    if found["images"][0] >= LARGE:
        assert table.is_file()
        with tempfile.TemporaryDirectory() as name, open_explorer(Path(name), path) as opened:
            found |= {
                f"seconds {AGAIN}": [opened.seconds],
                f"CPU seconds {AGAIN}": [_spent(opened)],
            }
    return found


def _use_first(path: Path) -> dict[str, list[float]]:
    """The run as nobody has opened it before."""
    RunFolder.at(path).image_table.unlink(missing_ok=True)
    with _opened(path) as (opened, browser):
        spent = _spent(opened)
        start = time.perf_counter()
        browser.open(opened.address)
        browser.until("document.querySelector('.tile .picture.ready') !== null")
        first = time.perf_counter() - start
        paint = browser.value("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        browser.until("document.querySelectorAll('.value').length > 1")
        filters = [_filter(browser, place) for place in range(FILTERS) for _ in ("on", "off")]
        browser.open(opened.address)
        browser.until("document.querySelector('.tile .picture.ready') !== null")
        blanks = {
            f"ms of the longest blank, {name}": [_scroll(browser, *way)]
            for name, way in WAYS.items()
        }
        images = browser.value("document.querySelector('#count').textContent").split()[0]
    return {
        "images": [int(images.replace(",", ""))],
        f"seconds {ADDRESS}": [opened.seconds],
        f"CPU seconds {ADDRESS}": [spent],
        f"seconds {PAINT}": [paint / 1000],
        "seconds to the first picture": [first],
        f"seconds {FILTERED}": [it for it in filters if it is not None],
        **blanks,
    }


def _spent(opened: OpenExplorer) -> float:
    return float(sum(psutil.Process(opened.process.pid).cpu_times()[:2]))


def _filter(browser: Browser, place: int) -> float | None:
    """Seconds; None where the value is that of all images, or of none of the filter."""
    milliseconds: float | None = browser.value(FILTER.replace("PLACE", str(place)))
    return None if milliseconds is None else milliseconds / 1000


def _scroll(browser: Browser, steps: int, way: int) -> float:
    """At least a frame's part of a millisecond, for tables of positive numbers."""
    longest = browser.value(SCROLL.replace("STEPS", str(steps)).replace("WAY", str(way)))
    return max(1.0, float(longest))


def _remembered(path: Path, minutes: float) -> Iterator[tuple[str, float]]:
    """Resident memory of the server and of the page: whether it goes on growing shows in the last
    half, when what is kept for later is full."""
    with _opened(path) as (opened, browser):
        browser.call("Browser.setDownloadBehavior", behavior="deny")
        browser.open(opened.address)
        use = RandomUse(browser, opened.address, SEED)
        start, steps = time.monotonic(), 0
        for part in MOMENTS:
            while time.monotonic() - start < 60 * minutes * part:
                use.step()
                steps += 1
                browser.events.clear()
            for name, value in _memory(opened, browser).items():
                yield f"{name} after {minutes * part:g} minutes", value
        complaints = opened.complaints()
        assert not complaints, complaints
    yield f"random steps in {minutes:g} minutes", steps


def _memory(opened: OpenExplorer, browser: Browser) -> dict[str, float]:
    browser.call("HeapProfiler.collectGarbage")
    heap = browser.call("Runtime.getHeapUsage")["usedSize"]
    server = psutil.Process(opened.process.pid).memory_info().rss
    nodes = browser.value("document.querySelectorAll('*').length")
    return {
        "MB of the server": server / 1e6,
        "MB of the page's heap": heap / 1e6,
        "elements of the page": nodes,
    }


def main() -> None:
    parser = make_parser(__doc__, "python -m benchmarks.explorer.browser")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    arguments = parser.parse_args()
    print_figures(run(arguments.quick, tuple(arguments.runs)), arguments)


if __name__ == "__main__":
    main()
