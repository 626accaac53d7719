// Computing in words and numbers: credit, states, what a policy means. The same on every tab of the Grid.

import { press } from "./ask.js";
import { bytes, clean, duration, el, upper } from "./format.js";
import { icon } from "./icons.js";

export const grouped = (count) => Math.round(Number(count) || 0).toLocaleString("en");
export const counted = (count, one, many = `${one}s`) => `${grouped(count)} ${Math.round(count) === 1 ? one : many}`;

// 1,234 stays; 1234567 becomes 1.23 M: for stations and cards, where room is short.
export function short(count) {
  const value = Number(count) || 0;
  if (value < 10_000) return grouped(value);
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (value >= size * 0.9995) return `${(value / size).toPrecision(3)} ${letter}`;
  return grouped(value);
}

// Cobblestones: as many digits as they deserve.
export function credit(amount) {
  const value = Number(amount) || 0;
  if (value === 0) return "0";
  if (Math.abs(value) >= 1e6) return short(value);
  if (Math.abs(value) >= 1000) return grouped(value);
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 4 });
}

export const percent = (part) => (part >= 1 ? "100 %" : `${Math.floor(part * 1000) / 10} %`);

// A share of something that is not over is never said to be all of it.
export const share = (done, all) => (all > 0 ? (done >= all ? 1 : Math.min(0.999, done / all)) : 0);

// "2 h", not "2 h 0 min"; no more than what is worth reading.
export const lasting = (seconds) => (seconds > 0 && seconds < 10 ? (seconds < 0.1 ? "less than 0.1 s" : `${seconds.toFixed(1).replace(".0", "")} s`) : duration(seconds).replace(/ 0 (min|h)$/, ""));
export const left = (seconds) => (seconds === null || seconds === undefined ? "" : seconds < 1 ? "any moment" : `${lasting(Math.ceil(seconds))} left`);

// A speed in units a minute, or a second where that says more.
export function speed(perMinute) {
  if (!perMinute) return "0 units/min";
  if (perMinute >= 600) return `${short(perMinute / 60)} units/s`;
  return `${perMinute >= 10 ? grouped(perMinute) : perMinute.toFixed(1)} units/min`;
}

export const UNIT_STATES = [
  ["waiting", "Waiting", "none"], ["running", "Running", "accent"], ["checking", "Checking", "waiting"], ["done", "Done", "direct"],
  ["error", "Failed", "failed"], ["cancelled", "Cancelled", "muted"],
];
export const unitWord = (state) => UNIT_STATES.find(([key]) => key === state)?.[1] ?? clean(state);
export const unitTone = (state) => UNIT_STATES.find(([key]) => key === state)?.[2] ?? "none";

// What became of a copy: its states with the coordinator, what the sandbox said, and how a volunteer's log calls it.
export const OUTCOMES = {
  done: "computed", exit: "ended itself with an error", trap: "crashed", stack: "recursed without end", time: "took too long", memory: "wanted too much memory", output: "wrote too much",
  module: "is no module that can run", input: "its input could not be had", checkpoint: "its checkpoint does not fit", lost: "its process died",
  unsent: "not handed out yet", leased: "being computed", returned: "returned, being checked", valid: "valid", invalid: "wrong", expired: "not heard of any more", failed: "failed", aborted: "given back", unneeded: "not needed any more",
  taken: "returned", late: "too late", unknown: "nobody waited for it", bad: "refused", "given back": "given back",
};
export const outcome = (word) => OUTCOMES[word] ?? clean(word);

export const PRESETS = [
  ["quiet", "Quiet", "Half of the cores at half of their time, long after you left"],
  ["when-idle", "When idle", "All cores but one, once nobody was here for some minutes"],
  ["everything", "Everything", "All cores, also while you work: everything else goes first"],
  ["own", "Your own", "As you set it below"],
];

// What a policy allows, in one sentence that names every limit.
export function meaning(policy, cores) {
  const of = Math.min(policy.cores || 1, cores || 1);
  const parts = [`Lends up to ${of} of ${counted(cores || 1, "core")}${policy.cpu_percent < 100 ? `, each at ${policy.cpu_percent} %` : ""}`];
  parts.push(policy.idle_minutes > 0 ? `once nobody used this machine for ${lasting(policy.idle_minutes * 60)}` : "also while you use this machine");
  parts.push(policy.on_battery ? "on battery, too" : "not on battery");
  if (policy.hours?.length) parts.push(`only ${policy.hours.map(clean).join(" and ")}`);
  const limits = [`${policy.memory_percent} % of the memory`, `${bytes(policy.disk_bytes)} of disk`];
  if (policy.transfer_bytes_per_day) limits.push(`${bytes(policy.transfer_bytes_per_day)} of transfer a day`);
  const pauses = policy.exclusive?.length ? ` Pauses while ${policy.exclusive.map(clean).join(", ")} runs.` : "";
  return `${parts.join(", ")}. At most ${limits.slice(0, -1).join(", ")} and ${limits.at(-1)}.${pauses}`;
}

const SILENT = { off: "Nothing is lent. Turn it on to compute for the projects you joined.", paused: "Paused.", idle: "Ready: no project has work right now.", working: "Computing." };

// Why nothing is computed, or what is: always one line.
export const whyLine = (lending) => upper(clean(lending.why || SILENT[lending.state] || "")).replace(/([^.!?…])$/, "$1.");

// -- small parts

// A button that says what it is doing; `said` gets the problem, or null.
export function deed(word, work, { sign, kind = "quiet", doing = "Working…", small = false, said } = {}) {
  const node = el("button", { class: `${kind}-button${small ? " small-button" : ""}`, type: "button" }, ...(sign ? [icon(sign)] : []), el("span", { class: "label" }, word));
  node.addEventListener("click", press(node, doing, work, said));
  return node;
}

// What a project pays for being quick, by its k; "" for nothing.
export const beingQuick = (k) => (k > 0 ? `Quick results earn more: √(${Math.round(k * 1000) / 1000} × deadline / time taken) times as much, at most 10` : "");

export const dot = (tone) => el("span", { class: "dot", "data-tone": tone });

// A bar; `set(part)` with 0 to 1, or null for "somewhere in between".
export function bar(label) {
  const fill = el("span", { class: "bar" });
  const node = el("span", { class: "track grid-track", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  return {
    node,
    set(part, tone = "") {
      node.dataset.tone = tone;
      node.classList.toggle("unknown", part === null || part === undefined);
      if (part === null || part === undefined) node.removeAttribute("aria-valuenow");
      else node.setAttribute("aria-valuenow", Math.floor(part * 100));
      fill.style.transform = `scaleX(${part ?? 1})`;
    },
  };
}

// Words above a number, as on the overview.
export function figure(word) {
  const value = el("span", { class: "figure" }, "–");
  const note = el("span", { class: "note" });
  const node = el("div", { class: "grid-figure" }, el("span", { class: "total-word" }, word), value, note);
  return { node, value, note };
}

// One of a few, as segments. chosen(key) is called for another one.
export function segments(label, choices, first, chosen) {
  let current = first;
  const buttons = choices.map(([key, word]) => el("button", { class: "segment", type: "button", role: "radio", onclick: () => {
    if (key === current) return;
    set(key);
    chosen(key);
  } }, word));
  const set = (key) => {
    current = key;
    buttons.forEach((button, index) => button.setAttribute("aria-checked", choices[index][0] === key));
  };
  set(first);
  return { node: el("span", { class: "segments", role: "radiogroup", "aria-label": label }, ...buttons), set, get value() { return current; } };
}

export function empty(title, words, ...more) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), el("p", { class: "empty-text" }, words), ...(more.length ? [el("div", { class: "empty-buttons" }, ...more)] : []));
}

export const facts = (pairs) => el("dl", { class: "grid-facts" }, ...pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined).flatMap(([word, value]) => [el("dt", {}, word), el("dd", { dir: "auto" }, value)]));

// A text that others need: to read and to copy.
let copies = 0;
export function passOn(text, note = "") {
  copies += 1;
  const id = `grid-copy-${copies}`;
  return el("div", { class: "pass-on-text" }, el("p", { class: "code grid-code", id }, clean(text)), el("div", { class: "pass-on-foot" }, el("sv-copy", { "data-from": id }), ...(note ? [el("span", { class: "muted" }, note)] : [])));
}

// A number of a field, or undefined where nothing was written. Throws the name of the field for nonsense.
export function number(field, { factor = 1, whole = false } = {}) {
  const said = field.value.replace(/[\s,_]/g, "");
  if (said === "") return undefined;
  const value = Number(said) * factor;
  if (!Number.isFinite(value)) throw new RangeError(said);
  return whole ? Math.round(value) : value;
}
