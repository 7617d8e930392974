// A picture with its map and its foreground's outline laid over it.

import { address, whyNot } from "./api.js";
import { make, setText } from "./dom.js";
import { FIRST, forget, LAST, load, SECOND } from "./image_queue.js";
import { visible } from "./words.js";

/**
 * What to show; undefined parts are left away.
 * @typedef {{rowId: string, kind?: string, slot?: number, size?: "thumb"|"full", run?: "now"|"before",
 *            method?: string|null, outline?: boolean}} Shown
 */

export class PictureStack {
  #picture = layer("picture");
  #map = layer("map");
  #outline = layer("outline");
  #words = make("p", { class: "why-not" });

  constructor() {
    this.element = make("div", { class: "stack" }, this.#words, this.#picture, this.#map, this.#outline);
    this.#picture.addEventListener("load", () => this.#fit());
    this.#picture.addEventListener("error", () => this.#explain());
  }

  /** @param {Shown} shown */
  show({ rowId, kind = "picture", slot, size = "thumb", run, method, outline }) {
    const of = { row_id: rowId, run: run === "before" ? run : undefined };
    setSource(this.#picture, address("picture", { ...of, kind, slot: slot || undefined, size }), size === "full" ? FIRST : SECOND);
    setSource(this.#map, method ? address("map", { ...of, method }) : "", LAST);
    setSource(this.#outline, outline ? address("outline", of) : "", LAST);
  }

  clear() {
    for (const image of [this.#picture, this.#map, this.#outline]) setSource(image, "");
  }

  /** Why the large picture is not there, in its place: a small one has no room for words. */
  async #explain() {
    const { source } = this.#picture;
    if (!source?.includes("size=full")) return;
    const why = await whyNot(source).catch(() => "");
    if (source === this.#picture.source) setText(this.#words, visible(why));
  }

  /** Maps have fewer cells than the picture has pixels: they are laid over its shape, not theirs. */
  #fit() {
    const { naturalWidth: width, naturalHeight: height } = this.#picture;
    const larger = Math.max(width, height);
    for (const image of [this.#map, this.#outline]) {
      image.style.width = `${(100 * width) / larger}%`;
      image.style.height = `${(100 * height) / larger}%`;
    }
  }
}

function layer(name) {
  const image = make("img", { class: `layer ${name}`, alt: "", decoding: "async", draggable: false });
  image.addEventListener("load", () => image.classList.add("ready"));
  image.addEventListener("error", () => image.classList.remove("ready"));
  return image;
}

/** A tile that is used again never shows the picture of the row before. */
function setSource(image, source, turn = LAST) {
  if (image.source === source) return;
  image.source = source;
  image.classList.remove("ready");
  if (source) load(image, source, turn);
  else forget(image);
}
