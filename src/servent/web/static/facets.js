// What narrows a search: chips beside the hits, with counts that are true while hits stream in.

import { attribute, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { KINDS, SIZES, extension, grouped, sizeClass } from "./kinds.js";

const MOST_CHIPS = 40; // of one facet

export const place = (source) => (source.mine ? "me" : source.peer);

// Whether somebody who has it is there now. Who answered us is; of others their network may know.
export const isThere = (source) => Boolean(source.mine || !source.network || source.reachable);

// of(hit): the values a hit has. names(hits): words for values that have none of their own. least: fewer values are no choice.
const FACETS = {
  kind: { word: "Kind", of: (hit) => [hit.kind], order: Object.keys(KINDS), words: Object.fromEntries(Object.entries(KINDS).map(([kind, { word }]) => [kind, word])), signs: Object.fromEntries(Object.entries(KINDS).map(([kind, { sign }]) => [kind, sign])) },
  size: { word: "Size", of: (hit) => [sizeClass(hit.size_bytes)], order: SIZES.map(([size]) => size), words: Object.fromEntries(SIZES) },
  there: { word: "Availability", of: (hit) => [hit.sources.some(isThere) ? "now" : "later"], order: ["now", "later"], words: { now: "Reachable now", later: "Away, or not known" }, least: 2 },
  network: { word: "Found in", of: (hit) => [...new Set(hit.sources.map((source) => (source.mine ? "me" : source.network ? `in ${source.network}` : "asked")))], words: { me: "Your library", asked: "Connected peers" }, least: 2 },
  ext: { word: "Ending", of: (hit) => [extension(hit.name)].filter(Boolean) },
  peer: { word: "From", of: (hit) => [...new Set(hit.sources.map(place))], least: 1 },
};
SIZES.forEach(([size, word]) => (FACETS.size.words[size] = word));

export class Facets {
  // changed() is called after a chip was pressed.
  constructor(changed) {
    this.changed = changed;
    this.chosen = {};
    this.parts = Object.fromEntries(Object.entries(FACETS).map(([name, { word }]) => {
      const chips = el("div", { class: "facet-chips", role: "group", "aria-label": word });
      return [name, { chips, node: el("section", { class: "facet", "data-facet": name, hidden: true }, el("h3", {}, word), chips), known: new Map() }];
    }));
    this.filters = el("button", { class: "text-button more-filters", type: "button", "aria-expanded": "false", onclick: () => {
      const all = this.node.classList.toggle("all");
      write(this.filters, all ? "Fewer" : "Filters");
      this.filters.setAttribute("aria-expanded", all);
    } }, "Filters");
    this.node = el("div", { class: "facets", hidden: true }, this.filters, ...Object.values(this.parts).map(({ node }) => node));
  }

  clear() {
    this.chosen = {};
    for (const { chips, known, node } of Object.values(this.parts)) {
      known.clear();
      chips.replaceChildren();
      node.hidden = true;
    }
  }

  passes(hit) {
    return Object.entries(this.chosen).every(([name, value]) => FACETS[name].of(hit).includes(value));
  }

  // A hit counts under a value when all other facets let it pass: the number is what pressing the chip would show.
  count(hits) {
    const counts = Object.fromEntries(Object.keys(FACETS).map((name) => [name, new Map()]));
    const names = new Map();
    const chosen = Object.entries(this.chosen);
    for (const hit of hits) {
      for (const source of hit.sources) names.set(place(source), source.mine ? "This node" : source.name || source.peer.slice(0, 8));
      const against = chosen.filter(([name, value]) => !FACETS[name].of(hit).includes(value)).map(([name]) => name);
      if (against.length > 1) continue;
      for (const [name, { of }] of Object.entries(FACETS)) {
        if (against.length && against[0] !== name) continue;
        for (const value of of(hit)) counts[name].set(value, (counts[name].get(value) ?? 0) + 1);
      }
    }
    for (const [name, facet] of Object.entries(FACETS)) this._draw(name, facet, counts[name], name === "peer" ? names : null);
  }

  // Chips are added and never moved: one that is about to be pressed stays where it is.
  _draw(name, { order, words = {}, signs = {}, least = 1 }, counts, names) {
    const { chips, known, node } = this.parts[name];
    const values = order ?? [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    for (const value of new Set([...values, ...known.keys()])) {
      let chip = known.get(value);
      const number = counts.get(value) ?? 0;
      if (!chip) {
        if (!number || known.size >= MOST_CHIPS) continue;
        const amount = el("span", { class: "chip-count" });
        const word = clean(words[value] ?? names?.get(value) ?? value);
        const made = el("button", { class: "chip facet-chip", type: "button", "aria-pressed": "false", onclick: () => this.choose(name, value) }, ...(signs[value] ? [icon(signs[value])] : []), el("span", { class: "chip-word", dir: "auto" }, word), amount);
        known.set(value, (chip = { node: made, amount }));
        chips.append(made);
      }
      write(chip.amount, grouped(number));
      attribute(chip.node, "aria-pressed", this.chosen[name] === value);
      chip.node.classList.toggle("none", !number && this.chosen[name] !== value);
    }
    node.hidden = known.size < least && !this.chosen[name];
  }

  choose(name, value) {
    if (this.chosen[name] === value) delete this.chosen[name];
    else this.chosen[name] = value;
    this.changed();
  }
}
