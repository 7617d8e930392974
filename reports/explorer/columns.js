// The left side: every column of the table, its values with counts or its histogram. Only what is
// unfolded and seen is asked for.

import { Latest } from "./api.js";
import { debounce, make } from "./dom.js";
import { Facet } from "./facet.js";
import { filterText, find, setText as setTextCondition, startsText } from "./filters.js";
import { Histogram } from "./histogram.js";
import { current, filterBy, watch } from "./state.js";
import { columnTitle } from "./words.js";

const UNFOLDED = ["change", "flag", "correct", "prediction", "patterns", "score", "kept", "lift", "confidence"];
const ORDER = ["change", "flag", "correct", "prediction", "label", "patterns", "foreground", "score", "null_score", "kept", "lift", "confidence", "area", "share", "failed"];
const USERS_UNFOLDED = 3; // of the user's own columns; the others are a click away

export class Columns {
  #widgets = new Map();
  #seen = new Set();
  #facets = new Latest();
  #histograms = new Latest();
  #refresh = debounce(20, () => this.#ask());
  #watcher;

  /** @param {HTMLElement} place @param {Object} run */
  constructor(place, run) {
    this.#watcher = new IntersectionObserver((entries) => this.#look(entries), { root: place, rootMargin: "300px" });
    const ours = run.columns.filter((column) => column.ours);
    const theirs = run.columns.filter((column) => !column.ours);
    const main = ORDER.map((name) => ours.find((column) => column.name === name)).filter(Boolean);
    const before = ours.filter(({ name }) => name.startsWith("before."));
    const others = ours.filter((column) => !main.includes(column) && !before.includes(column));
    const facets = theirs.filter(({ kind }) => kind === "category").slice(0, USERS_UNFOLDED).map(({ name }) => name);
    this.#group(place, "What the audit found", main, run, UNFOLDED);
    this.#group(place, "Your columns", theirs, run, facets);
    this.#group(place, "In the run before", before, run, []);
    this.#group(place, "More of each image", others, run, []);
    watch((view, old) => {
      if (view.conditions !== old.conditions) this.#follow();
    });
  }

  #group(place, title, columns, run, unfolded) {
    if (!columns.length) return;
    place.append(make("h2", { class: "group" }, title));
    for (const column of columns) place.append(this.#section(column, run, unfolded.includes(column.name)));
  }

  #section(column, run, unfolded) {
    const title = columnTitle(column);
    const id = `column-${this.#widgets.size}`;
    const widget = makeWidget(column, title, run);
    const mark = make("span", { class: "mark", "aria-hidden": "true" });
    const button = make("button", { type: "button", "aria-expanded": String(unfolded), "aria-controls": id }, make("span", { class: column.ours ? "" : "users" }, title), mark);
    const body = make("div", { class: "body", id, hidden: !unfolded }, column.words ? make("p", { class: "note" }, column.words) : null, widget.element);
    const section = make("section", { class: "column" }, make("h3", {}, button), body);
    const entry = { column, widget, button, body, mark };
    button.addEventListener("click", () => this.#unfold(entry, body.hidden));
    section.entry = entry;
    this.#widgets.set(column.name, entry);
    this.#watcher.observe(section);
    return section;
  }

  #unfold({ button, body }, open) {
    body.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    this.#refresh();
  }

  #look(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(target.entry);
      else this.#seen.delete(target.entry);
    }
    this.#refresh();
  }

  /** Another filter: the counts of what is seen, and a mark at every column that takes part. */
  #follow() {
    for (const entry of this.#widgets.values()) {
      entry.fresh = false;
      const active = ["values", "range", "text"].some((kind) => find(current().conditions, kind, entry.column.name));
      entry.mark.textContent = active ? "●" : "";
      if (active && entry.body.hidden) this.#unfold(entry, true);
      entry.widget.show?.();
    }
    this.#refresh();
  }

  async #ask() {
    const wanted = [...this.#seen].filter((entry) => !entry.body.hidden && !entry.fresh);
    const filter = filterText(current().conditions);
    const names = (kinds) => wanted.filter(({ column }) => kinds.includes(column.kind)).map(({ column }) => column.name);
    this.#take(this.#facets, "api/facets", "facets", names(["category", "list"]), filter);
    this.#take(this.#histograms, "api/histograms", "histograms", names(["number"]), filter);
  }

  async #take(latest, path, part, names, filter) {
    if (!names.length) return;
    const answer = await latest.get(path, { filter, columns: names });
    for (const [name, counts] of Object.entries(answer?.[part] ?? {})) {
      const entry = this.#widgets.get(name);
      entry.fresh = true;
      entry.widget.update(counts);
    }
  }
}

function makeWidget(column, title, run) {
  if (column.kind === "number") return new Histogram(column, title, column.name === "score" ? run.threshold : null);
  if (column.kind === "text") return textSearch(column, title);
  return new Facet(column, title);
}

/** A column of free text: what it should contain. */
function textSearch(column, title) {
  const input = make("input", { type: "search", class: "find", placeholder: "contains …", "aria-label": `${title} contains` });
  const set = () => {
    const { conditions } = current();
    filterBy(setTextCondition(conditions, column.name, input.value.trim()), startsText(conditions, column.name));
  };
  input.addEventListener("input", debounce(200, set));
  const show = () => {
    if (document.activeElement !== input) input.value = find(current().conditions, "text", column.name)?.text ?? "";
  };
  return { element: input, show, update: show };
}
