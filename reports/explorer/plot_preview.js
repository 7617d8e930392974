// The image under the pointer, or under the crosshair.

import { get, Latest, report } from "./api.js";
import { debounce, make, setText } from "./dom.js";
import { PictureStack } from "./picture_stack.js";
import { change, current } from "./state.js";
import { visible } from "./words.js";

export class PlotPreview {
  #stack = new PictureStack();
  #name = make("p", { class: "row-id", role: "status" });
  #latest = new Latest();
  #later = debounce(70, (where, point) => this.#fetch(where, point));

  constructor() {
    this.element = make("div", { class: "preview", hidden: true }, this.#stack.element, this.#name);
  }

  /** @param {{space: string, filter: string|undefined}} where @param {number[]|null} point 0 to 1; null when the pointer left */
  ask(where, point) {
    if (point) return this.#later(where, point);
    this.#later.cancel();
    this.#latest.stop();
    this.element.hidden = true;
  }

  /** Opens the image that is nearest. */
  async open(where, [x, y]) {
    try {
      change({ open: (await get("api/nearby", { ...where, x, y })).row_id });
    } catch (error) {
      report(error);
    }
  }

  async #fetch(where, [x, y]) {
    const nearest = await this.#latest.get("api/nearby", { ...where, x, y });
    if (!nearest) return;
    const { map, method } = current();
    this.#stack.show({ rowId: nearest.row_id, method: map ? method : null });
    setText(this.#name, visible(nearest.row_id));
    this.element.classList.toggle("left", x > 0.5);
    this.element.hidden = false;
  }
}
