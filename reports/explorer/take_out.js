// What leaves the page: the selection as a file, the question as SQL, the view as a link.

import { address, get } from "./api.js";
import { copyButton } from "./copy.js";
import { make } from "./dom.js";
import { question } from "./rows.js";
import { current, watch } from "./state.js";

/** @param {HTMLElement} place */
export function buildTakeOut(place) {
  const link = (format, name) => make("a", { class: "quiet-button", download: `selection.${format}`, title: "row ids, labels and addresses of the selection, for --data" }, name);
  const files = { csv: link("csv", "CSV"), parquet: link("parquet", "Parquet") };
  const menu = make("details", { class: "menu" },
    make("summary", {}, "Take out"),
    make("div", { class: "menu-items" }, files.csv, files.parquet, copyButton("Copy as SQL", "the question as SQL", askSql), copyButton("Copy link", "a link to this view", () => location.href)));
  place.append(menu);
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.firstElementChild.focus();
    event.stopPropagation();
  });
  watch((view) => {
    for (const [format, a] of Object.entries(files)) a.href = address("selection", { ...question(view), format });
  });
}

async function askSql() {
  const { sql } = await get("api/sql", question(current()));
  return sql;
}
