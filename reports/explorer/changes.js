// Two runs: what broke and what was fixed as doors to the grid, and the figures side by side.

import { Latest } from "./api.js";
import { make } from "./dom.js";
import { figureCell, figureHead } from "./figures_table.js";
import { filterText, setValues } from "./filters.js";
import { change, current, watch } from "./state.js";
import { visible, whole } from "./words.js";

const CHANGES = { broken: "right before, wrong now", fixed: "wrong before, right now", "newly flagged": "rests on the background only now", "no longer flagged": "rested on the background only before" };

export class Changes {
  #doors = make("ul", { class: "doors" });
  #reasons = make("div");
  #table = make("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": "Figures of both runs" });
  #counts = new Latest();
  #figures = new Latest();
  #asked = null;

  /** @param {HTMLElement} element @param {Object} run */
  constructor(element, run) {
    const [now, before] = run.runs;
    element.append(
      make("p", { class: "lead" }, `Now is ${visible(now.name)}, before is ${visible(before.name)}; both with the conditions above.`),
      this.#doors,
      make("h2", {}, "The same images in both runs"),
      this.#table,
      this.#reasons,
    );
    watch((view) => {
      if (view.tab === "changes" && this.#asked !== view.conditions) this.#ask(view.conditions);
    });
  }

  async #ask(conditions) {
    this.#asked = conditions;
    const filter = filterText(conditions);
    const [counts, figures] = await Promise.all([this.#counts.get("api/facets", { filter, columns: ["change"] }), this.#figures.get("api/figures", { filter })]);
    if (this.#asked !== conditions) return;
    if (counts) this.#doors.replaceChildren(...Object.keys(CHANGES).map((name) => this.#door(name, counts.facets.change.values)));
    if (!figures) return;
    this.#table.replaceChildren(drawTable(figures));
    this.#reasons.replaceChildren(...missing(figures.change ?? []).map((reason) => make("p", { class: "lead" }, `No change is computed: ${visible(reason)}`)));
  }

  #door(name, values) {
    const count = values.find(({ value }) => value === name)?.count ?? 0;
    const show = () => change({ conditions: setValues(current().conditions, "change", [name]), tab: "grid", at: 0 });
    return make("li", {}, make("button", { type: "button", class: "door", onclick: show }, make("span", { class: "figure" }, whole(count)), make("b", {}, name), make("small", {}, CHANGES[name])));
  }
}

/** Why figures are missing, each reason once. */
function missing(figures) {
  return [...new Set(figures.filter(({ value }) => value === null).map(({ sentence }) => sentence))];
}

function drawTable(figures) {
  const rows = ["before", "now", "change"].filter((side) => figures[side]).map((side) => {
    const cells = figures.now.map(({ figure }) => figureCell(figures[side].find((one) => one.figure === figure), side === "change"));
    return make("tr", {}, make("th", { scope: "row" }, side === "change" ? "change, points" : side), ...cells);
  });
  return make("table", { class: "figures" }, make("thead", {}, make("tr", {}, make("td", {}), ...figures.now.map(figureHead))), make("tbody", {}, ...rows));
}
