// The energies of a film over its steps: potential, kinetic, and their sum, which shall be a straight line. Pressing it goes there.

import { attribute, el } from "./format.js";
import { svg } from "./network_map.js";
import { short } from "./grid_words.js";

const HEIGHT = 150;
const LEFT = 44;
const RIGHT = 74;
const TOP = 8;
const FOOT = 20;
const LINES = [["potential", "Potential"], ["total", "Total"], ["kinetic", "Kinetic"]];

// A round step that divides a range into about four.
export function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * ten).find((each) => each >= rough * 0.7);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(6)));
  return found;
}

export class EnergyPlot {
  // seek(step) is called where one presses.
  constructor(seek) {
    this.drawn = svg("svg", { class: "energy-plot", role: "img", height: HEIGHT });
    this.cursor = svg("line", { class: "plot-cursor", y1: TOP, y2: HEIGHT - FOOT });
    this.node = el("div", { class: "chart-room" }, this.drawn);
    const go = (event) => {
      if (!this.span || (event.type === "pointermove" && !event.buttons)) return;
      const x = event.clientX - this.drawn.getBoundingClientRect().left;
      seek(Math.round(Math.min(1, Math.max(0, (x - LEFT) / this.span)) * this.last));
    };
    this.drawn.addEventListener("pointerdown", go);
    this.drawn.addEventListener("pointermove", go);
    this._resize = new ResizeObserver(() => this._draw());
    this._resize.observe(this.node);
  }

  close() {
    this._resize.disconnect();
  }

  show(about) {
    this.about = about;
    this._draw();
  }

  at(step) {
    this.step = step;
    if (!this.span) return;
    const x = LEFT + (step / this.last) * this.span;
    attribute(this.cursor, "x1", x.toFixed(1));
    attribute(this.cursor, "x2", x.toFixed(1));
  }

  _draw() {
    const width = this.node.clientWidth;
    const about = this.about;
    if (!about || !width) return;
    const { atoms, energies, parts } = about;
    const each = parts.at(-1).step / (parts.at(-1).generation + 1); // steps of a generation
    this.last = Math.max(parts.at(-1).step, each * about.generations);
    this.span = width - LEFT - RIGHT;
    const rows = energies.map(([step, potential, kinetic]) => ({ step, potential: potential / atoms, kinetic: kinetic / atoms, total: (potential + kinetic) / atoms }));
    const values = rows.flatMap((row) => [row.potential, row.kinetic, row.total]);
    const low = Math.min(...values, 0);
    const high = Math.max(...values, 0);
    const room = (high - low || 1) * 0.06;
    const tall = HEIGHT - TOP - FOOT;
    const x = (step) => LEFT + (step / this.last) * this.span;
    const y = (value) => TOP + tall * (1 - (value - low + room) / (high - low + 2 * room));
    const drawn = [];
    const there = x(parts.at(-1).step);
    if (there < LEFT + this.span - 1) drawn.push(svg("rect", { class: "plot-coming", x: there.toFixed(1), y: TOP, width: (LEFT + this.span - there).toFixed(1), height: tall, rx: 4 }));
    for (const value of ticks(low, high)) drawn.push(svg("line", { class: "chart-line", x1: LEFT, x2: LEFT + this.span, y1: y(value), y2: y(value) }), svg("text", { class: "chart-word", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, String(value)));
    if (about.generations * 5 < this.span) for (let at = 1; at < about.generations; at += 1) drawn.push(svg("line", { class: "plot-generation", x1: x(at * each).toFixed(1), x2: x(at * each).toFixed(1), y1: HEIGHT - FOOT, y2: HEIGHT - FOOT + 4 }));
    const ends = LINES.map(([key, word]) => ({ key, word, at: rows.length ? y(rows.at(-1)[key]) : 0 })).sort((a, b) => a.at - b.at);
    ends.forEach((one, index) => index && (one.at = Math.max(one.at, ends[index - 1].at + 13)));
    for (const { key, word, at } of ends) {
      if (rows.length > 1) drawn.push(svg("polyline", { class: "plot-line", "data-line": key, points: rows.map((row) => `${x(row.step).toFixed(1)},${y(row[key]).toFixed(1)}`).join(" ") }));
      drawn.push(svg("text", { class: "plot-word", "data-line": key, x: LEFT + this.span + 8, y: at + 4 }, word));
    }
    drawn.push(svg("text", { class: "chart-word", x: LEFT, y: HEIGHT - 4 }, "0"), svg("text", { class: "chart-word", x: LEFT + this.span, y: HEIGHT - 4, "text-anchor": "end" }, `${short(this.last)} steps`));
    attribute(this.drawn, "viewBox", `0 0 ${width} ${HEIGHT}`);
    const sums = rows.map((row) => row.total);
    attribute(this.drawn, "aria-label", rows.length ? `Energy an atom: in all ${sums.at(-1).toFixed(4)}, between ${Math.min(...sums).toFixed(4)} and ${Math.max(...sums).toFixed(4)}; kinetic ${rows.at(-1).kinetic.toFixed(2)}, potential ${rows.at(-1).potential.toFixed(2)} at the end` : "No frames yet");
    this.drawn.replaceChildren(...drawn, this.cursor);
    if (this.step !== undefined) this.at(this.step);
  }
}
