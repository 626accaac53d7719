// What a transfer is called, how it stands, and why: the same words in the table, in the drawer and in the bar.

import { bytes, clean, upper } from "./format.js";

// state -> [word, tone, group, order]
const STATES = {
  active: ["Moving", "direct", "moving", 0],
  checking: ["Checking", "accent", "moving", 1],
  metadata: ["Reading the list of files", "accent", "moving", 1],
  connecting: ["Connecting", "waiting", "waiting", 2],
  queued: ["Queued", "waiting", "waiting", 2],
  paused: ["Paused", "waiting", "paused", 3],
  failed: ["Failed", "failed", "failed", 4],
  complete: ["Complete", "muted", "done", 5],
  cancelled: ["Cancelled", "muted", "done", 6],
};
export const GROUPS = [["all", "All"], ["moving", "Moving"], ["waiting", "Waiting"], ["paused", "Paused"], ["failed", "Failed"], ["done", "Done"]];
const UNDER_WAY = ["active", "checking", "metadata", "connecting", "queued"];
export const ACTIONS = {
  pause: { word: "Pause", doing: "Pausing…", when: UNDER_WAY },
  resume: { word: "Resume", doing: "Resuming…", when: ["paused", "failed"] },
  cancel: { word: "Cancel", doing: "Cancelling…", when: [...UNDER_WAY, "paused", "failed"] },
  verify: { word: "Check again", doing: "Reading all of it from the disk again…", when: ["complete"], wait: 3600_000, good: "Checked again: every byte is as it was sent" },
  remove: { word: "Remove from the list", doing: "Removing it…", when: ["complete", "cancelled"] },
};

export const state = (transfer) => STATES[transfer.state] ?? [clean(transfer.state), "muted", "waiting", 3];
export const can = (transfer, action) => transfer.direction === "down" && ACTIONS[action].when.includes(transfer.state);
export const ended = (transfer) => ["complete", "cancelled"].includes(transfer.state);
export const waits = (transfer) => transfer.direction === "down" && transfer.place !== null && transfer.place !== undefined;

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// Why it is where it is, in one sentence: the node's own reason when it waits, what is happening when it moves.
export function sentence(transfer) {
  if (transfer.state === "failed") return upper(clean(transfer.error || transfer.reason || "It stopped; the node gave no reason."));
  if (transfer.state === "active") {
    const sources = transfer.sources ?? [];
    if (transfer.direction === "up") {
      const to = sources.length === 1 ? clean(sources[0].name || String(sources[0].peer).slice(0, 8)) : plural(sources.length, "peer");
      return sources.length ? `Sending to ${to}` : clean(transfer.reason || "Sending");
    }
    const relayed = sources.filter((source) => source.path === "relayed").length;
    if (!sources.length) return clean(transfer.reason || "Receiving");
    if (sources.length === 1) return `From ${clean(sources[0].name || String(sources[0].peer).slice(0, 8))}, ${relayed ? "relayed" : "direct"}`;
    return `From ${plural(sources.length, "source")}, ${relayed ? `${relayed} relayed` : "all direct"}`;
  }
  if (transfer.reason) return upper(clean(transfer.reason));
  if (transfer.state === "complete") return `${bytes(transfer.size_bytes)} verified${transfer.path ? `, in ${clean(transfer.path)}` : ""}`;
  return state(transfer)[0];
}

// The sentence with the state before it where the sentence alone would not tell, and the place in the queue.
export function line(transfer) {
  const said = sentence(transfer);
  if (!["paused", "queued"].includes(transfer.state) || !transfer.reason) return said;
  const place = transfer.state === "queued" && waits(transfer) ? (transfer.place === 0 ? "Next in the queue" : `Place ${transfer.place + 1} in the queue`) : state(transfer)[0];
  return `${place}: ${clean(transfer.reason)}`;
}

export function part(transfer) {
  if (transfer.state === "complete") return 1;
  return transfer.size_bytes > 0 ? Math.min(1, transfer.done_bytes / transfer.size_bytes) : 0;
}

export const percent = (value) => `${Math.floor(value * 100)} %`; // never "100 %" before the last byte is verified

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

// "412.37 of 890.1 MB": what came in the unit of the whole, with one digit more than bytes() has, so that it is seen to move.
export function came(transfer) {
  const size = transfer.size_bytes;
  if (!size) return transfer.done_bytes ? bytes(transfer.done_bytes) : "";
  if (transfer.state === "complete") return bytes(size);
  let unit = 0;
  let scale = 1;
  while (size / scale >= 999.5 && unit < UNITS.length - 1) {
    scale *= 1000;
    unit += 1;
  }
  const done = transfer.done_bytes / scale;
  return `${done.toFixed(unit < 2 ? 0 : unit === 2 ? 1 : 3)} of ${bytes(size)}`;
}
