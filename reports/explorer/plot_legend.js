// What the plot's colours mean; a colour of a category chooses its images.

import { make } from "./dom.js";
import { OTHER } from "./plot_picture.js";
import { columnTitle, countOf, digits, valueWords } from "./words.js";

/**
 * @param {HTMLElement} place
 * @param {{values: (string|number|null)[], counts: number[], palette: string[]}|null} colours null for a density
 * @param {Object} column
 * @param {(value: string|null) => void} choose
 */
export function buildLegend(place, colours, column, choose) {
  if (!colours) return void place.replaceChildren(make("h2", {}, "images at a place"), make("p", { class: "quiet" }, "from few, pale, to many, strong"));
  const entries = column.kind === "number" ? scale(colours) : categories(colours, column, choose);
  place.replaceChildren(make("h2", {}, columnTitle(column)), ...entries);
}

/** Colours from low to high, each with the number that it starts at. */
function scale({ values, counts, palette }) {
  const starts = values.map((value, number) => [value, palette[number]]).filter(([value, colour], number) => value !== null && colour !== palette[number - 1]);
  const missing = counts.at(-1) ? [entry("missing", OTHER)] : [];
  return [...starts.map(([value, colour]) => entry(`from ${digits(value)}`, colour)), ...missing];
}

function categories({ values, counts, palette }, column, choose) {
  const places = values.map((_, number) => number).filter((number) => counts[number]);
  const named = places.filter((number) => palette[number] !== OTHER || values[number] === null || places.length < 14);
  const others = places.length - named.length;
  const items = named.map((number) => entry(valueWords(column.name, values[number]), palette[number], () => choose(values[number])));
  return [...items, ...(others ? [entry(countOf(others, "other value"), OTHER)] : [])];
}

function entry(words, colour, onclick) {
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = colour;
  const children = [swatch, make("span", { class: "name" }, words)];
  return onclick ? make("button", { type: "button", class: "entry", title: "Choose these images", onclick }, ...children) : make("span", { class: "entry" }, ...children);
}
