"""Using the explorer's page at random: clicks, keys, drags, scrolls, back and forward."""

from __future__ import annotations

import random

from benchmarks.chromium import ARROWS, Browser, Point

KEYS = (
    *(*ARROWS, "PageUp", "PageDown", "Home", "End", "Enter", "Escape", "Tab", "Backspace"),
    *("j", "k", "m", "o", "g", "/", "?", " ", "a", "1"),
)
WORDS = ("00", "an", "0.3", "7", "night", "%_'\"<b>")
SIZE = (1280, 900)
FARTHEST = 60  # px of a step of a drag
# A choice of a list cannot be clicked in a browser without a screen: it is set instead.
PICK = """
((which, choice) => {
  const clickable = "button, select, input, summary, a[href], .tile, .histogram, .lasso-room";
  const seen = [...document.querySelectorAll(clickable)].filter(e => e.checkVisibility());
  const picked = seen[Math.floor(which * seen.length)];
  if (!picked) return null;
  picked.scrollIntoView({ block: "nearest" });
  if (picked.tagName === "SELECT") {
    picked.selectedIndex = Math.floor(choice * picked.options.length);
    picked.dispatchEvent(new Event("change"));
    return null;
  }
  const box = picked.getBoundingClientRect();
  const types = picked.matches("input:not([type=range])");
  return [box.left + choice * box.width, box.top + box.height / 2, types];
})
"""


class RandomUse:
    """The same steps for the same seed, where the page answers equally fast."""

    def __init__(self, browser: Browser, address: str, seed: int) -> None:
        self.browser = browser
        self.address = address
        self.random = random.Random(seed)

    def step(self) -> None:
        acts = (self._click, self._press, self._scroll, self._drag, self._travel)
        (act,) = self.random.choices(acts, weights=(50, 25, 10, 7, 8))
        act()

    def _click(self) -> None:
        found = self.browser.value(f"{PICK}({self.random.random()}, {self.random.random()})")
        if found is None:
            return
        left, top, types = found
        self.browser.drag((left, top))
        if types:
            self.browser.call("Input.insertText", text=self.random.choice(WORDS))
            self.browser.press("Enter")

    def _press(self) -> None:
        self.browser.press(self.random.choice(KEYS), shift=self.random.random() < 0.2)

    def _scroll(self) -> None:
        self.browser.scroll(self._point(), self.random.randint(-3000, 3000))

    def _drag(self) -> None:
        points = [self._point()]
        for _ in range(6):
            way = [self.random.randint(-FARTHEST, FARTHEST) for _ in SIZE]
            points.append((points[-1][0] + way[0], points[-1][1] + way[1]))
        self.browser.drag(*points)

    def _travel(self) -> None:
        """Back or forward, as far as the history is the page's."""
        history = self.browser.call("Page.getNavigationHistory")
        place = history["currentIndex"] + self.random.choice((-1, 1))
        entries = history["entries"]
        if 0 <= place < len(entries) and entries[place]["url"].startswith(self.address):
            self.browser.call("Page.navigateToHistoryEntry", entryId=entries[place]["id"])

    def _point(self) -> Point:
        return (self.random.uniform(0, SIZE[0]), self.random.uniform(0, SIZE[1]))
