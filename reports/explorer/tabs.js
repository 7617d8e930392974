// Grid, plot, patterns, scenarios, and what changed between two runs.

import { byId, make } from "./dom.js";
import { change, current, watch } from "./state.js";

const TITLES = { grid: "Grid", plot: "Plot", patterns: "Patterns", scenarios: "Scenarios", changes: "Changes" };

/** @param {HTMLElement} place @param {string[]} names */
export function buildTabs(place, names) {
  const tabs = names.map((name) => make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `view-${name}`, onclick: () => change({ tab: name }) }, TITLES[name]));
  place.append(...tabs);
  place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (names.indexOf(selected(names)) + step + names.length) % names.length;
    change({ tab: names[next] });
    tabs[next].focus();
  });
  watch(() => {
    const name = selected(names);
    names.forEach((one, number) => {
      tabs[number].setAttribute("aria-selected", String(one === name));
      tabs[number].tabIndex = one === name ? 0 : -1;
      byId(`view-${one}`).hidden = one !== name;
    });
  });
}

/** An address may name a tab that this run does not have. */
function selected(names) {
  return names.includes(current().tab) ? current().tab : names[0];
}
