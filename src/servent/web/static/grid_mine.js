// <sv-grid-mine>: own projects, each with its units by state, its speed, and when it will be done.

import { go } from "./address.js";
import { part as quoted } from "./ask.js";
import { clean, el, upper, write } from "./format.js";
import { newProject } from "./grid_forms.js";
import { UNIT_STATES, counted, deed, dot, empty, grouped, left, speed } from "./grid_words.js";
import { live } from "./live.js";
import { settle } from "./talk_words.js";

export const openUnits = (one) => (one.by_state.waiting ?? 0) + (one.by_state.running ?? 0) + (one.by_state.checking ?? 0);

export function standing(one) {
  if (one.closed) return ["Closed", "none"];
  if (one.paused) return ["Paused", "waiting"];
  if (!one.units) return ["New", "none"];
  if (!openUnits(one) && one.by_state.error) return one.by_state.done ? ["Done in part", "waiting"] : ["Failed", "failed"];
  if (!openUnits(one)) return ["Done", "direct"];
  return one.throughput || one.by_state.running ? ["Running", "direct"] : ["Waiting", "relayed"];
}

// Why it stands as it does, in one line.
export function standingWhy(one) {
  if (one.why) return upper(clean(one.why));
  if (one.closed) return "Nothing is handed out any more. Its ledger stays.";
  if (one.paused) return "You paused it: nothing is handed out.";
  if (!one.apps.some((app) => !app.retired)) return "Add an app, a WebAssembly module, and then submit work for it.";
  if (!one.units) return "Submit work, and pass the project's link on to those who would help.";
  if (!openUnits(one) && one.by_state.error) return `${counted(one.by_state.error, "unit")} failed: Errors says why.${one.by_state.done ? " All others are done." : ""}`;
  if (!openUnits(one)) return "Everything that was submitted is done.";
  return one.hosts_now ? `${counted(one.hosts_now, "machine")} connected.` : "Nobody computes for it right now. Pass its link on.";
}

// A stacked bar of the units by state, done first: what is over grows from the left.
const STACKED = ["done", "checking", "running", "waiting", "error", "cancelled"];
export function stack() {
  const parts = new Map(STACKED.map((state) => [state, el("span", { class: "stack-part", "data-state": state })]));
  const node = el("div", { class: "stack", role: "img" }, ...parts.values());
  return {
    node,
    show(byState, units) {
      const all = Math.max(1, units || Object.values(byState).reduce((sum, count) => sum + count, 0));
      for (const [state, part] of parts) {
        const width = `${(((byState[state] ?? 0) / all) * 100).toFixed(3)}%`;
        if (part.style.width !== width) part.style.width = width;
      }
      const said = UNIT_STATES.filter(([state]) => byState[state]).map(([state, word]) => `${grouped(byState[state])} ${word.toLowerCase()}`).join(", ");
      node.setAttribute("aria-label", said || "No units yet");
    },
  };
}

class Mine extends HTMLElement {
  connectedCallback() {
    this.cards = new Map();
    this.list = el("div", { class: "grid-cards" });
    this.nothing = el("div", {});
    this.replaceChildren(this.list, this.nothing);
    this._open = (event) => event.detail === "new" && newProject();
    addEventListener("servent-grid", this._open);
    this._stop = live.watch(["projects"], () => this.paint(), 700);
  }

  disconnectedCallback() {
    removeEventListener("servent-grid", this._open);
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const all = [...live.projects.values()].sort((a, b) => a.closed - b.closed || b.created - a.created || (a.id < b.id ? -1 : 1));
    for (const id of [...this.cards.keys()]) if (!live.projects.has(id)) this.cards.delete(id);
    settle(this.list, all.map((one) => this._card(one)));
    if (all.length) return this.nothing.replaceChildren();
    const known = live.known.has("projects");
    if (this.nothing.firstChild && this.known === known) return undefined;
    this.known = known;
    this.nothing.replaceChildren(el("section", { class: "card" }, known
      ? empty("No project of yours yet", "Borrow the machines of others: make a project, add a program as WebAssembly, submit work, and pass the link on. No server to install.", deed("New project", () => newProject(), { kind: "main", sign: "add" }))
      : empty(live.connection === "away" ? "The node is away" : "Asking the node…", "")));
    return undefined;
  }

  _card(one) {
    let card = this.cards.get(one.id);
    if (!card) {
      card = { dot: dot("none"), name: el("h2", { dir: "auto" }), word: el("span", { class: "mark" }), why: el("p", { class: "why", dir: "auto" }), stack: stack(), done: el("span", {}), eta: el("span", { class: "left" }), line: el("p", { class: "small-text" }) };
      card.node = el("a", { class: "card grid-card grid-mine-card", href: `/grid/${quoted(one.id)}` }, el("div", { class: "network-head" }, card.dot, card.name, card.word), card.why,
        el("div", { class: "progress" }, el("span", { class: "progress-text" }, card.done, card.eta), card.stack.node), card.line);
      this.cards.set(one.id, card);
    }
    const [word, tone] = standing(one);
    card.dot.dataset.tone = tone;
    write(card.name, clean(one.name));
    write(card.word, word);
    write(card.why, standingWhy(one));
    write(card.done, one.units ? `${grouped(one.by_state.done ?? 0)} of ${counted(one.units, "unit")} done` : "No units yet");
    write(card.eta, openUnits(one) ? left(one.eta) : "");
    card.stack.show(one.by_state, one.units);
    write(card.line, [speed(one.throughput), `${counted(one.hosts_now, "machine")} now, ${grouped(one.hosts)} in all`, one.errors ? counted(one.errors, "error") : ""].filter(Boolean).join(" · "));
    return card.node;
  }
}
customElements.define("sv-grid-mine", Mine);

export const open = (id) => go(`/grid/${quoted(id)}`);
