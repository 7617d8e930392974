// The view: all that the address says. Every part reads it here and changes it here; the
// address follows, so that a link, back and forward always show the same.

import { isCondition } from "./filters.js";

/**
 * @typedef {Object} View
 * @property {import("./filters.js").Condition[]} conditions
 * @property {string|null} sort a column; null is the catalog's order
 * @property {"asc"|"desc"} order
 * @property {string} tab
 * @property {string|null} open row_id of the image in the panel
 * @property {number} at place in the selection
 * @property {boolean} map
 * @property {string|null} method null is the run's main one
 * @property {number} opacity percent
 * @property {boolean} outline
 * @property {number} size px
 * @property {string} space of the plot
 * @property {string} colour column of the plot
 */

/** @type {View} */
const START = {
  conditions: [], sort: null, order: "desc", tab: "grid", open: null, at: 0, map: true, method: null,
  opacity: 70, outline: false, size: 148, space: "object", colour: "flag",
};
const LIMITS = { opacity: [0, 100], size: [72, 320], at: [0, Number.MAX_SAFE_INTEGER] };

/** @type {View} */
let view = read(location.hash);
/** @type {((view: View, before: View) => void)[]} */
const listeners = [];

export function current() {
  return view;
}

/** Calls `listener` now and after every change. */
export function watch(listener) {
  listeners.push(listener);
  listener(view, START);
}

/**
 * @param {Partial<View>} patch
 * @param {boolean} step whether back should return to what was before
 */
export function change(patch, step = true) {
  const next = { ...view, ...patch };
  const address = write(next);
  if (address === write(view)) return;
  history[step ? "pushState" : "replaceState"](null, "", address || location.pathname);
  tell(next);
}

/** Another filter: the selection is seen from its start. */
export function filterBy(conditions, step = true) {
  change({ conditions, at: 0 }, step);
}

/** The view of a link that a colleague sent, whose address has another port and token. */
export function visit(link) {
  const { hash } = new URL(link);
  history.pushState(null, "", hash || location.pathname);
  tell(read(hash));
}

addEventListener("popstate", () => tell(read(location.hash)));

function tell(next) {
  const before = view;
  view = next;
  // The same conditions are the same object: nothing is asked again for them.
  if (JSON.stringify(view.conditions) === JSON.stringify(before.conditions)) view.conditions = before.conditions;
  for (const listener of listeners) listener(view, before);
}

/** @param {View} of */
function write(of) {
  const words = new URLSearchParams();
  for (const [name, start] of Object.entries(START)) {
    const value = of[name];
    if (name === "conditions") {
      if (value.length) words.set("filter", JSON.stringify(value));
    } else if (value !== start) words.set(name, value === true ? "1" : value === false ? "0" : String(value));
  }
  const text = words.toString();
  return text && `#${text}`;
}

/** @returns {View} */
function read(hash) {
  const words = new URLSearchParams(hash.slice(1));
  const found = { ...START };
  for (const [name, start] of Object.entries(START)) {
    const text = words.get(name);
    if (text === null) continue;
    if (typeof start === "boolean") found[name] = text === "1";
    else if (typeof start === "number") found[name] = limited(name, Number(text), start);
    else found[name] = text;
  }
  found.conditions = readConditions(words.get("filter"));
  if (found.order !== "asc") found.order = "desc";
  return found;
}

function limited(name, number, start) {
  const [low, high] = LIMITS[name];
  return Number.isFinite(number) ? Math.min(high, Math.max(low, Math.round(number))) : start;
}

function readConditions(text) {
  try {
    return (JSON.parse(text ?? "[]") ?? []).filter(isCondition);
  } catch {
    return []; // cut off in an e-mail: the page without a filter is better than none
  }
}
