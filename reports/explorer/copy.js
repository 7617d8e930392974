// Copying to the clipboard, with an answer that is seen and heard.

import { report } from "./api.js";
import { byId, make } from "./dom.js";

/** @param {string} name @param {string} what is copied, for those who hear the page @param {() => string|Promise<string>} text */
export function copyButton(name, what, text) {
  const button = make("button", { type: "button", class: "quiet-button", "aria-label": name === "Copy" ? `Copy ${what}` : null }, name);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(await text());
    } catch (error) {
      report(`not copied: ${error.message}`);
      return;
    }
    say(`Copied ${what}`);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = name), 1500);
  });
  return button;
}

/** For those who hear the page. */
export function say(words) {
  byId("announcement").textContent = words;
}
