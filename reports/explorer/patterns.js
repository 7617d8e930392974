// What discovery found: a card for each pattern, with its images a click away.

import { make } from "./dom.js";
import { setValues } from "./filters.js";
import { PictureStack } from "./picture_stack.js";
import { change } from "./state.js";
import { countOf, points, visible } from "./words.js";

/** @param {HTMLElement} element @param {Object[]} patterns what api/patterns says */
export function buildPatterns(element, patterns) {
  const intro = "A pattern is a recurring background that moves predictions towards a class. Confirmed ones were tried: their backgrounds were put behind other images. The conditions above do not apply here.";
  element.append(make("p", { class: "lead" }, intro), ...patterns.map(card));
}

function card({ id, name, verdict, sentence, pulls_to: pullsTo, images, effect, exemplars }) {
  const show = () => change({ conditions: setValues([], "patterns", [id]), tab: "grid", at: 0 });
  const facts = [
    ["pulls to", visible(pullsTo ?? "–")],
    ["images", countOf(images, "image")],
    ["effect", effect ? `${points(effect.value)} points (${points(effect.low)} to ${points(effect.high)})` : "not measured"],
  ];
  const pairs = facts.map(([title, words]) => make("div", {}, make("dt", {}, title), make("dd", {}, words)));
  return make("article", { class: "pattern" },
    make("h2", {}, `${visible(id)} ${visible(name)} `, make("small", { class: "verdict" }, visible(verdict))),
    make("p", { class: "sentence" }, visible(sentence)),
    make("dl", { class: "facts" }, ...pairs),
    make("ul", { class: "exemplars" }, ...exemplars.map(exemplar)),
    make("button", { type: "button", class: "quiet-button", onclick: show }, "Show its images"));
}

function exemplar(rowId) {
  const stack = new PictureStack();
  stack.show({ rowId });
  return make("li", {}, make("button", { type: "button", class: "card", "aria-label": `Open ${visible(rowId)}`, title: visible(rowId), onclick: () => change({ open: rowId }) }, stack.element));
}
