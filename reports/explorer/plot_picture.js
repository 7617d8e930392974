// Drawing points and densities on a canvas.

const FLAG_COLOURS = { rests_on_background: "--background", rests_on_object: "--object", mixed: "--mixed", undecided: "--undecided" };
// Okabe and Ito's colours, which most colour-blind people tell apart, and four between them.
const NAMED = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a57c00", "#56b4e9", "#8a6bbf", "#b04a5a", "#5d7d3a", "#4d8f95"];
const ORDERED = ["#3b528b", "#2c728e", "#21908c", "#27ad81", "#8fbf3a", "#d8a806", "#c46a00"]; // low to high
export const OTHER = "#8b929a";
export const FULL = 65535; // of the server's coordinates
const EDGE = 10; // px around the points

/**
 * A colour for each value of a column. Where there are more values than colours that eyes tell
 * apart, the most frequent get one. Numbers, in bins from low to high, get an ordered scale.
 * @param {(string|number|null)[]} values the last, null, is missing
 * @param {number[]} counts of the values among the points
 */
export function paletteOf(values, counts, column) {
  if (column.name.replace("before.", "") === "flag") return values.map((value) => ink(FLAG_COLOURS[value]) || OTHER);
  if (column.kind === "number") return values.map((value, place) => (value === null ? OTHER : ORDERED[Math.floor((place * ORDERED.length) / (values.length - 1))]));
  const present = values.map((_, place) => place).filter((place) => values[place] !== null);
  const ranked = present.length > NAMED.length ? present.sort((a, b) => counts[b] - counts[a]) : present;
  const palette = values.map(() => OTHER);
  ranked.slice(0, NAMED.length).forEach((place, rank) => (palette[place] = NAMED[rank]));
  return palette;
}

/** @returns {number[]} how many points have each of `size` colours */
export function countColours(colour, size) {
  const counts = new Array(size).fill(0);
  for (const place of colour) counts[place] += 1;
  return counts;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{x: number[], y: number[], colour: number[]}} points
 * @param {string[]} palette
 * @param {number[][]|null} polygon points outside are drawn pale
 */
export function drawPoints(canvas, { x, y, colour }, palette, polygon) {
  const { context, width, height } = fit(canvas);
  const radius = x.length > 20_000 ? 1.1 : x.length > 3_000 ? 1.7 : 2.8;
  const path = polygon && pathOf(polygon, width, height);
  const batches = new Map();
  for (let place = 0; place < x.length; place += 1) {
    const left = EDGE + (x[place] / FULL) * (width - 2 * EDGE);
    const top = EDGE + (1 - y[place] / FULL) * (height - 2 * EDGE);
    const pale = path && !context.isPointInPath(path, left * canvas.scale, top * canvas.scale);
    const key = pale ? "pale" : (palette[colour[place]] ?? OTHER);
    if (!batches.has(key)) batches.set(key, new Path2D());
    const batch = batches.get(key);
    batch.moveTo(left + radius, top);
    batch.arc(left, top, radius, 0, 2 * Math.PI);
  }
  const layer = (key) => ["pale", OTHER].indexOf(key) + 1 || 3; // what stands out lies above
  for (const key of [...batches.keys()].sort((a, b) => layer(a) - layer(b))) {
    context.globalAlpha = key === "pale" ? 0.5 : 0.75;
    context.fillStyle = key === "pale" ? ink("--hair") : key;
    context.fill(batches.get(key));
  }
}

/** @param {HTMLCanvasElement} canvas @param {{side: number, counts: number[]}} density */
export function drawDensity(canvas, { side, counts }) {
  const { context, width, height } = fit(canvas);
  const most = Math.log1p(counts.reduce((largest, count) => Math.max(largest, count), 1));
  const [low, high] = [rgb(ink("--pale")), rgb(ink("--object"))];
  const picture = new ImageData(side, side);
  counts.forEach((count, place) => {
    if (!count) return;
    const part = Math.log1p(count) / most;
    for (let channel = 0; channel < 3; channel += 1) picture.data[4 * place + channel] = low[channel] + part * (high[channel] - low[channel]);
    picture.data[4 * place + 3] = 255;
  });
  const small = new OffscreenCanvas(side, side);
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, EDGE, EDGE, width - 2 * EDGE, height - 2 * EDGE);
}

/** Coordinates of the plot, 0 to 1 with y up, from px of its frame, and back. */
export function toPlot(left, top, width, height) {
  return [(left - EDGE) / (width - 2 * EDGE), 1 - (top - EDGE) / (height - 2 * EDGE)];
}

export function toFrame([x, y], width, height) {
  return [EDGE + x * (width - 2 * EDGE), EDGE + (1 - y) * (height - 2 * EDGE)];
}

function pathOf(polygon, width, height) {
  const path = new Path2D();
  polygon.forEach((corner, place) => path[place ? "lineTo" : "moveTo"](...toFrame(corner, width, height)));
  path.closePath();
  return path;
}

/** The canvas at the size of its frame, sharp on every screen. */
function fit(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  const scale = Math.min(2, devicePixelRatio || 1);
  canvas.scale = scale;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

function ink(name) {
  return name ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : "";
}

function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}
