// One image: everything that the audit knows of it, beside the grid.

import { Latest } from "./api.js";
import { debounce, make, setText } from "./dom.js";
import { addressSection, failureSection, formulaSection, patternSection, valueSection, verdictSection } from "./panel_facts.js";
import { changeSection, mapSection, neighbourSection, pictureSection } from "./panel_pictures.js";
import { change, current, watch } from "./state.js";
import { countOf, visible, whole } from "./words.js";

export class ImagePanel {
  #run;
  #rows;
  #grid;
  #shown = null; // what is drawn
  #latest = new Latest();
  #title = make("h2", { id: "panel-title", tabIndex: -1, class: "row-id" });
  #place = make("span", { class: "quiet" });
  #content = make("div", { class: "panel-content", tabIndex: 0, role: "group", "aria-labelledby": "panel-title" });
  #later = debounce(40, (rowId) => this.#fetch(rowId));

  /** @param {HTMLElement} element @param {Object} run @param {import("./rows.js").Rows} rows @param {import("./grid.js").Grid} grid */
  constructor(element, run, rows, grid) {
    this.element = element;
    this.#run = run;
    this.#rows = rows;
    this.#grid = grid;
    const button = (name, label, keys, onclick) => make("button", { type: "button", "aria-label": label, title: `${label} (${keys})`, onclick }, name);
    element.append(
      make("header", {},
        make("div", { class: "panel-buttons" },
          button("←", "Previous image", "left or k", () => this.step(-1)),
          button("→", "Next image", "right or j", () => this.step(1)),
          this.#place,
          button("×", "Close", "Escape", () => this.close())),
        this.#title),
      this.#content,
    );
    watch((view, before) => this.#follow(view, before));
  }

  get isOpen() {
    return current().open !== null;
  }

  step(by) {
    const { at, open } = current();
    // A neighbour or a link may have opened an image that the selection does not hold there.
    const inPlace = this.#rows.at(at)?.row_id === open;
    this.#grid.go(inPlace ? at + by : at);
  }

  close() {
    change({ open: null });
    this.#grid.focus();
  }

  /** The position, when the selection changed below the image. */
  showPlace() {
    const { at, open } = current();
    const { total } = this.#rows;
    const inPlace = this.#rows.at(at)?.row_id === open;
    setText(this.#place, inPlace ? `${whole(at + 1)} of ${whole(total)}` : `selection: ${countOf(total, "image")}`);
  }

  #follow(view, before) {
    if (view.open === null) {
      this.element.hidden = true;
      document.body.classList.remove("with-panel");
      this.#latest.stop();
      this.#later.cancel();
      this.#shown = null;
      this.#content.replaceChildren();
      return;
    }
    if (view.open !== before.open || !this.#shown) this.#open(view.open, before.open === null);
    else if (view.map !== before.map || view.method !== before.method || view.outline !== before.outline) this.#main?.update();
    this.showPlace();
  }

  #main = null; // the large picture

  #open(rowId, first) {
    this.element.hidden = false;
    document.body.classList.add("with-panel");
    setText(this.#title, visible(rowId));
    this.#content.setAttribute("aria-busy", "true");
    if (first) {
      this.#fetch(rowId);
      this.#title.focus({ preventScroll: true });
    } else this.#later(rowId);
  }

  async #fetch(rowId) {
    const image = await this.#latest.get("api/row", { row_id: rowId });
    if (current().open !== rowId) return;
    this.#content.setAttribute("aria-busy", "false");
    if (!image) return void this.#content.replaceChildren(make("p", { class: "quiet" }, "This image cannot be shown."));
    const { scrollTop } = this.#content;
    this.#shown = image;
    this.#main = pictureSection(image, this.#run);
    const sections = [
      verdictSection(image), this.#main.element, failureSection(image), mapSection(image), changeSection(image),
      formulaSection(image), patternSection(image), neighbourSection(image), addressSection(image), valueSection(image, this.#run),
    ];
    this.#content.replaceChildren(...sections.filter(Boolean));
    this.#content.scrollTop = scrollTop;
    this.showPlace();
  }
}
