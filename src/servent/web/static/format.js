// Words and numbers for people, and the one way text enters the page: as text.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytes(count) {
  let value = Number(count) || 0;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export const rate = (perSecond) => (perSecond > 0 ? `${bytes(perSecond)}/s` : "–");

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60 ? `${s % 60} s` : ""}`.trim();
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function rtt(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0.1) return "< 0.1 ms";
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

// Names come from strangers. Control characters and direction overrides could reorder the text around them;
// each becomes one visible mark, so that nothing hides and nothing leaks out of its own element.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
export const clean = (text) => String(text ?? "").replace(UNSAFE, "\ufffd");

// The node's sentences begin as they do in a log; alone on a line they begin as sentences do.
export const upper = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

export const peerName = (peer) => clean(peer.petname || peer.name || peer.short_id || String(peer.id ?? "").slice(0, 8));

// Builds an element. `attributes.class` and aria-* are ours; children that are strings become text nodes.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && (value !== false || key.startsWith("aria-"))) node.setAttribute(key, value === true && !key.startsWith("aria-") ? "" : value);
  }
  node.append(...children);
  return node;
}

// Writes text only where it changed: an unchanged node costs the browser nothing.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Prose of the node, in which `commands` stand between backticks.
export function prose(node, text) {
  const said = clean(text);
  if (node.said === said) return;
  node.said = said;
  node.replaceChildren(...said.split("`").map((piece, index) => (index % 2 ? el("code", {}, piece) : piece)));
}
