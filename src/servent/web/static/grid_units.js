// Single units of an own project with their copies: where each is, and what became of it. Fetched page by page as one scrolls.

import { get, part as quoted, whole } from "./ask.js";
import { ago, trouble } from "./forms.js";
import { attribute, clean, el, upper, write } from "./format.js";
import { dialog } from "./dialog.js";
import { UNIT_STATES, credit, dot, empty, facts, grouped, lasting, outcome, percent, unitTone, unitWord } from "./grid_words.js";
import { Problem } from "./live.js";
import { query } from "./net.js";
import { Rows } from "./rows.js";

const PAGE = 100;

// What copies of a unit do, in one line.
export function copiesLine(unit) {
  if (unit.why) return upper(clean(unit.why));
  const names = (state) => unit.copies.filter((copy) => copy.state === state && copy.peer).map((copy) => clean(copy.peer_name || copy.peer.slice(0, 8)));
  const at = names("leased");
  if (at.length) return `On ${at.join(" and ")}`;
  const back = unit.copies.filter((copy) => copy.peer).map((copy) => clean(copy.peer_name || copy.peer.slice(0, 8)));
  if (back.length) return `${unit.state === "checking" ? "Returned by" : "By"} ${[...new Set(back)].join(", ")}`;
  return "Waits for a machine";
}

export class Units {
  // project() gives what it is about now; chosen(state) hears which units are looked at, "" for all.
  constructor(project, chosen) {
    this.project = project;
    this.chosen = chosen;
    this.state = "";
    this.items = [];
    this.said = trouble();
    this.rows = new Rows({ label: "Units", make: () => this._row(), fill: (row, unit) => this._fill(row, unit), open: (unit) => unitDialog(unit), seen: (_, last) => this._seen(last) });
    this.chips = [["", "All"], ...UNIT_STATES].map(([state, word]) => {
      const count = el("span", { class: "chip-count" });
      return { state, count, node: el("button", { class: "chip", type: "button", "aria-pressed": state === "", onclick: () => this.choose(state) }, word, count) };
    });
    this.none = el("div", { hidden: true }, empty("No such units", "Choose another state above."));
    this.list = el("div", { class: "card list grid-units" }, this.rows.node);
    this.node = el("div", { class: "project-list" }, el("div", { class: "chips", role: "group", "aria-label": "Units by state" }, ...this.chips.map(({ node }) => node)), this.said, this.list, this.none);
    this.rows.attach();
  }

  close() {
    this.rows.detach();
  }

  choose(state) {
    this.state = state;
    for (const chip of this.chips) chip.node.setAttribute("aria-pressed", chip.state === state);
    this.chosen(state);
    this.items = [];
    this.more = false;
    this.last = 0;
    this.turn = (this.turn ?? 0) + 1;
    this.rows.node.scrollTop = 0;
    const one = this.project();
    if (one) this.look(one, true);
  }

  // The pages that are known are asked for again, as far as one has scrolled.
  async look(one, fresh) {
    for (const { state, count } of this.chips) write(count, ` ${grouped(state ? one.by_state[state] ?? 0 : one.units)}`);
    if (this.asking && !fresh) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.asking = true;
    try {
      const wanted = Math.max(PAGE, Math.min(5 * PAGE, this.items.length));
      const page = await this._page(one, 0, wanted);
      if (turn !== this.turn) return;
      const kept = this.items.length > wanted && page.units.length ? this.items.filter((unit) => unit.id > page.units.at(-1).id) : [];
      this.more = kept.length ? this.more : page.more;
      this._show([...page.units, ...kept]);
      write(this.said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    } finally {
      if (turn === this.turn) {
        this.asking = false;
        this._seen(this.last ?? 0); // who scrolled meanwhile waits for more
      }
    }
  }

  _page(one, after, limit) {
    return get(`/grid/projects/${quoted(one.id)}/units${query({ state: this.state, after, limit })}`);
  }

  async _seen(last) {
    const one = this.project();
    this.last = last;
    if (!one || !this.more || this.asking || last < this.items.length - 5) return;
    const turn = this.turn;
    this.asking = true;
    try {
      const page = await this._page(one, this.items.at(-1).id, PAGE);
      if (turn !== this.turn) return;
      this.more = page.more;
      this._show([...this.items, ...page.units]);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    } finally {
      if (turn === this.turn) this.asking = false;
    }
  }

  _show(items) {
    this.items = items;
    this.none.hidden = items.length > 0;
    this.list.hidden = !items.length;
    this.rows.node.style.setProperty("--count", items.length);
    this.rows.show(items);
  }

  _row() {
    const parts = { dot: dot("none"), name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), state: el("span", { class: "unit-state" }), part: el("span", { class: "left" }) };
    const row = el("div", { class: "unit" }, parts.dot, el("span", { class: "what" }, parts.name, parts.why), parts.part, parts.state);
    row.parts = parts;
    return row;
  }

  _fill(row, unit) {
    if (!unit) return;
    const { parts } = row;
    parts.dot.dataset.tone = unitTone(unit.state);
    attribute(row, "data-state", unit.state);
    write(parts.name, `${unit.number}${unit.input ? ` · ${clean(unit.input)}` : ""}`);
    write(parts.why, copiesLine(unit));
    write(parts.state, unitWord(unit.state));
    write(parts.part, unit.state === "running" && unit.fraction !== null && unit.fraction !== undefined ? percent(unit.fraction) : "");
    attribute(row, "aria-label", `Unit ${unit.number}: ${unitWord(unit.state)}. ${copiesLine(unit)}`);
  }
}

// By how much the credit of a copy grew because it came early.
const FLOP_PER_COBBLESTONE = 432e9; // 200 are a day of one GFLOP/s
const quick = (granted, operations) => (granted > 0 && operations && (granted * FLOP_PER_COBBLESTONE) / operations > 1.005 ? `, ×${((granted * FLOP_PER_COBBLESTONE) / operations).toFixed(1)} for being quick` : "");

function unitDialog(unit) {
  const box = dialog(`Unit ${unit.number}${unit.input ? `: ${unit.input}` : ""}`);
  box.body.append(facts([["State", `${unitWord(unit.state)}${unit.why ? `: ${clean(unit.why)}` : ""}`], ["Batch", unit.batch], ["Work", unit.operations ? `${(unit.operations / 1e9).toLocaleString("en", { maximumFractionDigits: 3 })} GFLOP` : ""], ["Name", clean(unit.name)]]),
    el("h3", {}, unit.copies.length === 1 ? "Its copy" : "Its copies"),
    el("ul", { class: "copies" }, ...unit.copies.map((copy) => el("li", {}, el("span", { class: "name", dir: "auto" }, clean(copy.peer_name || copy.peer.slice(0, 8) || "Nobody yet")),
      el("span", { class: "why", dir: "auto" }, [outcome(copy.state), copy.fraction === null || copy.fraction === undefined || copy.state !== "leased" ? "" : percent(copy.fraction), copy.seconds ? lasting(copy.seconds) : "", copy.leased ? `handed out ${ago(copy.leased)}` : "", copy.credit ? `${credit(copy.credit)} credit${quick(copy.credit, unit.operations)}` : "", clean(copy.words)].filter(Boolean).join(" · "))))));
  if (!unit.copies.length) box.body.lastChild.replaceWith(el("p", { class: "muted" }, "None was handed out yet."));
}
