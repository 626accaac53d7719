// Units done over time, as bars: what failed stands on top in another colour, and the same is said in words.

import { attribute, el, write } from "./format.js";
import { counted, grouped, lasting, short } from "./grid_words.js";
import { svg } from "./network_map.js";

const HEIGHT = 170; // px
const LEFT = 44;
const FOOT = 20;
const TOP = 10;

// The next round number above: 1, 2, 5 and their tens.
export function ceiling(value) {
  if (value <= 0) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= value - 1e-9);
}

export class Chart {
  constructor() {
    this.drawn = svg("svg", { class: "chart", role: "img", height: HEIGHT });
    this.tip = el("p", { class: "note chart-tip" });
    this.node = el("div", { class: "chart-room" }, this.drawn, this.tip);
    this.drawn.addEventListener("pointermove", (event) => this._tell(event));
    this.drawn.addEventListener("pointerleave", () => this._rest());
    this._resize = new ResizeObserver(() => this.found && this._draw());
    this._resize.observe(this.node);
  }

  close() {
    this._resize.disconnect();
  }

  // found: { step, done, errors }; step in seconds, the oldest first.
  show(found) {
    const mark = JSON.stringify(found);
    if (mark === this.mark) return;
    this.mark = mark;
    this.found = found;
    this._draw();
  }

  _draw() {
    const { done, step } = this.found;
    const errors = this.found.errors ?? [];
    const width = this.node.clientWidth;
    if (!width) return;
    const count = Math.max(1, done.length);
    const top = ceiling(Math.max(1, ...done.map((each, index) => each + (errors[index] ?? 0))));
    const tall = HEIGHT - TOP - FOOT;
    const room = (width - LEFT - 4) / count;
    const thick = Math.max(1, Math.min(26, room * 0.72));
    const y = (value) => TOP + tall - (value / top) * tall;
    this.room = room;
    const parts = [];
    for (const value of top === 1 ? [0, 1] : [0, top / 2, top]) {
      parts.push(svg("line", { class: "chart-line", x1: LEFT, x2: width, y1: y(value), y2: y(value) }), svg("text", { class: "chart-word", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    done.forEach((each, index) => {
      const x = LEFT + room * index + (room - thick) / 2;
      const bad = errors[index] ?? 0;
      if (each) parts.push(svg("rect", { class: "chart-done", x: x.toFixed(1), y: y(each).toFixed(1), width: thick.toFixed(1), height: (y(0) - y(each)).toFixed(1), rx: Math.min(3, thick / 3) }));
      if (bad) parts.push(svg("rect", { class: "chart-error", x: x.toFixed(1), y: y(each + bad).toFixed(1), width: thick.toFixed(1), height: (y(each) - y(each + bad)).toFixed(1), rx: Math.min(3, thick / 3) }));
    });
    parts.push(svg("text", { class: "chart-word", x: LEFT, y: HEIGHT - 4 }, `${lasting(count * step)} ago`), svg("text", { class: "chart-word", x: width - 2, y: HEIGHT - 4, "text-anchor": "end" }, "now"));
    attribute(this.drawn, "viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawn.replaceChildren(...parts);
    const sum = done.reduce((all, each) => all + each, 0);
    const bad = errors.reduce((all, each) => all + each, 0);
    attribute(this.drawn, "aria-label", `${counted(sum, "unit")} done in the last ${lasting(count * step)}${bad ? `, ${grouped(bad)} failed` : ""}. At most ${grouped(Math.max(0, ...done))} in ${lasting(step)}.`);
    this._rest();
  }

  _rest() {
    if (this.found) write(this.tip, `Units done, each bar ${lasting(this.found.step)}`);
  }

  _tell(event) {
    if (!this.found) return;
    const { done, step } = this.found;
    const at = Math.floor((event.clientX - this.drawn.getBoundingClientRect().left - LEFT) / this.room);
    if (at < 0 || at >= done.length) return this._rest();
    const bad = this.found.errors?.[at] ?? 0;
    const back = (done.length - at) * step;
    return write(this.tip, `${lasting(back)} ago: ${counted(done[at], "unit")} done${bad ? `, ${grouped(bad)} failed` : ""}`);
  }
}
