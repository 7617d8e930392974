// One tile of the grid. Tiles are used again while scrolling: `show` writes what differs.

import { make, setText } from "./dom.js";
import { PictureStack } from "./picture_stack.js";
import { columnTitle, flagShape, flagShort, flagWords, rowWords, valueWords, visible, whole } from "./words.js";

export class Tile {
  index = -1;
  row = undefined;
  #stack = new PictureStack();
  #sentence = make("span", { class: "hidden" });
  #flag = make("span", { class: "flag", "aria-hidden": "true" });
  #first = make("span", { class: "first" });
  #second = make("span", { class: "second" });

  constructor() {
    const words = make("span", { class: "words", "aria-hidden": "true" }, this.#first, this.#second);
    this.element = make("div", { class: "tile", role: "option", tabIndex: -1 }, this.#stack.element, this.#sentence, this.#flag, words);
    this.element.tile = this;
  }

  /** @param {number} x @param {number} y px from the start of the drawn grid */
  move(x, y) {
    const place = `translate(${x}px, ${y}px)`;
    if (this.element.style.transform !== place) this.element.style.transform = place;
  }

  /**
   * @param {number} index @param {Object|undefined} row undefined while it is fetched
   * @param {{total: number, sort: Object|null, method: string|null, outline: boolean, pictures: boolean}} how
   */
  show(index, row, how) {
    if (index !== this.index || how.total !== this.total) this.#place(index, how.total);
    if (row !== this.row || how.sort !== this.sort) this.#write(row, how.sort);
    if (!row) this.#stack.clear();
    else if (how.pictures) this.#stack.show({ rowId: row.row_id, method: how.method, outline: how.outline });
  }

  select(isCurrent, isOpen) {
    this.element.tabIndex = isCurrent ? 0 : -1;
    this.element.setAttribute("aria-selected", String(isOpen));
  }

  #place(index, total) {
    this.index = index;
    this.total = total;
    this.element.setAttribute("aria-posinset", index + 1);
    this.element.setAttribute("aria-setsize", total);
  }

  #write(row, sort) {
    if (row?.row_id !== this.row?.row_id) this.#stack.clear();
    this.row = row;
    this.sort = sort;
    this.element.classList.toggle("waits", !row);
    this.#flag.className = `flag ${row?.flag ?? "none"}`;
    this.#flag.title = row ? flagWords(row.flag) : "";
    setText(this.#flag, row ? `${flagShape(row.flag)} ${flagShort(row.flag)}` : "");
    setText(this.#first, row ? firstLine(row) : `image ${whole(this.index + 1)}`);
    setText(this.#second, row ? secondLine(row, sort) : "");
    setText(this.#sentence, row ? rowWords(row) : `image ${whole(this.index + 1)} is on its way`);
  }
}

function firstLine(row) {
  if (row.prediction === null) return row.failed?.length ? `failed: ${row.failed.map(visible).join(", ")}` : "no prediction";
  if (row.correct === false) return `✗ ${visible(row.prediction)}, not ${visible(row.label)}`;
  return `${row.correct ? "✓ " : ""}${visible(row.prediction)}`;
}

function secondLine(row, sort) {
  if (sort && "value" in row) return `${columnTitle(sort)} ${valueWords(sort.name, row.value)}`;
  if (row.change?.length) return row.change.map(visible).join(", ");
  return visible(row.row_id);
}
