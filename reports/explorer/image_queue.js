// Pictures are fetched a few at a time: a browser opens six connections to a server, and a filter
// must not wait behind a screen full of pictures.

const AT_ONCE = 4;

/** The large picture before small ones, these before their maps; each in the order of asking. */
export const FIRST = 0;
export const SECOND = 1;
export const LAST = 2;

/** @type {Map<HTMLImageElement, string>[]} */
const waiting = [new Map(), new Map(), new Map()];
const loading = new Set();
let held = false;

/** Shows `source` in `image` when its turn comes. */
export function load(image, source, turn) {
  forget(image);
  waiting[turn].set(image, source);
}

export function forget(image) {
  for (const queue of waiting) queue.delete(image);
  loading.delete(image);
  image.removeAttribute("src"); // ends a fetch
  // After the elements are in the page: one that is not any more is passed over.
  queueMicrotask(pump);
}

/** While a filter is answered, no further picture is asked for. */
export function hold(isHeld) {
  held = isHeld;
  queueMicrotask(pump);
}

function pump() {
  if (held) return;
  for (const queue of waiting) {
    for (const [image, source] of queue) {
      if (loading.size >= AT_ONCE) return;
      queue.delete(image);
      if (image.isConnected) start(image, source);
    }
  }
}

function start(image, source) {
  loading.add(image);
  const done = () => {
    image.removeEventListener("load", done);
    image.removeEventListener("error", done);
    loading.delete(image);
    pump();
  };
  image.addEventListener("load", done);
  image.addEventListener("error", done);
  image.src = source;
}
