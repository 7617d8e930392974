// The panel's words and numbers: the verdict, how its score came about, patterns, failures, values.

import { copyButton } from "./copy.js";
import { make } from "./dom.js";
import { setValues } from "./filters.js";
import { change } from "./state.js";
import { columnTitle, digits, flagShape, flagWords, percent, valueWords, visible } from "./words.js";

export function verdictSection(image) {
  return make("section", { class: "verdict" }, verdict(image), image.before ? before(image) : null);
}

function verdict(image) {
  const right = image.correct === true ? "✓ right" : image.correct === false ? `✗ wrong, it is labelled ${visible(image.label)}` : "";
  const predicted = image.prediction === null ? "no prediction" : `${visible(image.prediction)}, ${percent(image.confidence)}`;
  return make("div", {},
    make("p", { class: "prediction" }, make("b", {}, predicted), " ", make("span", { class: image.correct === false ? "wrong" : "quiet" }, right)),
    make("p", {}, make("span", { class: `flag ${image.flag ?? "none"}` }, `${flagShape(image.flag)} ${flagWords(image.flag)}`), " ", make("span", { class: "why" }, visible(image.reason ?? ""))));
}

function before({ before: other }) {
  const right = other.correct === true ? ", right" : other.correct === false ? ", wrong" : "";
  const score = other.values?.score ?? null;
  return make("p", { class: "quiet" }, `In the run before: ${visible(other.prediction ?? "no prediction")}${right}, ${flagWords(other.flag)}${score === null ? "" : `, score ${digits(score)}`}.`);
}

export function formulaSection({ formula, before: other }) {
  if (!formula?.length) return null;
  const earlier = new Map((other?.formula ?? []).map(({ words, value }) => [stepName(words), value]));
  const rows = formula.map(({ words, value }) => make("tr", {}, make("th", { scope: "row" }, visible(words)), other ? number(earlier.get(stepName(words))) : null, number(value)));
  const head = other ? make("thead", {}, make("tr", {}, make("td", {}), make("th", { scope: "col", class: "n" }, "before"), make("th", { scope: "col", class: "n" }, "now"))) : null;
  return section("How the score came about", make("table", {}, head, make("tbody", {}, ...rows)));
}

/** The words of a step hold numbers of the run and of the image; without them, they are its name. */
function stepName(words) {
  return words.replaceAll(/\d[\d.,\s]*/g, "#");
}

export function patternSection({ patterns }) {
  if (!patterns?.length) return null;
  const show = (id) => change({ conditions: setValues([], "patterns", [id]), tab: "grid", at: 0 });
  const items = patterns.map(({ id, name, verdict: word }) => make("li", {}, make("button", { type: "button", class: "link", onclick: () => show(id) }, `${visible(id)} ${visible(name)}`), " ", make("small", {}, visible(word))));
  return section("Patterns", make("ul", { class: "plain" }, ...items));
}

export function failureSection({ failures }) {
  if (!failures?.length) return null;
  const items = failures.map(({ stage, message, remedy, kind }) => make("li", {}, make("b", {}, visible(stage)), make("small", {}, ` ${visible(kind ?? "")}`), make("p", {}, visible(message)), remedy ? make("p", { class: "remedy" }, visible(remedy)) : null));
  return section("What failed", make("ul", { class: "plain failures" }, ...items));
}

export function addressSection({ image }) {
  if (!image) return null;
  return section("Original", make("p", { class: "address" }, make("code", {}, visible(image)), copyButton("Copy", "the original's address", () => image)));
}

export function valueSection({ values, before: other }, run) {
  const rows = run.columns.filter(({ name }) => name in values && !(other && name.startsWith("before."))).map((column) => {
    const was = other?.values?.[column.name];
    return make("tr", {}, make("th", { scope: "row", title: visible(column.words ?? "") }, columnTitle(column)), other ? make("td", {}, was === undefined ? "" : valueWords(column.name, was)) : null, make("td", {}, valueWords(column.name, values[column.name])));
  });
  const head = other ? make("thead", {}, make("tr", {}, make("td", {}), make("th", { scope: "col" }, "before"), make("th", { scope: "col" }, "now"))) : null;
  return section("All values", make("table", { class: "all-values" }, head, make("tbody", {}, ...rows)));
}

function number(value) {
  return make("td", { class: "n" }, digits(value ?? null));
}

function section(title, ...children) {
  return make("section", {}, make("h3", {}, title), ...children);
}
