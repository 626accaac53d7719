// Shorter ways to ask the node, for screens that change things: each refusal begins with the fact, not with its kind.

import { Problem } from "./live.js";
import { ask as plainly } from "./net.js";

export const LONG = 3600_000; // ms; checking or moving 100 GB takes minutes
export const part = encodeURIComponent;

export async function ask(method, path, body, options) {
  try {
    return await plainly(method, path, body, options);
  } catch (problem) {
    if (problem instanceof Problem && problem.detail) throw new Problem({ title: problem.detail, advice: problem.advice }, problem.status);
    throw problem;
  }
}

export const get = (path) => ask("GET", path);
export const post = (path, body, options) => ask("POST", path, body, options);
export const patch = (path, body, options) => ask("PATCH", path, body, options);

// The whole problem as sentences: what is so, and what to do.
export const whole = (problem) => [problem.message, problem.advice].filter(Boolean).map((words) => words.replace(/\.?$/, ".")).join(" ");

// What a button does when pressed: it says what it is doing until that is done; `trouble` gets the problem, or null.
export function press(button, doing, work, trouble) {
  return async () => {
    if (button.disabled) return undefined;
    const label = button.querySelector(".label");
    const word = label?.textContent;
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    if (label && doing) label.textContent = doing;
    trouble?.(null);
    try {
      return await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      trouble?.(problem);
      return undefined;
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
      if (label && doing && label.textContent === doing) label.textContent = word;
    }
  };
}
