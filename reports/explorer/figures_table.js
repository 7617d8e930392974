// Figures with their intervals, for scenarios and for two runs.

import { make } from "./dom.js";
import { percent, points, visible, whole } from "./words.js";

const DIFFERENCES = ["excess"]; // measured in points; the other figures are shares

/** `82.1%` with its interval below. */
export function figureCell(figure, isChange = false) {
  const why = visible(figure?.sentence ?? "");
  if (!figure || figure.value === null) return make("td", { class: "n missing", title: why }, "–");
  const show = isChange || DIFFERENCES.includes(figure.figure) ? points : percent;
  const interval = figure.low === null ? "no interval" : `${show(figure.low)} to ${show(figure.high)}`;
  return make("td", { class: "n", title: why }, show(figure.value), make("small", {}, interval));
}

/** A column's head: the figure's name, and what it means. */
export function figureHead({ figure, words }) {
  const unit = DIFFERENCES.includes(figure) ? ", points" : "";
  return make("th", { scope: "col", class: "n", title: visible(words) }, visible(figure).replaceAll("_", " ") + unit);
}

export function imagesCell(figures) {
  return make("td", { class: "n" }, figures.length ? whole(Math.max(...figures.map(({ images }) => images))) : "–");
}
