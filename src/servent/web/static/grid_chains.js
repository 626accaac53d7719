// The chains of a batch with generations: a row for each, how far it is, who computes it, and its film where there is one.

import { get, part as quoted } from "./ask.js";
import { attribute, clean, el, write } from "./format.js";
import { filmDialog } from "./film_dialog.js";
import { bar, deed, dot, grouped, percent, unitTone } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { query } from "./net.js";
import { settle } from "./talk_words.js";

const FEW = 4; // shown at first
const PAGE = 100; // more than that are in the results
const EVERY = 2500; // ms between two looks while no result came
const OVER = ["done", "cancelled"];

const names = (chain) => [...new Set(chain.copies.filter((copy) => copy.state === "leased" && copy.peer).map((copy) => clean(copy.peer_name || copy.peer.slice(0, 8))))];

// Who does what with the next generation, in a line.
export function chainLine(chain, generations) {
  if (chain.done === generations) return "All generations are there";
  const which = `Generation ${grouped(chain.done + 1)}`;
  if (chain.state === "error") return `${which} failed${chain.why ? `: ${clean(chain.why)}` : ""}`;
  if (chain.state === "cancelled") return `Cancelled before generation ${grouped(chain.done + 1)}`;
  const at = names(chain);
  const part = chain.fraction === null || chain.fraction === undefined || chain.state !== "running" ? "" : `, ${percent(chain.fraction)}`;
  if (at.length) return `${which} on ${at.join(" and ")}${part}`;
  if (chain.state === "checking") return `${which} is back, and being compared`;
  return chain.why ? `${which}: ${clean(chain.why)}` : `${which} waits for a machine`;
}

export class Chains {
  constructor(id) {
    this.id = id;
    this.rows = new Map();
    this.list = el("ul", { class: "chains", "aria-label": "Chains of generations" });
    this.more = deed("Show all chains", () => this._all(), { small: true });
    this.more.hidden = true;
    this.node = el("div", { class: "chains-room", hidden: true }, this.list, this.more);
  }

  get batch() {
    return live.batches.get(this.id);
  }

  async _all() {
    this.every = true;
    await this.look(true);
  }

  // What there is now; of a batch that is over, once is enough.
  async look(fresh = false) {
    const batch = this.batch;
    if (!batch || batch.generations < 2 || this.asking) return;
    const mark = `${batch.state} ${batch.done} ${batch.errors} ${batch.shows} ${this.every}`;
    const now = performance.now();
    if (!fresh && mark === this.mark && (OVER.includes(batch.state) || now - this.last < EVERY)) return;
    this.last = now;
    this.asking = true;
    try {
      const page = await get(`/grid/batches/${quoted(this.id)}/chains${query({ limit: this.every ? PAGE : FEW })}`);
      this.mark = mark;
      const count = Math.round(batch.units / batch.generations);
      settle(this.list, page.chains.map((chain) => this._row(chain, batch)));
      this.more.hidden = this.every || !page.more;
      write(this.more.querySelector(".label"), count > PAGE ? `Show ${PAGE} of ${grouped(count)} chains` : `Show all ${grouped(count)} chains`);
      this.node.hidden = false;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    } finally {
      this.asking = false;
    }
  }

  _row(chain, batch) {
    let row = this.rows.get(chain.number);
    if (!row) {
      const name = `${clean(chain.input || `chain ${chain.number + 1}`)}`;
      row = { dot: dot("none"), name: el("span", { class: "name", dir: "auto" }, name), why: el("span", { class: "why", dir: "auto" }), part: el("span", { class: "chain-part" }), progress: bar(`Generations of ${name}`) };
      row.watch = deed("Watch", () => filmDialog(this.batch, chain.number, name), { small: true, sign: "preview" });
      row.watch.setAttribute("aria-label", `Watch ${name}`);
      row.node = el("li", { class: "chain" }, row.dot, el("span", { class: "what" }, row.name, row.why), el("span", { class: "progress" }, row.progress.node), row.part, row.watch);
      this.rows.set(chain.number, row);
    }
    const over = chain.done === batch.generations;
    row.dot.dataset.tone = over ? "direct" : unitTone(chain.state);
    write(row.why, chainLine(chain, batch.generations));
    const part = (chain.done + (chain.state === "running" ? chain.fraction ?? 0 : 0)) / batch.generations;
    row.progress.set(part, chain.state === "error" ? "failed" : "direct");
    row.progress.node.style.setProperty("--steps", batch.generations <= 60 ? batch.generations : 0);
    attribute(row.progress.node, "data-steps", batch.generations <= 60 ? "some" : null);
    write(row.part, `${grouped(chain.done)} of ${grouped(batch.generations)}`);
    row.watch.hidden = batch.shows !== "trajectory" || !chain.done;
    return row.node;
  }
}
