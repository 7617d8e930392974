// Values in words, the same on every part of the page.

const FLAGS = { rests_on_background: "background", rests_on_object: "object", mixed: "mixed", undecided: "undecided" };
const SHAPES = { rests_on_background: "■", rests_on_object: "●", mixed: "◐", undecided: "?" };
const TITLES = {
  row_id: "row id", correct: "right or wrong", prediction: "predicted class", foreground: "foreground source",
  patterns: "pattern", failed: "failed stage", null_score: "null score", jpeg_quality: "JPEG quality",
  label_group: "group of the label", prediction_group: "group of the prediction",
};
// Controls, and marks that turn text around: shown as what they are, so that a name cannot pose as another.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** @type {Map<string, string>} names of patterns by id */
const patternNames = new Map();

export function rememberPatternNames(patterns) {
  for (const { id, name } of patterns) patternNames.set(id, name);
}

export function visible(text) {
  return String(text).replace(INVISIBLE, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function whole(count) {
  return Math.round(count).toLocaleString("en");
}

export function countOf(count, noun) {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** About three digits: 0.423, 12.5, 4,000. */
export function digits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const decimals = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
}

export function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)}%`;
}

/** A difference of shares: +4.2 points, without the word. */
export function points(value) {
  if (value === null || value === undefined) return "–";
  const text = (100 * Math.abs(value)).toFixed(1);
  return `${value < 0 && text !== "0.0" ? "−" : "+"}${text}`;
}

export function flagWords(flag) {
  return flag ? visible(flag).replace("rests_on_", "rests on the ").replaceAll("_", " ") : "not flagged";
}

export function flagShort(flag) {
  return FLAGS[flag] ?? flagWords(flag);
}

export function flagShape(flag) {
  return SHAPES[flag] ?? "–";
}

/** A column's name for people; the user's own columns keep the name that they gave. */
export function columnTitle(column) {
  if (!column.ours) return visible(column.name);
  if (column.name.startsWith("before.")) return `before: ${columnTitle({ ...column, name: column.name.slice(7) })}`;
  return TITLES[column.name] ?? visible(column.name).replaceAll("_", " ");
}

const ABSENT = { patterns: "none", failed: "none", change: "no change", copies: "none" };

/** A value of a column, as a facet or a chip shows it. */
export function valueWords(column, value) {
  const name = column.replace(/^before\./, "");
  if (value === null || value === undefined) return ABSENT[name] ?? "missing";
  if (name === "correct") return String(value) === "true" ? "right" : "wrong";
  if (name === "flag") return flagWords(value);
  if (name === "patterns" && patternNames.has(value)) return `${visible(value)} ${visible(patternNames.get(value))}`;
  if (typeof value === "number") return digits(value);
  if (Array.isArray(value)) return value.length ? value.map((one) => valueWords(column, one)).join(", ") : "none";
  return value === "" ? "(empty)" : visible(value);
}

/** One row in a sentence, for those who hear the page. */
export function rowWords(row) {
  const right = row.correct === true ? ", right" : row.correct === false ? `, wrong: ${visible(row.label)}` : "";
  const predicted = row.prediction === null ? "no prediction" : `predicted ${visible(row.prediction)}${right}`;
  const score = row.score === null ? "" : `, score ${digits(row.score)}`;
  const failed = row.failed?.length ? `, failed: ${row.failed.map(visible).join(", ")}` : "";
  const change = row.change?.length ? `, ${row.change.map(visible).join(", ")}` : "";
  return `${visible(row.row_id)}: ${predicted}, ${flagWords(row.flag)}${score}${change}${failed}`;
}
