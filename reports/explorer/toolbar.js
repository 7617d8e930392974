// Above the grid: the order, the size of the pictures, and what lies over them.

import { make, setText } from "./dom.js";
import { change, watch } from "./state.js";
import { columnTitle } from "./words.js";

/** @param {HTMLElement} place @param {Object} run */
export function buildToolbar(place, run) {
  const sort = sortChoice(run);
  const order = make("button", { type: "button", class: "quiet-button", onclick: () => change({ order: order.value === "asc" ? "desc" : "asc", at: 0 }) });
  const size = slider("Size", 72, 320, (size) => change({ size }, false));
  const map = switchButton("Map", "m", (on) => change({ map: on }));
  const method = make("select", { "aria-label": "Method of the map", onchange: () => change({ method: method.value === run.main_method ? null : method.value }) });
  method.append(...run.methods.map((name) => make("option", { value: name }, name)));
  const opacity = slider("Opacity of the map", 0, 100, (opacity) => change({ opacity }, false));
  const outline = switchButton("Outline", "o", (on) => change({ outline: on }));
  place.append(
    make("span", { class: "tool" }, make("label", { for: "sort" }, "Sort"), sort, order),
    make("span", { class: "tool" }, make("span", { class: "tool-name" }, "Size"), size),
    make("span", { class: "tool" }, map, method, opacity),
    make("span", { class: "tool" }, outline),
  );
  if (!run.methods.length) map.parentElement.hidden = true;
  watch((view) => {
    sort.value = view.sort ?? "";
    order.value = view.order;
    order.disabled = view.sort === null;
    setText(order, view.order === "asc" ? "↑ low first" : "↓ high first");
    size.value = view.size;
    opacity.value = view.opacity;
    method.value = view.method ?? run.main_method ?? "";
    method.disabled = opacity.disabled = !view.map;
    map.setAttribute("aria-pressed", String(view.map));
    outline.setAttribute("aria-pressed", String(view.outline));
  });
}

/** A button that is on or off. */
function switchButton(name, key, set) {
  const button = make("button", { type: "button", class: "switch", "aria-pressed": "false", "aria-keyshortcuts": key, title: `key ${key}` }, name);
  button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
  return button;
}

/** Looks are no steps: back returns to what was asked, not to how large it was. */
function slider(name, min, max, set) {
  const input = make("input", { type: "range", min, max, "aria-label": name });
  input.addEventListener("input", () => set(Number(input.value)));
  return input;
}

function sortChoice(run) {
  const select = make("select", { id: "sort", onchange: () => change({ sort: select.value || null, at: 0 }) });
  const option = (column) => make("option", { value: column.name }, columnTitle(column));
  const ours = run.columns.filter((column) => column.ours);
  const theirs = run.columns.filter((column) => !column.ours);
  select.append(make("option", { value: "" }, "as in the catalog"), make("optgroup", { label: "What the audit found" }, ...ours.map(option)));
  if (theirs.length) select.append(make("optgroup", { label: "Your columns" }, ...theirs.map(option)));
  return select;
}
