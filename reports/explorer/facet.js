// A column of few values: each with its count, chosen by a click.

import { Latest } from "./api.js";
import { debounce, make, setText } from "./dom.js";
import { filterText, find, toggleValue } from "./filters.js";
import { current, filterBy } from "./state.js";
import { countOf, valueWords, whole } from "./words.js";

const FEW = 8;
const KEPT = 300; // lines of values that were found by typing

export class Facet {
  #column;
  #values = [];
  #more = 0;
  #all = false;
  #found = null; // what the server found for the typed text
  #lines = new Map();
  #list = make("ul", { class: "values" });
  #search;
  #further;
  #latest = new Latest();

  constructor(column, title) {
    this.#column = column.name;
    this.#search = make("input", { type: "search", class: "find", placeholder: "Find a value", "aria-label": `Find a value of ${title}`, hidden: true });
    this.#search.addEventListener("input", debounce(120, () => this.#searchValues()));
    this.#further = make("button", { type: "button", class: "link", hidden: true, onclick: () => this.#showAll() });
    this.element = make("div", { class: "facet" }, this.#search, this.#list, this.#further);
    // Room for what will come, so that nothing below moves when it comes.
    this.element.style.minHeight = `${Math.min(FEW, column.distinct ?? 3) * 1.75}rem`;
  }

  /** @param {{values: {value: string|null, count: number}[], more: number}} counts */
  update({ values, more }) {
    this.#values = values;
    this.#more = more;
    this.#found = null;
    this.element.style.minHeight = "";
    this.#search.hidden = values.length <= FEW && !more;
    if (this.#search.value) this.#searchValues();
    else this.#draw();
  }

  #draw() {
    const text = this.#search.value.trim().toLowerCase();
    const chosen = find(current().conditions, "values", this.#column)?.values ?? [];
    const fitting = (this.#found ?? this.#values).filter(({ value }) => !text || this.#words(value).toLowerCase().includes(text));
    const shown = this.#all || text ? fitting : fitting.filter(({ value }, place) => place < FEW || chosen.includes(value));
    const most = Math.max(1, ...shown.map(({ count }) => count));
    const lines = shown.map((one) => this.#line(one, chosen.includes(one.value), most));
    if (lines.length !== this.#list.children.length || lines.some((line, place) => line !== this.#list.children[place])) this.#list.replaceChildren(...lines);
    setText(this.#further, this.#furtherWords(fitting.length - shown.length, text));
    this.#further.hidden = this.#further.textContent === "";
  }

  /** What the list leaves away. */
  #furtherWords(hidden, text) {
    if (hidden) return `${whole(hidden + this.#more)} more`;
    if (text || !this.#all || this.#values.length <= FEW) return "";
    return this.#more ? `fewer (${countOf(this.#more, "rarer value")} by typing)` : "fewer";
  }

  /** Lines are kept by value: a line that is clicked stays under the pointer and keeps the focus. */
  #line({ value, count }, isChosen, most) {
    const key = value === null ? "\u0000" : `=${value}`;
    if (this.#lines.size > KEPT) this.#lines.clear();
    let line = this.#lines.get(key);
    if (!line) {
      const name = make("span", { class: value === null ? "name missing" : "name", title: this.#words(value) }, this.#words(value));
      const bar = make("span", { class: "bar" });
      const number = make("span", { class: "n" });
      const toggle = () => filterBy(toggleValue(current().conditions, this.#column, value));
      const button = make("button", { type: "button", class: "value", onclick: toggle }, bar, name, number);
      line = make("li", {}, button);
      line.parts = { bar, number, button };
      this.#lines.set(key, line);
    }
    const { bar, number, button } = line.parts;
    bar.style.width = `${(100 * count) / most}%`;
    setText(number, whole(count));
    button.setAttribute("aria-pressed", String(isChosen));
    button.classList.toggle("none", count === 0);
    return line;
  }

  async #searchValues() {
    const text = this.#search.value.trim();
    this.#latest.stop(); // what it would find is not what stands there any more
    this.#found = null;
    this.#draw();
    if (!text || !this.#more) return;
    const query = { filter: filterText(current().conditions), columns: this.#column, find: text };
    const answer = await this.#latest.get("api/facets", query);
    if (!answer) return;
    this.#found = answer.facets[this.#column].values;
    this.#draw();
  }

  #showAll() {
    this.#all = !this.#all;
    this.#draw();
  }

  #words(value) {
    return valueWords(this.#column, value);
  }
}
