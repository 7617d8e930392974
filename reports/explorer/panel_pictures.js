// The panel's pictures: the image with its map, all methods, every changed picture, neighbours.

import { make, setText } from "./dom.js";
import { PictureStack } from "./picture_stack.js";
import { change, current } from "./state.js";
import { digits, percent, visible } from "./words.js";

/** The large picture; with a run before, a slider uncovers its map from the left. */
export function pictureSection(image, run) {
  const now = new PictureStack();
  const compared = run.compared && image.before;
  const before = compared ? new PictureStack() : null;
  const frame = make("div", { class: "large" }, now.element, before?.element);
  const toggle = (name, key, part) => make("button", { type: "button", class: "switch", title: `key ${key}`, "aria-keyshortcuts": key, onclick: () => change({ [part]: !current()[part] }) }, name);
  const [map, outline] = [toggle("Map", "m", "map"), toggle("Outline", "o", "outline")];
  const method = make("span", { class: "quiet" });
  const scale = make("span", { class: "scale", role: "img", "aria-label": "Heat, from weak to strong", title: "weak to strong" });
  const tools = make("div", { class: "tools" }, run.methods.length ? map : null, outline, method, run.methods.length ? scale : null);
  const update = () => {
    const view = current();
    const shown = { rowId: image.row_id, size: "full", method: view.map ? (view.method ?? run.main_method) : null, outline: view.outline };
    now.show(shown);
    before?.show({ ...shown, run: "before" });
    map.setAttribute("aria-pressed", String(view.map));
    outline.setAttribute("aria-pressed", String(view.outline));
    setText(method, view.map ? visible(view.method ?? run.main_method ?? "") : "");
  };
  update();
  const element = make("section", { class: "picture-section", "aria-label": "Picture" }, frame, before ? uncover(frame, before.element) : null, tools);
  return { element, update };
}

/** Before on the left of the line, now on its right. */
function uncover(frame, before) {
  before.classList.add("before");
  const line = make("span", { class: "divider", "aria-hidden": "true" });
  frame.append(line);
  const slider = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "How much of the run before is uncovered" });
  const set = () => frame.style.setProperty("--uncovered", `${slider.value}%`);
  slider.addEventListener("input", set);
  set();
  return make("div", { class: "uncover" }, make("span", {}, "before"), slider, make("span", {}, "now"));
}

/** All methods in a row; a click lays that one over the large picture and over the grid. */
export function mapSection(image) {
  if (!image.maps?.length) return null;
  const items = image.maps.map(({ method, words, lift, share }) => {
    const stack = new PictureStack();
    stack.show({ rowId: image.row_id, method });
    const numbers = make("small", {}, lift === null ? visible(words ?? "") : `lift ${digits(lift)}`, share === null ? "" : ` · ${percent(share)} inside`);
    return make("li", {}, make("button", { type: "button", class: "card", title: visible(words ?? ""), onclick: () => change({ method, map: true }) }, stack.element, make("span", { class: "name" }, visible(method)), numbers));
  });
  return section("Maps", make("ul", { class: "cards" }, ...items));
}

/** What was changed in the picture, and what the model said then. */
export function changeSection(image) {
  if (!image.changes?.length) return null;
  return section("What the model says when the picture changes", make("ul", { class: "cards" }, ...image.changes.map((one) => changeCard(image, one))));
}

function changeCard(image, changed) {
  const { kind, slot, prediction, probability } = changed;
  const stack = new PictureStack();
  stack.show({ rowId: image.row_id, kind, slot });
  const flips = prediction !== null && prediction !== image.prediction;
  const answer = make("span", { class: flips ? "name flips" : "name" }, flips ? "⇄ " : "= ", visible(prediction ?? "no prediction"));
  // The probability is that of the class which the untouched picture was given.
  const kept = make("small", {}, probability === null ? "" : `${percent(probability)} ${visible(image.prediction)}`);
  const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("span", {}));
  meter.firstChild.style.width = `${100 * (probability ?? 0)}%`;
  return make("li", { class: "card" }, stack.element, answer, meter, kept, answerBefore(image.before, changed), changeWords(changed));
}

/** What the other run's model said of the same change. */
function answerBefore(before, { kind, slot, donor }) {
  const same = before?.changes?.find((one) => one.kind === kind && one.slot === slot && one.donor === donor);
  return same ? make("small", {}, `before: ${visible(same.prediction ?? "no prediction")}, ${percent(same.probability)} ${visible(before.prediction ?? "")}`) : null;
}

/** How the picture was changed; the donor of a background is a door to it. */
function changeWords({ words, donor, donor_label: label, same_class: same }) {
  if (!donor) return make("small", {}, visible(words));
  const door = make("button", { type: "button", class: "link name", title: visible(donor), onclick: () => change({ open: donor }) }, visible(label ?? donor));
  return make("small", {}, "on the background of ", door, same ? ", same class" : "");
}

/** The images most alike by the model's features; a click goes there. */
export function neighbourSection(image) {
  const spaces = Object.entries(image.neighbours ?? {}).filter(([, near]) => near.length);
  if (!spaces.length) return null;
  const rows = spaces.flatMap(([space, near]) => [
    make("h4", {}, { object: "by the object", background: "by the background", whole: "by the whole picture" }[space] ?? visible(space)),
    make("ul", { class: "neighbours" }, ...near.map(neighbour)),
  ]);
  return section("Nearest images", ...rows);
}

function neighbour({ row_id: rowId, distance }) {
  const stack = new PictureStack();
  stack.show({ rowId });
  const label = `Open ${visible(rowId)}, distance ${digits(distance)}`;
  return make("li", {}, make("button", { type: "button", class: "card", "aria-label": label, title: label, onclick: () => change({ open: rowId }) }, stack.element));
}

function section(title, ...children) {
  return make("section", {}, make("h3", {}, title), ...children);
}
