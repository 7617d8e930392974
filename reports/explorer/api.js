// Requests to the server. All addresses are relative, so that the token stays in front of them.

import { byId } from "./dom.js";

export class ServerError extends Error {}

/** @param {string} path @param {Object<string, any>} parameters those without a value are left out, lists are repeated */
export function address(path, parameters = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value ?? []].flat()) words.append(name, one);
  }
  const text = words.toString();
  return text ? `${path}?${text}` : path;
}

/** The answer to a GET. */
export function get(path, parameters, signal) {
  return ask(address(path, parameters), { signal });
}

/** Why there is no such picture, as the server says. */
export async function whyNot(url) {
  const response = await fetch(url);
  return decodeURIComponent(response.headers.get("X-Why") ?? "");
}

/** A request that changes something. */
export function send(method, path, parameters, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(address(path, parameters), { method, headers, body: body && JSON.stringify(body) });
}

/** One question at a time: a newer one ends the older, whose answer nobody wants any more. */
export class Latest {
  #controller = new AbortController();

  /** Undefined where a newer question came, or where it failed: then the page says so. */
  async get(path, parameters) {
    this.stop();
    const { signal } = this.#controller;
    try {
      const answer = await get(path, parameters, signal);
      return signal.aborted ? undefined : answer;
    } catch (error) {
      if (!signal.aborted) report(error);
      return undefined;
    }
  }

  stop() {
    this.#controller.abort();
    this.#controller = new AbortController();
  }
}

/** One line at the top of the page, until the view changes. */
export function report(error) {
  const line = byId("error");
  line.textContent = error instanceof Error ? error.message : String(error);
  line.hidden = false;
}

export function clearError() {
  byId("error").hidden = true;
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("the explorer does not answer: start `sightline open` again");
  }
  if (response.status === 403) throw new ServerError("this page belongs to a command that has ended: open the address that `sightline open` has printed since");
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (!response.ok || answer === null) throw new ServerError(answer?.error ?? `the explorer answered ${response.status} without words`);
  return answer;
}
