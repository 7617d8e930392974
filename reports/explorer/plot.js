// The plot of the features: a point an image, or, above 50,000, a picture of how many lie where.
// A lasso becomes a condition of the filter; the plot shows the images of all other conditions.

import { Latest } from "./api.js";
import { debounce, make, setText } from "./dom.js";
import { filterText, find, setLasso, setValues } from "./filters.js";
import { Lasso } from "./lasso.js";
import { buildLegend } from "./plot_legend.js";
import { countColours, drawDensity, drawPoints, FULL, paletteOf } from "./plot_picture.js";
import { PlotPreview } from "./plot_preview.js";
import { change, current, filterBy, watch } from "./state.js";
import { columnTitle, countOf, whole } from "./words.js";

const FAR = 0.05; // of the plot
const SPACES = { object: "the object", background: "the background", whole: "the whole picture" };

export class Plot {
  #run;
  #answer = null;
  #asked = "";
  #latest = new Latest();
  #canvas = make("canvas", { class: "points" });
  #frame = make("div", { class: "plot-frame" });
  #legend = make("div", { class: "legend", role: "group", "aria-label": "Colours; choose images by one" });
  #note = make("p", { class: "quiet", role: "status" });
  #lasso;
  #preview;
  #redraw = debounce(30, () => this.#draw());

  /** @param {HTMLElement} element @param {Object} run */
  constructor(element, run) {
    this.element = element;
    this.#run = run;
    this.#lasso = new Lasso((polygon) => this.#choose(polygon), (point) => this.#look(point), (point) => this.#open(point));
    this.#preview = new PlotPreview();
    this.#frame.append(this.#canvas, this.#lasso.element, this.#preview.element);
    const clear = make("button", { type: "button", class: "quiet-button", onclick: () => this.#choose(null) }, "Remove lasso");
    const toGrid = make("button", { type: "button", class: "quiet-button", onclick: () => change({ tab: "grid" }) }, "Show in the grid");
    element.append(
      make("div", { class: "toolbar", role: "group", "aria-label": "Plot" }, this.#spaceChoice(), this.#colourChoice(), make("span", { class: "tool" }, clear, toGrid), this.#note),
      make("div", { class: "plot-room" }, this.#frame, this.#legend),
    );
    new ResizeObserver(() => this.#redraw()).observe(this.#frame);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
    watch((view) => {
      if (view.tab !== "plot") return;
      clear.disabled = !this.#polygon();
      this.#lasso.show(this.#polygon());
      this.#ask(view);
    });
  }

  async #ask({ colour }) {
    const question = { ...this.#where(), colour };
    const key = JSON.stringify(question);
    if (key === this.#asked) return void this.#redraw();
    this.#asked = key;
    this.#frame.setAttribute("aria-busy", "true");
    const answer = await this.#latest.get("api/plot", question);
    if (key !== this.#asked) return;
    this.#frame.setAttribute("aria-busy", "false");
    if (!answer) {
      this.#asked = "";
      return;
    }
    this.#answer = answer;
    this.#draw();
    const choose = (name) => filterBy(setValues(current().conditions, colour, [name]));
    buildLegend(this.#legend, this.#colours(), this.#column(colour), choose);
    const density = answer.density ? ": more than 50,000, shown as how many lie where" : "";
    const missing = answer.missing ? `; ${whole(answer.missing)} without features of ${SPACES[question.space]} are not here` : "";
    setText(this.#note, `${countOf(answer.total, "image")}${density}${missing}`);
  }

  #draw() {
    if (!this.#answer || !this.#frame.clientWidth) return;
    if (this.#answer.density) drawDensity(this.#canvas, this.#answer.density);
    else drawPoints(this.#canvas, this.#answer.points, this.#colours().palette, this.#polygon());
  }

  /** What the points' colours are and mean; null where there are no points. */
  #colours() {
    const { points, colours: values } = this.#answer;
    if (!points) return null;
    const counts = countColours(points.colour, values.length);
    return { values, counts, palette: paletteOf(values, counts, this.#column(current().colour)) };
  }

  #choose(polygon) {
    filterBy(setLasso(current().conditions, current().space, polygon));
  }

  #look(point) {
    const near = point && this.#nearest(point);
    this.#lasso.mark(near);
    this.#preview.ask(this.#where(), near);
  }

  #open(point) {
    const near = this.#nearest(point);
    if (near) this.#preview.open(this.#where(), near);
  }

  /** The plot's images: those of all conditions but its own lasso. */
  #where() {
    const { conditions, space } = current();
    return { space, filter: filterText(setLasso(conditions, space, null)) };
  }

  /** The image of the filter that is nearest, none where all are far; a density does not know them. */
  #nearest([x, y]) {
    if (!this.#answer?.points) return [x, y];
    const { x: xs, y: ys } = this.#answer.points;
    let least = FAR ** 2;
    let nearest = null;
    for (let place = 0; place < xs.length; place += 1) {
      const distance = (xs[place] / FULL - x) ** 2 + (ys[place] / FULL - y) ** 2;
      if (distance < least) [least, nearest] = [distance, [xs[place] / FULL, ys[place] / FULL]];
    }
    return nearest;
  }

  #polygon() {
    return find(current().conditions, "lasso", current().space)?.polygon ?? null;
  }

  #column(name) {
    return this.#run.columnsByName.get(name) ?? { name, kind: "category", ours: true };
  }

  #spaceChoice() {
    const select = make("select", { id: "space", onchange: () => change({ space: select.value }) });
    select.append(...this.#run.spaces.map((name) => make("option", { value: name }, SPACES[name] ?? name)));
    watch((view) => (select.value = view.space));
    return make("span", { class: "tool" }, make("label", { for: "space" }, "Alike by"), select);
  }

  #colourChoice() {
    const select = make("select", { id: "colour", onchange: () => change({ colour: select.value }) });
    const columns = this.#run.columns.filter(({ kind }) => kind !== "text");
    select.append(...columns.map((column) => make("option", { value: column.name }, columnTitle(column))));
    watch((view) => (select.value = view.colour));
    return make("span", { class: "tool" }, make("label", { for: "colour" }, "Colour"), select);
  }
}
