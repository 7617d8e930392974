// Keys that work everywhere on the page, and the list of them.

import { byId, make } from "./dom.js";
import { change, current } from "./state.js";

const HELP = [
  ["arrow keys, Page, Home, End", "move through the grid"],
  ["Enter", "open the image"],
  ["← → or k j", "previous and next image, while one is open"],
  ["Escape", "close"],
  ["/", "search"],
  ["m", "map on and off"],
  ["o", "outline of the foreground on and off"],
  ["g", "to the grid"],
  ["?", "this list"],
];

/** @param {import("./image_panel.js").ImagePanel} panel @param {import("./grid.js").Grid} grid */
export function listenToKeys(panel, grid) {
  const help = buildHelp();
  const actions = {
    "/": () => byId("search").focus(),
    m: () => change({ map: !current().map }, false),
    o: () => change({ outline: !current().outline }, false),
    g: () => grid.focus(),
    "?": () => help.showModal(),
  };
  const panelKeys = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
    if (event.key === "Escape") return void escape(event, panel);
    if (event.key === "Enter" && event.target === byId("search")) grid.focus();
    if (isTyping(event.target)) return;
    if (panel.isOpen && event.key in panelKeys) panel.step(panelKeys[event.key]);
    else if (event.key in actions) actions[event.key]();
    else return;
    event.preventDefault();
  });
}

function escape(event, panel) {
  if (isTyping(event.target)) event.target.blur();
  else if (document.body.classList.contains("with-filters")) byId("filters-button").click();
  else if (panel.isOpen) panel.close();
}

function isTyping(element) {
  return element.matches("input, select, textarea");
}

function buildHelp() {
  const help = byId("help");
  const lines = HELP.flatMap(([keys, words]) => [make("dt", {}, keys), make("dd", {}, words)]);
  help.append(
    make("h2", { id: "help-title" }, "Keys"),
    make("dl", {}, ...lines),
    make("p", { class: "quiet" }, "In a histogram, pale bars are all images and dark bars the selection, each to its own height. Drag over it, move its handles with the arrow keys, or type the ends."),
    make("p", { class: "quiet" }, "A link to a view, from a colleague with the same run, opens when it is pasted into the search box."),
    make("button", { type: "button", class: "quiet-button", onclick: () => help.close() }, "Close"),
  );
  byId("help-button").addEventListener("click", () => help.showModal());
  return help;
}
