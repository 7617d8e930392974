// The grid of pictures: as many tiles as fit on the screen, whatever the number of images.

import { debounce, make } from "./dom.js";
import { LongScroll } from "./long_scroll.js";
import { change, current, watch } from "./state.js";
import { Tile } from "./tile.js";

const GAP = 12;
const WORDS = 42; // px below a picture
const MARGIN = 2; // rows above and below what is seen
const KEYS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: "up", ArrowDown: "down", PageUp: "pageUp", PageDown: "pageDown", Home: "first", End: "last" };

export class Grid {
  #run;
  #rows;
  #tiles = [];
  #spacer = make("div", { class: "spacer", role: "presentation" });
  #at = 0;
  #fast = false;
  #layout = { columns: 1, width: 100, height: 100 };
  #rest = debounce(90, () => this.#settle());

  /** @param {HTMLElement} element @param {import("./rows.js").Rows} rows @param {Object} run what api/run says */
  constructor(element, rows, run) {
    this.element = element;
    this.#rows = rows;
    this.#run = run;
    element.append(this.#spacer, make("p", { class: "empty", hidden: true }, "No image fulfils all conditions. Remove one above."));
    element.setAttribute("role", "listbox");
    element.setAttribute("aria-label", "Images of the selection");
    this.scroll = new LongScroll(element, this.#spacer, (step) => this.#moved(step));
    element.addEventListener("keydown", (event) => this.#press(event));
    element.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.draw()).observe(element);
    watch((view, before) => this.#follow(view, before));
  }

  /** Draws what is seen; called whenever rows, sizes or the position changed. */
  draw() {
    if (!this.element.clientWidth) return; // another tab is shown
    this.#measure();
    const { columns, height } = this.#layout;
    const { total } = this.#rows;
    this.scroll.resize(Math.ceil(total / columns) * height + GAP);
    const top = Math.floor(this.scroll.top / height) - MARGIN;
    const bottom = Math.ceil((this.scroll.top + this.element.clientHeight) / height) + MARGIN;
    const first = Math.max(0, top * columns);
    const last = Math.min(total, bottom * columns);
    const ahead = last - first; // a screen before and after: scrolling meets rows that are there
    if (!this.#fast || this.#rows.idle) this.#rows.want(Math.max(0, first - ahead), Math.min(total, last + ahead));
    this.#drawTiles(first, last);
    this.element.classList.toggle("stale", this.#rows.stale);
    this.element.setAttribute("aria-busy", String(this.#rows.stale));
    this.element.lastElementChild.hidden = total > 0 || this.#rows.stale;
  }

  /** Goes to an image of the selection by its place; opens it where the panel is open. */
  go(index, { focus = false, step = false } = {}) {
    const at = Math.max(0, Math.min(index, this.#rows.total - 1));
    this.#at = at;
    this.#bringIntoView(at);
    const row = this.#rows.at(at);
    change({ at, ...(current().open !== null && row ? { open: row.row_id } : {}) }, step);
    this.draw();
    if (focus) this.focus();
  }

  focus() {
    const tile = this.#tiles.find((one) => one.index === this.#at && !one.element.hidden);
    (tile?.element ?? this.element).focus({ preventScroll: true });
  }

  #measure() {
    const width = this.element.clientWidth - GAP;
    const columns = Math.max(1, Math.floor(width / (current().size + GAP)));
    const tile = Math.floor(width / columns) - GAP;
    if (columns !== this.#layout.columns || tile !== this.#layout.width) {
      const { top } = this.scroll;
      const keptRow = Math.floor((Math.round(top / this.#layout.height) * this.#layout.columns) / columns);
      this.#layout = { columns, width: tile, height: tile + WORDS + GAP };
      this.element.style.setProperty("--tile", `${tile}px`);
      this.element.classList.toggle("narrow-tiles", tile < 120);
      this.scroll.resize(Math.ceil(this.#rows.total / columns) * this.#layout.height + GAP);
      this.scroll.jump(keptRow * this.#layout.height);
    }
  }

  #drawTiles(first, last) {
    const view = current();
    const { columns, width, height } = this.#layout;
    const needed = Math.max(0, last - first);
    while (this.#tiles.length < needed) {
      this.#tiles.push(new Tile());
      this.#spacer.append(this.#tiles.at(-1).element);
    }
    const sort = view.sort ? (this.#run.columnsByName.get(view.sort) ?? null) : null;
    const how = {
      total: this.#rows.total, sort, method: view.map ? (view.method ?? this.#run.main_method) : null,
      outline: view.outline, pictures: !this.#fast,
    };
    const size = this.#tiles.length;
    const used = new Set();
    const above = Math.min(needed, Math.max(0, Math.floor(this.scroll.top / height) * columns - first));
    for (let place = 0; place < needed; place += 1) {
      const index = first + ((place + above) % needed); // what is seen asks for its pictures first
      const tile = this.#tiles[index % size]; // keeps its image while the window moves
      used.add(tile);
      tile.element.hidden = false;
      const y = Math.floor(index / columns) * height - this.scroll.offset;
      tile.move(GAP + (index % columns) * (width + GAP), GAP + y);
      tile.show(index, this.#rows.at(index), how);
      tile.select(index === this.#at, tile.row !== undefined && tile.row.row_id === view.open);
    }
    for (const tile of this.#tiles) if (!used.has(tile)) tile.element.hidden = true;
  }

  #moved(step) {
    if (step !== 0) {
      this.#fast = Math.abs(step) > 1.5 * this.element.clientHeight;
      this.#rest();
    }
    this.draw();
  }

  /** After a scroll: pictures of what is seen, and the tab stop on an image that is seen. */
  #settle() {
    this.#fast = false;
    const { columns, height } = this.#layout;
    const top = Math.ceil((this.scroll.top - height / 2) / height) * columns;
    const bottom = Math.floor((this.scroll.top + this.element.clientHeight) / height) * columns;
    if (this.#at < top || this.#at >= bottom) {
      const focused = this.element.contains(document.activeElement);
      this.#at = Math.max(0, Math.min(top, this.#rows.total - 1));
      if (current().open === null) change({ at: this.#at }, false);
      this.draw();
      if (focused) this.focus();
    } else this.draw();
  }

  #follow(view, before) {
    if (view.at !== this.#at && view.at !== before.at) {
      this.#at = view.at;
      if (this.#rows.total) this.#bringIntoView(view.at);
    }
    document.documentElement.style.setProperty("--opacity", view.opacity / 100);
    this.draw();
  }

  /** The first rows have come: to the place that the address says. */
  arrive() {
    this.#at = Math.max(0, Math.min(current().at, this.#rows.total - 1));
    this.draw();
    this.#bringIntoView(this.#at);
    this.draw();
  }

  #bringIntoView(index) {
    const { columns, height } = this.#layout;
    const y = Math.floor(index / columns) * height;
    const { top } = this.scroll;
    const room = this.element.clientHeight - height - GAP;
    if (y < top) this.scroll.jump(y);
    else if (y > top + room) this.scroll.jump(y - Math.max(0, room));
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") this.#open(this.#at);
    else if (event.key in KEYS) this.go(this.#target(KEYS[event.key]), { focus: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #target(move) {
    const { columns, height } = this.#layout;
    const page = columns * Math.max(1, Math.floor(this.element.clientHeight / height));
    const steps = { up: -columns, down: columns, pageUp: -page, pageDown: page, first: -Infinity, last: Infinity };
    return this.#at + (steps[move] ?? move);
  }

  #click(event) {
    const tile = event.target.closest(".tile")?.tile;
    if (tile) this.#open(tile.index);
  }

  #open(index) {
    const row = this.#rows.at(index);
    if (!row) return;
    this.#at = index;
    change({ open: row.row_id, at: index });
  }
}
