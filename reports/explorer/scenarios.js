// Scenarios: filters with a name, each a row of figures, below all images and the filter of now.

import { Latest, report, send } from "./api.js";
import { say } from "./copy.js";
import { make } from "./dom.js";
import { figureCell, figureHead, imagesCell } from "./figures_table.js";
import { describe, filterText } from "./filters.js";
import { change, current, watch } from "./state.js";
import { visible } from "./words.js";

export class Scenarios {
  #run;
  #saved = [];
  #now = null;
  #all = null;
  #asked = null;
  #others = null; // the question for them
  #figures = new Latest();
  #list = new Latest();
  #everything = new Latest();
  #name = make("input", { type: "text", id: "scenario-name", maxLength: 80, required: true, placeholder: "night, snow", autocomplete: "off" });
  #table = make("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": "Figures of the scenarios" });
  #words = make("p", { class: "quiet" });

  /** @param {HTMLElement} element @param {Object} run */
  constructor(element, run) {
    this.#run = run;
    const form = make("form", { class: "save" }, make("label", { for: "scenario-name" }, "Keep the filter as"), this.#name, make("button", { class: "quiet-button" }, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save(this.#name.value.trim());
    });
    element.append(
      make("p", { class: "lead" }, "How right, how often flagged and how easily changed the chosen images are, with 95% intervals. A filter that is kept under a name is a scenario: ", make("code", {}, "sightline show --scenarios"), " prints it, and a policy of the gate may limit it."),
      form, this.#words, this.#table,
    );
    watch((view) => {
      if (view.tab === "scenarios") this.#follow(view);
    });
  }

  async #follow({ conditions }) {
    this.#words.textContent = conditions.length ? conditions.map((one) => describe(one, this.#run.columnsByName)).join("; ") : "The filter is empty: choose some images to keep them under a name.";
    if (this.#asked === conditions) return;
    this.#asked = conditions;
    this.#table.setAttribute("aria-busy", "true");
    this.#others ??= this.#askOthers();
    const [now] = await Promise.all([this.#figures.get("api/figures", { filter: filterText(conditions) }), this.#others]);
    if (this.#asked !== conditions) return;
    this.#table.setAttribute("aria-busy", "false");
    this.#now = now ?? this.#now;
    this.#draw();
  }

  /** The rows that do not depend on the filter: asked once, whatever the filter is when they come. */
  async #askOthers() {
    const [saved, all] = await Promise.all([this.#list.get("api/scenarios"), this.#everything.get("api/figures")]);
    this.#saved = saved ?? this.#saved;
    this.#all = all ?? this.#all;
    if (!saved || !all) this.#others = null; // asked again with the next filter
  }

  async #save(name) {
    if (name && (await this.#change("POST", {}, { name, filter: { conditions: current().conditions } }))) {
      this.#name.value = "";
      say(`Saved ${name}`);
    }
  }

  async #delete(name) {
    if (await this.#change("DELETE", { name })) say(`Deleted ${name}`);
  }

  async #change(method, parameters, body) {
    try {
      await send(method, "api/scenarios", parameters, body);
    } catch (error) {
      report(error);
      return false;
    }
    this.#saved = (await this.#list.get("api/scenarios")) ?? this.#saved;
    this.#draw();
    return true;
  }

  #draw() {
    const figures = this.#now?.now ?? this.#saved[0]?.figures.now ?? [];
    const sides = this.#run.compared ? ["before", "now", "change"] : ["now"];
    const head = [make("th", { scope: "col" }, "scenario"), this.#run.compared ? make("th", { scope: "col" }, "run") : null, make("th", { scope: "col", class: "n" }, "images"), ...figures.map(figureHead), make("td", {})];
    const asked = current().conditions.length ? [{ title: "this filter", figures: this.#now ?? {} }] : [];
    const rows = [{ title: "all images", figures: this.#all ?? {} }, ...asked, ...this.#saved].flatMap((one) => this.#rows(one, sides));
    this.#table.replaceChildren(make("table", { class: "figures" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
  }

  #rows({ title, name, filter, figures }, sides) {
    return sides.map((side, place) => {
      const found = figures[side] ?? [];
      const head = place ? make("td", {}) : make("th", { scope: "row", class: "name" }, title ? make("i", {}, title) : visible(name));
      const run = this.#run.compared ? make("td", { class: "quiet" }, side === "change" ? "change, points" : side) : null;
      const names = (this.#now?.now ?? found).map(({ figure }) => figure);
      const cells = names.map((one) => figureCell(found.find(({ figure }) => figure === one), side === "change"));
      return make("tr", { class: place ? "same" : "" }, head, run, imagesCell(found), ...cells, place || title ? make("td", {}) : this.#buttons(name, filter));
    });
  }

  #buttons(name, filter) {
    const apply = () => change({ conditions: filter.conditions, tab: "grid", at: 0 });
    return make("td", { class: "buttons" },
      make("button", { type: "button", class: "link", "aria-label": `Apply ${visible(name)}`, onclick: apply }, "Apply"),
      make("button", { type: "button", class: "link", "aria-label": `Delete ${visible(name)}`, onclick: () => this.#delete(name) }, "Delete"));
  }
}
