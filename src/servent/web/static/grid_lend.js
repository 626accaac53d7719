// <sv-grid-lend>: what this machine lends now, why it computes nothing where it does not, and when it may.

import { patch, post, whole } from "./ask.js";
import { trouble } from "./forms.js";
import { attribute, bytes, clean, el, upper, write } from "./format.js";
import { bar, counted, credit, deed, dot, facts, figure, grouped, lasting, left, percent, whyLine } from "./grid_words.js";
import { Presets } from "./grid_policy.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { settle } from "./talk_words.js";

const TONES = { off: "none", paused: "waiting", idle: "relayed", working: "direct" };
const PAUSES = [["", "until I resume it"], ["900", "for 15 minutes"], ["3600", "for an hour"], ["28800", "for 8 hours"]];
const SLOT_WORDS = { empty: "Nothing to do", starting: "Starting", running: "Running", paused: "Paused" };

const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

class Lend extends HTMLElement {
  connectedCallback() {
    this.slots = new Map();
    this.said = trouble();
    const fail = (problem) => write(this.said, problem ? whole(problem) : "");
    this.dot = dot("none");
    this.headline = el("h2", {}, "…");
    this.why = el("p", { class: "lend-why", role: "status", dir: "auto" });
    this.on = deed("Lend this machine", () => this._take(patch("/grid/lending", { on: true })), { kind: "main", sign: "resume", doing: "Starting…", said: fail });
    this.off = deed("Stop lending", () => this._take(patch("/grid/lending", { on: false })), { kind: "danger", small: true, doing: "Stopping…", said: fail });
    this.resume = deed("Resume", () => this._take(post("/grid/lending/resume")), { kind: "main", sign: "resume", doing: "Resuming…", said: fail });
    this.pause = deed("Pause", () => this._take(post("/grid/lending/pause", this.long.value ? { seconds: Number(this.long.value) } : {})), { sign: "pause", doing: "Pausing…", said: fail });
    this.long = el("select", { class: "small-select", "aria-label": "Pause for how long" }, ...PAUSES.map(([value, word]) => el("option", { value }, word)));
    this.figures = { today: figure("Credit today"), recent: figure("A day, lately"), total: figure("In all"), units: figure("Units today") };
    this.list = el("ul", { class: "slots", "aria-label": "Lent cores" });
    this.none = el("p", { class: "muted" });
    this.store = el("div", {});
    this.presets = new Presets((change) => this._take(patch("/grid/lending", change)), fail);
    this.replaceChildren(
      el("div", { class: "lend-top" },
        el("section", { class: "card lend-now" },
          el("div", { class: "lend-head" }, this.dot, this.headline), this.why, this.said,
          el("div", { class: "lend-buttons" }, this.on, this.resume, el("span", { class: "lend-pause" }, this.pause, this.long), this.off)),
        el("section", { class: "card lend-credit", "aria-label": "Credit" }, ...Object.values(this.figures).map(({ node }) => node))),
      el("sv-grid-picture", {}),
      el("div", { class: "lend-rest" },
        el("section", { class: "card" }, el("h2", {}, "What each core does"), this.list, this.none, this.store),
        this.presets.node));
    this._stop = live.watch(["lending", "joined"], () => this.paint(), 500);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  async _take(answer) {
    live.lending = await answer;
    live.changed("lending");
  }

  paint() {
    const now = live.lending;
    if (!now) {
      write(this.headline, live.connection === "away" ? "The node is away" : "Asking the node…");
      for (const each of [this.on, this.off, this.resume, this.pause, this.long]) each.hidden = true;
      return;
    }
    const busy = now.slots.filter((slot) => slot.state !== "empty").length;
    const state = now.on ? now.state : "off";
    this.dot.dataset.tone = TONES[state] ?? "none";
    write(this.headline, { off: "Nothing is lent", paused: "Paused", idle: "Ready, without work", working: /^lending \d/i.test(now.why) ? "Computing" : `Lending ${busy} of ${counted(now.machine_cores, "core")}` }[state] ?? upper(clean(state)));
    write(this.why, `${whyLine(now)}${now.by_person && state === "paused" && now.paused_until ? ` It goes on by itself at ${clock(now.paused_until)}.` : ""}`);
    this.dataset.state = state;
    this.on.hidden = state !== "off";
    this.resume.hidden = !(state === "paused" && now.by_person);
    this.pause.hidden = this.long.hidden = state === "off" || !this.resume.hidden;
    this.off.hidden = state === "off";
    write(this.figures.today.value, credit(now.today));
    write(this.figures.recent.value, credit(now.recent));
    write(this.figures.total.value, credit(now.total));
    write(this.figures.units.value, grouped(now.units_today));
    write(this.figures.recent.note, "average, half-life a week");
    write(this.figures.today.note, "cobblestones; 200 are a GFLOPS-day");
    write(this.figures.total.note, "over all projects");
    write(this.figures.units.note, now.to_return ? `${grouped(now.to_return)} to be returned` : "all returned");
    this._cores(now);
    this.presets.show(now);
  }

  _cores(now) {
    for (const number of [...this.slots.keys()]) if (!now.slots.some((slot) => slot.number === number)) this.slots.delete(number);
    settle(this.list, now.slots.map((slot, index) => this._slot(slot, index + 1)));
    this.none.hidden = now.slots.length > 0;
    write(this.none, !now.on ? "While nothing is lent, no core does anything for others." : live.joined.size ? "Nothing runs right now." : "Join a project first: its link is all you need.");
    const about = facts([
      ["In store", now.queued ? `${counted(now.queued, "unit")}, work for ${lasting(now.queued_seconds)}` : "nothing ahead"],
      ["One core", now.mflops ? `${grouped(now.mflops)} MFLOP/s in the sandbox` : "not measured yet"],
      ["Disk", `${bytes(now.disk_used_bytes)} of ${bytes(now.policy.disk_bytes)}`],
      ["Moved today", `${bytes(now.transferred_today_bytes)}${now.policy.transfer_bytes_per_day ? ` of ${bytes(now.policy.transfer_bytes_per_day)}` : ""}`],
    ]);
    if (this.store.textContent !== about.textContent) this.store.replaceChildren(about);
  }

  _slot(slot, place) {
    let row = this.slots.get(slot.number);
    if (!row) {
      const progress = bar(`Core ${place}`);
      row = { progress, name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), part: el("span", { class: "percent" }), rest: el("span", { class: "left" }) };
      row.node = el("li", { class: "slot" }, el("span", { class: "way", title: `Core ${place}` }, icon("core")), el("span", { class: "what" }, row.name, row.why), el("span", { class: "slot-progress" }, el("span", { class: "progress-text" }, row.part, row.rest), progress.node));
      this.slots.set(slot.number, row);
    }
    const works = slot.state !== "empty";
    row.node.classList.toggle("resting", !works);
    attribute(row.node, "data-state", slot.state);
    write(row.name, works ? clean([slot.app, slot.unit].filter(Boolean).join(" · ") || "A unit") : `Core ${place}`);
    const kept = slot.checkpoint_age === null || slot.checkpoint_age === undefined ? "" : `kept ${slot.checkpoint_age < 5 ? "just now" : `${lasting(Math.round(slot.checkpoint_age))} ago`}`;
    write(row.why, works ? [clean(slot.project_name), slot.state === "running" ? "" : SLOT_WORDS[slot.state], lasting(Math.round(slot.seconds)), bytes(slot.memory_bytes), kept].filter(Boolean).join(" · ") : SLOT_WORDS.empty);
    write(row.part, !works ? "" : slot.fraction === null || slot.fraction === undefined ? (slot.slices ? counted(slot.slices, "slice") : "") : percent(slot.fraction));
    write(row.rest, slot.state === "running" ? left(slot.eta) : "");
    row.progress.node.hidden = !works;
    row.progress.set(works ? slot.fraction : 0, slot.state === "running" ? "direct" : "waiting");
    return row.node;
  }
}
customElements.define("sv-grid-lend", Lend);
