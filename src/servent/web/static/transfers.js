// <sv-transfers>: every transfer with its state, the reason why it waits, and its buttons.
// <sv-transfers compact>: the few that matter now, for the overview.

import { attribute, bytes, clean, duration, el, rate, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, act, live } from "./live.js";
import { Rows } from "./rows.js";

// state -> [word, tone, group, order]
const STATES = {
  active: ["Moving", "direct", "moving", 0],
  checking: ["Checking", "accent", "moving", 1],
  metadata: ["Reading the list of files", "accent", "moving", 1],
  connecting: ["Connecting", "waiting", "waiting", 2],
  queued: ["Queued", "waiting", "waiting", 2],
  paused: ["Paused", "waiting", "waiting", 3],
  failed: ["Failed", "failed", "failed", 4],
  complete: ["Complete", "muted", "done", 5],
  cancelled: ["Cancelled", "muted", "done", 6],
};
const GROUPS = [["all", "All"], ["moving", "Moving"], ["waiting", "Waiting"], ["failed", "Failed"], ["done", "Done"]];
const ACTIONS = {
  pause: { word: "Pause", doing: "Pausing…", when: ["active", "checking", "metadata", "connecting", "queued"] },
  resume: { word: "Resume", doing: "Resuming…", when: ["paused", "failed"] },
  cancel: { word: "Cancel", doing: "Cancelling…", when: ["active", "checking", "metadata", "connecting", "queued", "paused", "failed"] },
  verify: { word: "Check again", doing: "Reading all of it from the disk again…", when: ["complete"], wait: 3600_000, good: "Checked again: every byte is as it was sent" },
  remove: { word: "Remove from the list", doing: "Removing it…", when: ["complete", "cancelled"] },
};
const state = (transfer) => STATES[transfer.state] ?? [clean(transfer.state), "muted", "waiting", 3];

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

// Why it is where it is, in one sentence: the node's own reason when it waits, what is happening when it moves.
export function sentence(transfer) {
  if (transfer.state === "failed") return clean(transfer.error || transfer.reason || "It stopped; the node gave no reason.");
  if (transfer.state === "active") {
    const sources = transfer.sources ?? [];
    if (transfer.direction === "up") return sources.length ? `Sending to ${plural(sources.length, "peer", "peers")}` : clean(transfer.reason || "Sending");
    const relayed = sources.filter((source) => source.path === "relayed").length;
    if (!sources.length) return clean(transfer.reason || "Receiving");
    return `From ${plural(sources.length, "source", "sources")}${relayed ? `, ${relayed} relayed` : ", all direct"}`;
  }
  if (transfer.reason) return clean(transfer.reason);
  if (transfer.state === "complete") return `${bytes(transfer.size_bytes)} verified${transfer.path ? `, in ${clean(transfer.path)}` : ""}`;
  return state(transfer)[0];
}

function part(transfer) {
  if (transfer.state === "complete") return 1;
  return transfer.size_bytes > 0 ? Math.min(1, transfer.done_bytes / transfer.size_bytes) : 0;
}

function percent(value) {
  return `${Math.floor(value * 100)} %`; // never "100 %" before the last byte is verified
}

class Transfers extends HTMLElement {
  connectedCallback() {
    this.compact = this.hasAttribute("compact");
    this.group = "all";
    this.needle = "";
    this.pending = new Map(); // transfer id -> the action that waits for the node's answer
    this.notes = new Map(); // transfer id -> good news about it, until the next action
    this.problems = new Map(); // transfer id -> what the node answered when it said no
    this.places = new Map(); // transfer id -> its place by state, kept while the list is in use
    this.opened = null;
    this.painted = 0;
    this._build();
    this._stop = live.watch(["transfers"], () => this.paint());
  }

  disconnectedCallback() {
    this._stop?.();
    this.rows?.detach();
    this.replaceChildren();
  }

  _build() {
    this.rows = new Rows({ label: "Transfers", make: () => this._row(), fill: (row, item) => this._fill(row, item), open: (item, row) => this._open(item, row) });
    this.empty = el("div", { class: "empty", hidden: true },
      el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    if (this.compact) {
      this.replaceChildren(this.rows.node, this.empty);
    } else {
      this.chips = GROUPS.map(([group, word]) => {
        const count = el("span", { class: "chip-count" });
        const chip = el("button", { class: "chip", type: "button", "aria-pressed": group === "all", onclick: () => this._choose(group) }, word, count);
        return { group, chip, count };
      });
      this.search = el("input", { class: "search", type: "search", placeholder: "Find by name", "aria-label": "Find a transfer by name", oninput: () => {
        this.needle = this.search.value.trim().toLowerCase();
        this.paint();
      } });
      this.drawer = el("aside", { class: "drawer", hidden: true, tabindex: "-1", "aria-label": "Details of the transfer" });
      this.drawer.addEventListener("keydown", (event) => event.key === "Escape" && this._close());
      this.head = el("div", { class: "rows-head", "aria-hidden": "true" }, ...["", "Name", "Progress", "Rate", "Time left", ""].map((word) => el("span", {}, word)));
      this.replaceChildren(
        el("div", { class: "tools" }, el("div", { class: "chips", role: "group", "aria-label": "Show" }, ...this.chips.map(({ chip }) => chip)), this.search),
        el("div", { class: "with-drawer" }, el("div", { class: "card list" }, this.head, this.rows.node, this.empty), this.drawer));
    }
    this.rows.attach();
  }

  _row() {
    const row = el("div", { class: "transfer" });
    const name = el("span", { class: "name", dir: "auto" });
    const why = el("span", { class: "why", dir: "auto" });
    const bar = el("span", { class: "bar" });
    const track = el("span", { class: "track", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
    const share = el("span", { class: "percent" });
    const size = el("span", { class: "size" });
    const speed = el("span", { class: "speed" });
    const left = el("span", { class: "left" });
    const way = icon("down");
    const buttons = Object.fromEntries(Object.entries(ACTIONS).map(([action, { word }]) => {
      const button = el("button", { class: "round", type: "button", title: word }, icon(action));
      button.addEventListener("click", () => this._act(row.item, action));
      return [action, button];
    }));
    row.append(el("span", { class: "way" }, way), el("span", { class: "what" }, name, why),
      el("span", { class: "progress" }, el("span", { class: "progress-text" }, share, size), track), speed, left,
      el("span", { class: "actions" }, ...Object.values(buttons)));
    row.parts = { name, why, bar, track, share, size, speed, left, way, buttons };
    return row;
  }

  _fill(row, transfer) {
    const parts = row.parts;
    const [word, tone] = state(transfer);
    const done = part(transfer);
    const fresh = row.item?.id !== transfer.id;
    row.item = transfer;
    if (row.dataset.tone !== tone) row.dataset.tone = tone;
    if (fresh) {
      write(parts.name, clean(transfer.name || "Not known yet"));
      attribute(parts.way, "name", transfer.direction === "up" ? "up" : "down");
      attribute(parts.way.parentNode, "title", transfer.direction === "up" ? "Sending" : "Receiving");
      attribute(parts.track, "aria-label", `Progress of ${clean(transfer.name)}`);
    } else if (parts.name.textContent !== clean(transfer.name || "Not known yet")) {
      write(parts.name, clean(transfer.name));
    }
    const doing = this.pending.get(transfer.id);
    const problem = this.problems.get(transfer.id);
    write(parts.why, problem ? `${problem.message}. ${problem.advice}`.trim() : this.notes.has(transfer.id) ? this.notes.get(transfer.id) : doing ? ACTIONS[doing].doing : ["paused", "queued"].includes(transfer.state) && transfer.reason ? `${word}: ${sentence(transfer)}` : sentence(transfer));
    parts.why.classList.toggle("problem", Boolean(problem));
    parts.bar.style.transform = `scaleX(${done.toFixed(4)})`;
    attribute(parts.track, "aria-valuenow", Math.floor(done * 100));
    write(parts.share, transfer.state === "complete" ? "Done" : percent(done));
    write(parts.size, transfer.size_bytes ? bytes(transfer.size_bytes) : "");
    write(parts.speed, transfer.state === "active" ? rate(transfer.rate_bytes_per_s) : "");
    write(parts.left, transfer.state === "active" ? duration(transfer.eta_s) : "");
    for (const [action, button] of Object.entries(parts.buttons)) {
      const possible = transfer.direction === "down" && ACTIONS[action].when.includes(transfer.state);
      if (button.hidden === possible) button.hidden = !possible;
      button.tabIndex = row.tabIndex;
      attribute(button, "aria-label", `${ACTIONS[action].word} ${clean(transfer.name)}`);
      attribute(button, "aria-busy", doing === action ? "true" : null);
      if (button.disabled !== Boolean(doing)) button.disabled = Boolean(doing);
    }
  }

  async _act(transfer, action) {
    if (this.pending.has(transfer.id)) return;
    this.pending.set(transfer.id, action);
    this.problems.delete(transfer.id);
    this.notes.delete(transfer.id);
    this.paint();
    try {
      const { wait, good } = ACTIONS[action];
      const now = await act(`/transfers/${encodeURIComponent(transfer.id)}/${action}`, wait);
      if (action === "remove") live.remove("transfers", transfer.id);
      else live.merge("transfers", now);
      if (good) this.notes.set(transfer.id, good);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.problems.set(transfer.id, problem);
    } finally {
      this.pending.delete(transfer.id);
      this.paint();
    }
  }

  _choose(group) {
    this.group = group;
    this.places.clear();
    for (const { chip, group: its } of this.chips) chip.setAttribute("aria-pressed", its === group);
    this.rows.node.scrollTop = 0;
    this.paint();
  }

  // What moves comes first, then the newest. While somebody points at the list or works in it, each row keeps
  // its place: nothing jumps away under the hand that just paused it.
  _order(transfers) {
    const busy = this.rows.node.matches(":hover") || this.rows.node.contains(document.activeElement);
    if (!busy) this.places.clear();
    const place = (transfer) => {
      if (!this.places.has(transfer.id)) this.places.set(transfer.id, state(transfer)[3]);
      return this.places.get(transfer.id);
    };
    return transfers.sort((a, b) => place(a) - place(b) || (b.started ?? 0) - (a.started ?? 0) || (a.id < b.id ? -1 : 1));
  }

  paint() {
    this.painted += 1;
    const counts = { all: 0, moving: 0, waiting: 0, failed: 0, done: 0 };
    const chosen = [];
    for (const transfer of live.transfers.values()) {
      const group = state(transfer)[2];
      counts.all += 1;
      counts[group] += 1;
      if (this.compact || ((this.group === "all" || this.group === group) && (!this.needle || String(transfer.name).toLowerCase().includes(this.needle))))
        chosen.push(transfer);
    }
    this._order(chosen);
    const items = this.compact ? chosen.slice(0, 5) : chosen;
    this.rows.node.classList.toggle("gone", !items.length);
    this.rows.node.style.setProperty("--count", items.length);
    this.rows.show(items);
    this._emptiness(items.length, counts.all);
    if (this.compact) return;
    for (const { group, count } of this.chips) write(count, String(counts[group]));
    this.head.hidden = !items.length;
    if (this.opened) this._details();
  }

  _emptiness(shown, all) {
    this.empty.hidden = shown > 0;
    if (shown) return;
    const [title, text] = this.empty.children;
    if (live.connection !== "live" && !all) {
      write(title, live.connection === "away" ? "The node is away" : "Asking the node…");
      write(text, "");
    } else if (all) {
      write(title, "Nothing here");
      write(text, this.needle ? "No transfer has these letters in its name." : "No transfer is in this state right now.");
    } else {
      write(title, "Nothing has been sent or fetched yet");
      write(text, "Send makes a link out of a file or folder. Whoever has the link, and is let in, gets it with Get.");
    }
  }

  _open(transfer, row) {
    if (this.compact) {
      document.querySelector('a[href="/transfers"]')?.click();
      return;
    }
    this.opened = transfer.id;
    this._from = row?.index;
    this.drawer.hidden = false;
    this.classList.add("drawn");
    this._frame = null;
    this._details();
    this.drawer.focus({ preventScroll: true });
  }

  _close() {
    this.opened = null;
    this.drawer.hidden = true;
    this.classList.remove("drawn");
    if (this._from !== undefined && this._from < this.rows.items.length) this.rows.focus(this._from);
  }

  _details() {
    const transfer = live.transfers.get(this.opened);
    if (!transfer) return this._close();
    if (!this._frame) {
      const fact = (word) => {
        const value = el("dd", { dir: "auto" });
        return { word, value, nodes: [el("dt", {}, word), value] };
      };
      const facts = ["State", "Size", "Files", "Time left", "Where", "Link"].map(fact);
      const frame = { title: el("h2", { dir: "auto" }), why: el("p", { class: "muted" }), facts, sources: el("ul", { class: "sources" }), count: el("h3") };
      this.drawer.replaceChildren(
        el("button", { class: "round drawer-close", type: "button", "aria-label": "Close details", onclick: () => this._close() }, icon("close")),
        frame.title, frame.why, el("dl", {}, ...facts.flatMap(({ nodes }) => nodes)), frame.count, frame.sources);
      this._frame = frame;
    }
    const { title, why, facts, sources, count } = this._frame;
    write(title, clean(transfer.name));
    write(why, `${sentence(transfer)}${transfer.advice ? ` ${clean(transfer.advice)}` : ""}`);
    const values = [
      state(transfer)[0],
      `${bytes(transfer.done_bytes)} of ${bytes(transfer.size_bytes)}`,
      Array.isArray(transfer.files) ? String(transfer.files.length) : String(transfer.files ?? "–"),
      duration(transfer.eta_s),
      clean(transfer.path || "–"),
      clean(transfer.link || "–"),
    ];
    facts.forEach(({ value }, index) => write(value, values[index]));
    const list = transfer.sources ?? [];
    write(count, transfer.direction === "up" ? `Peers that fetch it: ${list.length}` : `Sources: ${list.length}`);
    while (sources.children.length > list.length) sources.lastChild.remove();
    list.forEach((source, index) => {
      let row = sources.children[index];
      if (!row) {
        row = el("li", {}, el("span", { class: "dot" }), el("span", { class: "name", dir: "auto" }), el("span", { class: "speed" }), el("span", { class: "why", dir: "auto" }));
        sources.append(row);
      }
      const [dot, name, speed, note] = row.children;
      dot.dataset.tone = source.path === "relayed" ? "relayed" : "direct";
      write(name, clean(source.name || String(source.peer).slice(0, 8)));
      write(speed, rate(source.rate_bytes_per_s));
      const place = source.position ? `, place ${source.position} in its queue` : "";
      write(note, `${source.path ?? "path unknown"}${source.lane ? ` over ${source.lane === "tcp" ? "TCP" : "QUIC"}` : ""}, ${clean(source.state ?? "")}${place}`);
    });
  }
}
customElements.define("sv-transfers", Transfers);
