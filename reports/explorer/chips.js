// The active conditions in words, each with a button that takes it away.

import { make } from "./dom.js";
import { describe, without } from "./filters.js";
import { current, filterBy, watch } from "./state.js";
import { visible } from "./words.js";

/** @param {HTMLElement} place @param {Object} run */
export function buildChips(place, run) {
  watch((view, before) => {
    if (view.conditions === before.conditions && view.conditions.length) return;
    const chips = view.conditions.map((condition) => chip(condition, run.columnsByName));
    const all = make("button", { type: "button", class: "link", onclick: () => filterBy([]) }, "remove all");
    const nothing = make("span", { class: "quiet" }, `No condition: all images are shown. ${visible(run.headline ?? "")}`.trim());
    const focused = place.contains(document.activeElement);
    place.replaceChildren(...(chips.length ? chips : [nothing]), ...(chips.length > 1 ? [all] : []));
    if (focused) (place.querySelector("button") ?? document.getElementById("search")).focus();
  });
}

function chip(condition, columns) {
  const words = describe(condition, columns);
  const remove = () => filterBy(without(current().conditions, condition));
  const button = make("button", { type: "button", "aria-label": `Remove ${words}`, onclick: remove }, "×");
  return make("span", { class: "chip" }, make("span", { class: "name", title: words }, words), button);
}
