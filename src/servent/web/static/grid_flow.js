// Units by state as they flow: four stations, and a grain for what moved from one to the next since the last look.

import { attribute, el, write } from "./format.js";
import { UNIT_STATES, grouped, percent, share, short } from "./grid_words.js";

const PATH = ["waiting", "running", "checking", "done"];
const SIDE = ["error", "cancelled"];
const MOST = 14; // grains a lane and look: more cannot be told apart
const TRAVEL = 1100; // ms over one lane
const SPREAD = 900; // ms over which the grains of one look set out
const MEANS = { waiting: "not handed out", running: "on machines now", checking: "results compared", done: "agreed on", error: "given up", cancelled: "taken back" };

// How many went over each lane between two looks. What left the end came through all lanes; a station that grew kept some.
export function moved(before, after) {
  const by = (state) => (after[state] ?? 0) - (before[state] ?? 0);
  const ended = by("done") + by("error");
  const checked = ended + by("checking");
  const begun = checked + by("running");
  return { running: Math.max(0, begun), checking: Math.max(0, checked), done: Math.max(0, by("done")) };
}

export class Flow {
  // chosen(state) is called when a station is pressed.
  constructor(chosen) {
    this.stations = new Map();
    this.lanes = new Map();
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    const parts = [];
    for (const [state, word, tone] of UNIT_STATES) {
      const station = { count: el("span", { class: "figure" }, "0"), part: el("span", { class: "note" }, MEANS[state]) };
      station.node = el("button", { class: "station", type: "button", "data-state": state, "data-tone": tone, title: `Show units: ${word.toLowerCase()}`, onclick: () => chosen(state) }, el("span", { class: "total-word" }, el("span", { class: "stack-key", "data-state": state }), word), station.count, station.part);
      this.stations.set(state, station);
      if (SIDE.includes(state)) continue;
      if (parts.length) {
        const lane = el("span", { class: "lane", "aria-hidden": "true" });
        this.lanes.set(state, lane);
        parts.push(lane);
      }
      parts.push(station.node);
    }
    this.aside = el("div", { class: "flow-aside" }, ...SIDE.map((state) => this.stations.get(state).node));
    this.node = el("div", { class: "unit-flow" }, el("div", { class: "flow-path" }, ...parts), this.aside);
  }

  show(byState, units) {
    for (const [state, { node, count }] of this.stations) {
      const number = byState[state] ?? 0;
      write(count, short(number));
      attribute(node, "aria-label", `${UNIT_STATES.find(([key]) => key === state)[1]}: ${grouped(number)}`);
      node.classList.toggle("void", !number);
      if (SIDE.includes(state)) node.hidden = !number;
    }
    this.aside.hidden = SIDE.every((state) => !byState[state]);
    write(this.stations.get("done").part, units ? percent(share(byState.done ?? 0, units)) : MEANS.done);
    if (this.before && !document.hidden) for (const [state, count] of Object.entries(moved(this.before, byState))) this._send(state, count);
    this.before = { ...byState };
  }

  choose(state) {
    for (const [key, { node }] of this.stations) node.setAttribute("aria-pressed", key === state);
  }

  _send(state, count) {
    const lane = this.lanes.get(state);
    if (!count || this.calm.matches || !lane.clientWidth || lane.childElementCount > 3 * MOST) return;
    const grains = Math.min(MOST, count);
    const width = lane.clientWidth;
    for (let number = 0; number < grains; number += 1) {
      const grain = el("i", { class: "grain", "data-state": state });
      const height = ((number * 7) % 5) - 2;
      lane.append(grain);
      grain.animate([{ transform: `translate(0, ${height * 4}px)`, opacity: 0 }, { opacity: 1, offset: 0.15 }, { opacity: 1, offset: 0.85 }, { transform: `translate(${width}px, ${height * 4}px)`, opacity: 0 }],
        { duration: TRAVEL, delay: (SPREAD / grains) * number, easing: "ease-in-out", fill: "both" }).finished.then(() => grain.remove(), () => grain.remove());
    }
  }
}
