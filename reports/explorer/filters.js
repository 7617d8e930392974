// Conditions of the filter: pure functions from a list of conditions to another.

import { columnTitle, digits, valueWords, visible } from "./words.js";

/** @typedef {{kind: "values"|"range"|"text"|"lasso"|"rows", column?: string|null, [name: string]: any}} Condition */

/** What the server takes; nothing where nothing is asked. */
export function filterText(conditions) {
  return conditions.length ? JSON.stringify({ conditions }) : undefined;
}

/** @returns {Condition|undefined} */
export function find(conditions, kind, column) {
  return conditions.find((one) => one.kind === kind && place(one) === column);
}

/** The conditions with `condition` in the place of the one like it, or without it if null. */
export function replace(conditions, kind, column, condition) {
  const like = (one) => one.kind === kind && place(one) === column;
  if (!condition) return conditions.filter((one) => !like(one));
  return conditions.some(like) ? conditions.map((one) => (like(one) ? condition : one)) : [...conditions, condition];
}

export function toggleValue(conditions, column, value) {
  const chosen = find(conditions, "values", column)?.values ?? [];
  const values = chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value];
  return setValues(conditions, column, values);
}

export function setValues(conditions, column, values) {
  return replace(conditions, "values", column, values.length ? { kind: "values", column, values } : null);
}

export function setRange(conditions, column, low, high) {
  const open = low === null && high === null;
  return replace(conditions, "range", column, open ? null : { kind: "range", column, low, high });
}

export function setText(conditions, column, text) {
  return replace(conditions, "text", column, text ? { kind: "text", column, text } : null);
}

/** Of typing, only the first letter is a step that back returns to. */
export function startsText(conditions, column) {
  return find(conditions, "text", column) === undefined;
}

export function setLasso(conditions, space, polygon) {
  return replace(conditions, "lasso", space, polygon ? { kind: "lasso", space, polygon } : null);
}

export function without(conditions, condition) {
  return conditions.filter((one) => one !== condition);
}

/** A condition in words, for its chip. */
export function describe(condition, columns) {
  const title = (name) => columnTitle(columns.get(name) ?? { name, ours: true });
  switch (condition.kind) {
    case "values":
      return `${title(condition.column)}: ${condition.values.map((one) => valueWords(condition.column, one)).join(" or ")}`;
    case "range":
      return `${title(condition.column)}: ${rangeWords(condition.low, condition.high)}`;
    case "text":
      return `${condition.column ? title(condition.column) : "text"} contains “${visible(condition.text)}”`;
    case "lasso":
      return `chosen in the plot (${condition.space})`;
    default:
      return `${condition.row_ids.length.toLocaleString("en")} named images`;
  }
}

/** Keeps what has the shape of a condition: an address may have been edited by hand. */
export function isCondition(one) {
  if (typeof one !== "object" || one === null) return false;
  switch (one.kind) {
    case "values":
      return typeof one.column === "string" && Array.isArray(one.values);
    case "range":
      return typeof one.column === "string" && "low" in one && "high" in one;
    case "text":
      return typeof one.text === "string";
    case "lasso":
      return typeof one.space === "string" && Array.isArray(one.polygon);
    case "rows":
      return Array.isArray(one.row_ids);
    default:
      return false;
  }
}

function rangeWords(low, high) {
  if (low === null) return `at most ${digits(high)}`;
  return high === null ? `at least ${digits(low)}` : `${digits(low)} to ${digits(high)}`;
}

function place(condition) {
  return (condition.kind === "lasso" ? condition.space : condition.column) ?? null;
}
