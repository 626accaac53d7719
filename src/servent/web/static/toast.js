// Short news at the lower edge: what was just begun, with the way back; what the node refused, with its advice.

import { clean, el } from "./format.js";
import { icon } from "./icons.js";

const STAYS = 9000; // ms; long enough to read and to reach the button. It waits while the pointer or the focus is on it
const MOST = 3;

const shelf = el("div", { class: "toasts", role: "status", "aria-live": "polite" });
const place = () => document.querySelector("dialog[open]:last-of-type") ?? document.body; // above a dialog, too

// undo: { word, press() }; press may be asynchronous, and the toast says what it answers. open: { word, press() }, and the
// toast is done. sign: its icon.
export function toast(text, { undo, open, sign, tone = "", stays = STAYS } = {}) {
  if (shelf.parentNode !== place()) place().append(shelf);
  const words = el("span", { class: "toast-text", dir: "auto" }, clean(text));
  const close = el("button", { class: "round", type: "button", "aria-label": "Close this note", onclick: () => node.remove() }, icon("close"));
  const node = el("div", { class: "toast", "data-tone": tone || null, role: tone === "failed" ? "alert" : null }, icon(sign ?? (tone === "failed" ? "fail" : "check")), words);
  if (open) node.append(el("button", { class: "toast-button", type: "button", onclick: () => {
    node.remove();
    open.press();
  } }, open.word));
  if (undo) {
    const button = el("button", { class: "toast-button", type: "button" }, undo.word);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        words.textContent = clean((await undo.press()) || "Undone.");
      } catch (wrong) {
        words.textContent = clean(`${wrong.message}. ${wrong.advice ?? ""}`);
      }
      button.remove();
      delete node.dataset.undo;
    });
    node.append(button);
    node.dataset.undo = "";
  }
  node.append(close);
  shelf.append(node);
  while (shelf.children.length > MOST) {
    const older = [...shelf.children].slice(0, -1);
    (older.find((one) => !("undo" in one.dataset)) ?? older[0]).remove(); // what can be undone stays when news come
  }
  let left = stays;
  const timer = setInterval(() => {
    if (!node.isConnected) clearInterval(timer);
    else if (!node.matches(":hover, :focus-within")) left -= 500;
    if (left <= 0) node.remove();
  }, 500);
  return node;
}

export const complain = (problem) => toast([problem.message, problem.advice].filter(Boolean).map((part) => part.replace(/\.?$/, ".")).join(" "), { tone: "failed", stays: 14000 });
