// What the plot's colours mean; a colour of a category chooses its images.

import { make } from "./dom.js";
import { isMissing, paletteOf } from "./plot_picture.js";
import { columnTitle, valueWords, visible } from "./words.js";

/** @param {HTMLElement} place @param {Object} answer of api/plot @param {Object} column @param {(name: string|null) => void} choose */
export function buildLegend(place, { colours, density }, column, choose) {
  const title = make("h2", {}, density ? "images at a place" : columnTitle(column));
  if (density) return void place.replaceChildren(title, make("p", { class: "quiet" }, "from few, pale, to many, dark"));
  const palette = paletteOf(colours, column);
  place.replaceChildren(title, ...colours.map((name, number) => item(name, palette[number], column, choose)));
}

function item(name, colour, column, choose) {
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = colour;
  const value = isMissing(name) ? null : name;
  const words = column.kind === "number" ? visible(name ?? "missing") : valueWords(column.name, value);
  const children = [swatch, make("span", { class: "name" }, words)];
  if (column.kind === "number" || name === "other") return make("span", { class: "entry" }, ...children);
  return make("button", { type: "button", class: "entry", title: "Choose these images", onclick: () => choose(value) }, ...children);
}
