// Fields of our own dialogs: a label above, a note below, and the text that was entered.

import { clean, el, peerName } from "./format.js";
import { live } from "./live.js";

export function text(word, { value = "", hint = "", note = "", type = "text", lines = 1 } = {}) {
  const input = lines > 1 ? el("textarea", { class: "plain", rows: lines, placeholder: hint }) : el("input", { class: "plain", type, placeholder: hint });
  input.autocomplete = "off";
  input.spellcheck = false;
  input.value = value;
  return { input, node: el("label", { class: "field" }, el("span", { class: "field-label" }, word), input, ...(note ? [el("span", { class: "note" }, note)] : [])), get value() { return input.value.trim(); } };
}

export function check(word, { value = false, note = "" } = {}) {
  const input = el("input", { type: "checkbox" });
  input.checked = value;
  return { input, node: el("label", { class: "check-line" }, input, el("span", {}, word, ...(note ? [el("span", { class: "note" }, note)] : []))), get value() { return input.checked; } };
}

export function select(word, options, { value, note = "" } = {}) {
  const input = el("select", { class: "plain" }, ...options.map(([key, said]) => el("option", { value: key }, said)));
  if (value !== undefined) input.value = String(value);
  return { input, node: el("label", { class: "field" }, el("span", { class: "field-label" }, word), input, ...(note ? [el("span", { class: "note" }, note)] : [])), get value() { return input.value; } };
}

// Some of the peers, to be ticked. `chosen`: their ids.
export function peers(word, chosen = [], note = "") {
  const boxes = [...live.peers.values()].filter((peer) => !peer.blocked).sort((a, b) => peerName(a).localeCompare(peerName(b)))
    .map((peer) => {
      const box = check(peerName(peer), { value: chosen.includes(peer.id) });
      return { id: peer.id, box };
    });
  const list = el("div", { class: "peer-choice" }, ...boxes.map(({ box }) => box.node));
  if (!boxes.length) list.append(el("p", { class: "note" }, "Nobody is known yet."));
  return { node: el("fieldset", { class: "field plain-set" }, el("legend", { class: "field-label" }, word), ...(note ? [el("span", { class: "note" }, note)] : []), list), get value() { return boxes.filter(({ box }) => box.value).map(({ id }) => id); } };
}

export const trouble = () => el("p", { class: "why problem", role: "alert" });

// How a peer is called, by its id.
export const called = (id) => {
  const peer = live.peers.get(id);
  return peer ? peerName(peer) : clean(String(id ?? "").slice(0, 8));
};

const STEPS = [[86400 * 1.5, 86400, "day"], [5400, 3600, "hour"], [90, 60, "minute"]];

// "3 hours ago"; times are Unix seconds.
export function ago(time) {
  if (!time) return "never";
  const passed = Date.now() / 1000 - time;
  for (const [from, length, word] of STEPS) if (passed >= from) {
    const count = Math.round(passed / length);
    return `${count} ${word}${count === 1 ? "" : "s"} ago`;
  }
  return passed < 10 ? "just now" : "a minute ago";
}

export const day = (time) => (time ? new Date(time * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–");
