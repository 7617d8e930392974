// The rows of the selection, fetched in pages around what is seen and kept within bounds.

import { get, report } from "./api.js";
import { filterText } from "./filters.js";
import { hold } from "./image_queue.js";

export const PAGE = 200;
const KEPT = 60; // pages: 12,000 rows, a few MB

/** Which images in which order, as the server is asked. */
export function question({ conditions, sort, order }) {
  return { filter: filterText(conditions), sort, order: sort && order };
}

export class Rows {
  total = 0;
  /** whether the rows still belong to an earlier question */
  stale = true;
  #query = {};
  #pages = new Map();
  #asked = new Map();
  #heard;

  /** @param {() => void} heard called when rows or their number changed */
  constructor(heard) {
    this.#heard = heard;
  }

  /** Another selection or order. The old rows stay until the first new ones are there. */
  ask(view) {
    this.#stopAll();
    this.stale = true;
    hold(true);
    this.#query = question(view);
    this.#fetch(Math.floor(view.at / PAGE));
  }

  /** whether no answer is waited for */
  get idle() {
    return this.#asked.size === 0;
  }

  /** @returns {Object|undefined} */
  at(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Fetches what is missing of these rows, and ends what nobody looks at any more. */
  want(first, last) {
    if (this.stale) return;
    const from = Math.floor(first / PAGE);
    const to = Math.floor(Math.max(first, last - 1) / PAGE);
    for (const [page, controller] of this.#asked) {
      if (page < from || page > to) this.#stop(page, controller);
    }
    for (let page = from; page <= to; page += 1) {
      const rows = this.#pages.get(page);
      if (rows) this.#touch(page, rows);
      else if (!this.#asked.has(page)) this.#fetch(page);
    }
  }

  async #fetch(page) {
    const controller = new AbortController();
    this.#asked.set(page, controller);
    try {
      const query = { ...this.#query, offset: page * PAGE, limit: PAGE };
      const answer = await get("api/rows", query, controller.signal);
      if (!controller.signal.aborted) this.#take(page, answer);
    } catch (error) {
      if (!controller.signal.aborted) report(error);
    } finally {
      if (this.#asked.get(page) === controller) {
        this.#asked.delete(page);
        hold(false);
      }
    }
  }

  #take(page, { total, rows }) {
    if (this.stale) this.#pages.clear();
    this.stale = false;
    this.total = total;
    this.#touch(page, rows);
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= KEPT) break;
      this.#pages.delete(old);
    }
    this.#heard();
  }

  /** The page used last is the last to go: a Map keeps the order of insertion. */
  #touch(page, rows) {
    this.#pages.delete(page);
    this.#pages.set(page, rows);
  }

  #stop(page, controller) {
    controller.abort();
    this.#asked.delete(page);
  }

  #stopAll() {
    for (const [page, controller] of this.#asked) this.#stop(page, controller);
  }
}
