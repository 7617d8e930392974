// Drawing around points: by hand with a pointer, corner by corner with the keys.

import { make, makeSvg } from "./dom.js";
import { toFrame, toPlot } from "./plot_picture.js";
import { say } from "./copy.js";

const NEAREST = 4; // px between corners of a line drawn by hand
const TOLERANCE = 0.003; // of the plot, between what was drawn and what is kept
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const KEYS = "Arrow keys move the crosshair, with Shift in larger steps; Space sets a corner, Enter closes the lasso or opens the nearest image, Backspace takes the last corner away, Escape all of them.";

export class Lasso {
  #corners = [];
  #cross = [0.5, 0.5];
  #shown = null; // of the filter
  #drawing = false;
  #line = makeSvg("polygon", { class: "lasso" });
  #ring = makeSvg("circle", { class: "ring", r: 6, visibility: "hidden" });
  #crosshair = makeSvg("path", { class: "crosshair", visibility: "hidden" });

  /**
   * @param {(polygon: number[][]) => void} choose
   * @param {(point: number[]|null) => void} hover
   * @param {(point: number[]) => void} open
   */
  constructor(choose, hover, open) {
    this.choose = choose;
    this.hover = hover;
    this.open = open;
    this.svg = makeSvg("svg", { "aria-hidden": "true" }, this.#line, this.#ring, this.#crosshair);
    this.element = make("div", { class: "lasso-room", tabIndex: 0, role: "application", "aria-label": `Plot. ${KEYS}`, title: "Draw around points; click one to open it" }, this.svg);
    this.element.addEventListener("pointerdown", (event) => this.#start(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    this.element.addEventListener("pointerup", (event) => this.#end(event));
    this.element.addEventListener("pointercancel", () => this.#stop());
    this.element.addEventListener("pointerleave", () => this.hover(null));
    this.element.addEventListener("keydown", (event) => this.#press(event));
    this.element.addEventListener("focus", () => this.#draw());
    this.element.addEventListener("blur", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  /** @param {number[][]|null} polygon the filter's */
  show(polygon) {
    this.#shown = polygon;
    this.#draw();
  }

  /** Puts a ring around a point, or takes it away. @param {number[]|null} point */
  mark(point) {
    this.#ring.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    const [left, top] = toFrame(point, this.element.clientWidth, this.element.clientHeight);
    this.#ring.setAttribute("cx", left);
    this.#ring.setAttribute("cy", top);
  }

  #start(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.#drawing = true;
    this.#corners = [this.#point(event)];
    this.hover(null);
  }

  #move(event) {
    const point = this.#point(event);
    if (!this.#drawing) return void this.hover(point);
    const { clientWidth: width, clientHeight: height } = this.element;
    const [from, to] = [toFrame(this.#corners.at(-1), width, height), toFrame(point, width, height)];
    if (Math.hypot(from[0] - to[0], from[1] - to[1]) < NEAREST) return;
    this.#corners.push(point);
    this.#draw();
  }

  #end(event) {
    if (!this.#drawing) return;
    const corners = this.#corners;
    this.#stop();
    const kept = thin(corners);
    if (kept.length > 2) this.choose(kept);
    else this.open(this.#point(event)); // hardly moved: a click
  }

  #stop() {
    this.#drawing = false;
    this.#corners = [];
    this.#draw();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in MOVES) this.#steer(MOVES[event.key], event.shiftKey ? 0.1 : 0.01);
    else if (event.key === " ") this.#setCorner();
    else if (event.key === "Enter") this.#close();
    else if (event.key === "Backspace") this.#corners.pop();
    else if (event.key === "Escape" && this.#corners.length) this.#corners = [];
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.#draw();
  }

  #steer(way, step) {
    this.#cross = this.#cross.map((at, axis) => round(Math.max(0, Math.min(1, at + way[axis] * step))));
    this.hover(this.#cross);
  }

  #setCorner() {
    this.#corners.push(this.#cross);
    say(`corner ${this.#corners.length}`);
  }

  #close() {
    const corners = this.#corners;
    this.#corners = [];
    if (corners.length >= 3) this.choose(corners);
    else this.open(this.#cross);
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const corners = this.#corners.length ? this.#corners : (this.#shown ?? []);
    const place = (corner) => toFrame(corner, width, height).map((at) => at.toFixed(1)).join(",");
    this.#line.setAttribute("points", corners.map(place).join(" "));
    const [left, top] = toFrame(this.#cross, width, height);
    this.#crosshair.setAttribute("d", `M${left - 12} ${top}h24M${left} ${top - 12}v24`);
    this.#crosshair.setAttribute("visibility", this.element.matches(":focus-visible") ? "visible" : "hidden");
  }

  #point(event) {
    const box = this.element.getBoundingClientRect();
    return toPlot(event.clientX - box.left, event.clientY - box.top, box.width, box.height).map(round);
  }
}

/**
 * The corners that a line drawn by hand needs (Ramer, Douglas and Peucker): the address of a view
 * stays one that can be sent.
 */
function thin(corners) {
  if (corners.length < 3) return corners;
  const [first, last] = [corners[0], corners.at(-1)];
  const distances = corners.map((corner) => distanceTo(corner, first, last));
  const farthest = distances.indexOf(Math.max(...distances));
  if (distances[farthest] < TOLERANCE) return [first, last];
  return [...thin(corners.slice(0, farthest + 1)), ...thin(corners.slice(farthest)).slice(1)];
}

/** Of a point from a line, or from its start where line and start are one. */
function distanceTo([x, y], [fromX, fromY], [toX, toY]) {
  const [width, height] = [toX - fromX, toY - fromY];
  const length = Math.hypot(width, height);
  if (!length) return Math.hypot(x - fromX, y - fromY);
  return Math.abs(width * (fromY - y) - height * (fromX - x)) / length;
}

function round(number) {
  return Math.round(number * 1000) / 1000;
}
