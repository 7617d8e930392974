// Scrolling over more pixels than a browser draws: they end at 16 to 33 million, and a million
// tiles are higher. Above TALLEST the drawn height stays there. Small steps move by as many pixels
// as they say, a drag of the thumb moves in proportion, and when the hand rests, the thumb is put
// where the position is in proportion; the tiles are drawn relative to `offset`, so nothing moves.

const TALLEST = 8_000_000;
const REST = 160; // ms without a step

export class LongScroll {
  /** Drawn position plus this is the position in the whole. */
  offset = 0;
  #full = 0;
  #last = 0;
  #timer = 0;

  /** @param {HTMLElement} viewport @param {HTMLElement} spacer @param {(step: number) => void} moved */
  constructor(viewport, spacer, moved) {
    this.viewport = viewport;
    this.spacer = spacer;
    this.moved = moved;
    viewport.addEventListener("scroll", () => this.#follow(), { passive: true });
  }

  get top() {
    return this.viewport.scrollTop + this.offset;
  }

  resize(full) {
    if (full === this.#full) return;
    const { top } = this;
    this.#full = full;
    this.spacer.style.height = `${Math.min(full, TALLEST)}px`;
    this.jump(top);
  }

  jump(top) {
    const kept = this.#limited(top);
    this.viewport.scrollTop = Math.round(kept / this.#scale);
    this.offset = this.#scale === 1 ? 0 : kept - this.viewport.scrollTop;
    this.#last = this.viewport.scrollTop;
  }

  #follow() {
    const now = this.viewport.scrollTop;
    const step = now - this.#last;
    this.#last = now;
    if (this.#full > TALLEST) this.#keepInProportion(now, step);
    this.moved(step);
  }

  #keepInProportion(now, step) {
    if (Math.abs(step) > 2 * this.viewport.clientHeight) this.offset = now * (this.#scale - 1);
    const top = this.#limited(now + this.offset);
    this.offset = top - now;
    const end = Math.min(this.#full, TALLEST) - this.viewport.clientHeight;
    const stuck = (now <= 0 && top > 0) || (now >= end && top < this.#full - this.viewport.clientHeight);
    if (stuck) this.jump(top);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.jump(this.top);
      this.moved(0);
    }, REST);
  }

  /** Pixels of the whole for a pixel of the thumb's way. */
  get #scale() {
    const free = Math.min(this.#full, TALLEST) - this.viewport.clientHeight;
    return this.#full > TALLEST && free > 0 ? (this.#full - this.viewport.clientHeight) / free : 1;
  }

  #limited(top) {
    return Math.max(0, Math.min(top, this.#full - this.viewport.clientHeight));
  }
}
