// A column of numbers: all images in pale bars, the chosen ones in dark, and a range to brush.

import { make, makeSvg, setText } from "./dom.js";
import { find, setRange } from "./filters.js";
import { current, filterBy } from "./state.js";
import { countOf, digits } from "./words.js";

const WIDTH = 240;
const HEIGHT = 48;
const STEPS = 200; // places of a handle; finer ones are typed

export class Histogram {
  #column;
  #counts = null;
  #threshold;
  #all = makeSvg("path", { class: "all" });
  #chosen = makeSvg("path", { class: "chosen" });
  #brush = makeSvg("rect", { class: "brush", y: 0, height: HEIGHT });
  #line = makeSvg("line", { class: "threshold", y1: 0, y2: HEIGHT, visibility: "hidden" });
  #handles;
  #low;
  #high;
  #missing = make("p", { class: "note" });
  #dragged = null;
  #timer = 0;

  /** @param {Object} column @param {string} title @param {number|null} threshold drawn as a line */
  constructor(column, title, threshold) {
    this.#column = column.name;
    this.#threshold = threshold;
    const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.#all, this.#chosen, this.#brush, this.#line);
    this.#handles = ["low", "high"].map((side) => this.#handle(side, title));
    this.plot = make("div", { class: "histogram" }, svg, ...this.#handles);
    [this.#low, this.#high] = ["lowest", "highest"].map((side) => this.#input(side, title));
    const inputs = make("div", { class: "range" }, this.#low, make("span", { "aria-hidden": "true" }, "to"), this.#high);
    this.element = make("div", {}, this.plot, inputs, this.#missing);
    this.plot.addEventListener("pointerdown", (event) => this.#start(event));
    this.plot.addEventListener("pointermove", (event) => this.#drag(event));
    this.plot.addEventListener("pointerup", () => this.#end());
    this.plot.addEventListener("pointercancel", () => this.#end());
  }

  /** @param {{low: number|null, high: number|null, all: number[], chosen: number[], missing: number}} counts */
  update(counts) {
    setText(this.#missing, counts.missing ? `${countOf(counts.missing, "image")} without a value` : "");
    if (counts.low === null) return;
    this.#counts = counts;
    const most = Math.max(1, ...counts.all);
    const mostChosen = Math.max(1, ...counts.chosen);
    this.#all.setAttribute("d", bars(counts.all, most));
    // Relative to their own highest: 40 of 50,000 would not be seen, and it is their shape that is asked for.
    this.#chosen.setAttribute("d", bars(counts.chosen, mostChosen));
    this.show();
  }

  /** The range of the filter. */
  show() {
    if (!this.#counts || this.#dragged) return;
    const range = this.#range();
    this.#draw(range?.low ?? null, range?.high ?? null);
  }

  #draw(low, high) {
    const { low: start, high: end } = this.#counts;
    const x = [low ?? start, high ?? end].map((value) => this.#place(value));
    this.#brush.setAttribute("x", WIDTH * x[0]);
    this.#brush.setAttribute("width", Math.max(0, WIDTH * (x[1] - x[0])));
    this.#brush.classList.toggle("set", low !== null || high !== null);
    this.#handles.forEach((handle, side) => {
      const value = [low ?? start, high ?? end][side];
      handle.style.left = `${100 * x[side]}%`;
      handle.setAttribute("aria-valuemin", start);
      handle.setAttribute("aria-valuemax", end);
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", digits(value));
    });
    [this.#low, this.#high].forEach((input, side) => {
      if (document.activeElement !== input) input.value = [low, high][side] ?? "";
      input.placeholder = digits([start, end][side]);
    });
    const at = this.#threshold === null ? -1 : this.#place(this.#threshold, false);
    this.#line.setAttribute("visibility", at > 0 && at < 1 ? "visible" : "hidden");
    this.#line.setAttribute("x1", WIDTH * at);
    this.#line.setAttribute("x2", WIDTH * at);
  }

  #range() {
    return find(current().conditions, "range", this.#column);
  }

  #set(low, high, step = true) {
    filterBy(setRange(current().conditions, this.#column, low, high), step);
  }

  #start(event) {
    if (!this.#counts || event.button !== 0) return;
    const value = this.#value(event);
    const side = this.#handles.indexOf(event.target);
    const range = this.#range();
    const other = side === 0 ? (range?.high ?? this.#counts.high) : (range?.low ?? this.#counts.low);
    this.#dragged = { from: side < 0 ? value : other, to: value, moved: false };
    this.plot.setPointerCapture(event.pointerId);
    if (side < 0) event.preventDefault();
  }

  #drag(event) {
    if (!this.#dragged) return;
    const first = !this.#dragged.moved;
    this.#dragged.to = this.#value(event);
    this.#dragged.moved ||= this.#dragged.to !== this.#dragged.from;
    if (!this.#dragged.moved) return;
    const [low, high] = this.#ends();
    this.#draw(low, high);
    if (first) this.#set(low, high); // one step back ends the whole brush
    else this.#later(low, high);
  }

  #end() {
    if (!this.#dragged) return;
    clearTimeout(this.#timer);
    const { moved } = this.#dragged;
    const ends = moved ? this.#ends() : [null, null]; // a click beside the brush takes it away
    this.#dragged = null;
    this.#set(ends[0], ends[1], !moved);
    this.show();
  }

  #later(low, high) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#set(low, high, false), 60);
  }

  #ends() {
    const { from, to } = this.#dragged;
    const [low, high] = from < to ? [from, to] : [to, from];
    return [low <= this.#counts.low ? null : low, high >= this.#counts.high ? null : high];
  }

  #value(event) {
    const box = this.plot.getBoundingClientRect();
    return this.#snap(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
  }

  #snap(part) {
    const { low, high } = this.#counts;
    const place = Math.round(part * STEPS) / STEPS;
    if (place === 0 || place === 1) return place ? high : low;
    return Number((low + place * (high - low)).toPrecision(4));
  }

  #place(value, limited = true) {
    const { low, high } = this.#counts;
    const part = high > low ? (value - low) / (high - low) : 0.5;
    return limited ? Math.max(0, Math.min(1, part)) : part;
  }

  #handle(side, title) {
    const handle = make("span", { class: `handle ${side}`, role: "slider", tabIndex: 0, "aria-label": `${side === "low" ? "Lowest" : "Highest"} ${title}`, "aria-valuenow": 0 });
    handle.addEventListener("keydown", (event) => this.#press(event, side));
    return handle;
  }

  #press(event, side) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.#counts) return;
    event.preventDefault();
    event.stopPropagation();
    const range = this.#range() ?? { low: null, high: null };
    const value = range[side] ?? this.#counts[side];
    const part = Math.max(0, Math.min(1, this.#place(value) + steps[event.key] / STEPS));
    const next = part <= 0 || part >= 1 ? this.#counts[part <= 0 ? "low" : "high"] : this.#snap(part);
    const bounds = { low: range.low, high: range.high, [side]: next };
    if (bounds.low !== null && bounds.high !== null && bounds.low > bounds.high) return;
    this.#set(bounds.low === this.#counts.low ? null : bounds.low, bounds.high === this.#counts.high ? null : bounds.high, !this.#range());
  }

  #input(side, title) {
    const input = make("input", { type: "number", step: "any", "aria-label": `${side} ${title}` });
    input.addEventListener("change", () => {
      const [low, high] = [this.#low, this.#high].map((one) => (one.value === "" ? null : Number(one.value)));
      this.#set(low, high);
    });
    return input;
  }
}

/** All bars as one path: two nodes a histogram instead of eighty. Few are seen beside many. */
function bars(counts, most) {
  const width = WIDTH / counts.length;
  return counts
    .map((count, place) => {
      const height = count ? Math.max(1.5, (HEIGHT * count) / most) : 0;
      return height ? `M${place * width + 0.4} ${HEIGHT}v${-height}h${width - 0.8}v${height}z` : "";
    })
    .join("");
}
