// Power over frequency and time as a landscape: rows one behind the other, the first in front. What is new grows out of what was.

import { el } from "./format.js";
import { rampColour } from "./points_view.js";

const GROWS = 420; // ms from one picture to the next
const BACK = 0.74; // how wide the last row is beside the first
const SHADES = 28; // colours from the ground to the top
const MOST_ROWS = 256; // that are drawn; a picture may say 64 thousand, which would take seconds
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

// Round numbers from low to high, about `wanted` of them.
export function ticks(low, high, wanted) {
  const span = Math.abs(high - low) || 1;
  const ten = 10 ** Math.floor(Math.log10(span / wanted));
  const step = [1, 2, 5, 10].map((each) => each * ten).find((each) => span / each <= wanted) ?? span;
  const found = [];
  let at = Math.ceil(Math.min(low, high) / step - 1e-9) * step;
  for (let last = -Infinity; at > last && at <= Math.max(low, high) + step * 1e-9; at += step) {
    found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    last = at; // a step too small for such a number would go on for ever
  }
  return found;
}

const written = (value) => (Math.abs(value) >= 10_000 ? `${+(value / 1000).toPrecision(4)}k` : String(+value.toPrecision(4)));

export class HeatView {
  // `label`: what it is, for who does not see it.
  constructor(label) {
    this.canvas = el("canvas", { class: "heat", role: "img", "aria-label": label });
    this.node = el("div", { class: "heat-room" }, this.canvas);
    this._resize = new ResizeObserver(() => this._fit());
    this._resize.observe(this.node);
    this._theme = new MutationObserver(() => this._soon());
    this._theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  close() {
    this._resize.disconnect();
    this._theme.disconnect();
    cancelAnimationFrame(this._frame);
    this._closed = true;
  }

  // As the API says it, with `values` in place of `data`: a byte for each place.
  show(picture) {
    const before = this._now();
    this.picture = picture;
    this._to = Float32Array.from(picture.values, (value) => value / 255);
    this._from = before?.length === this._to.length && !CALM.matches ? before : null;
    this._began = performance.now();
    this._soon();
  }

  // The heights that are drawn at this moment.
  _now() {
    if (!this._to || !this._from) return this._to;
    const part = Math.min(1, (performance.now() - this._began) / GROWS);
    const eased = part * (2 - part);
    return this._to.map((value, k) => this._from[k] + (value - this._from[k]) * eased);
  }

  _fit() {
    const dense = Math.min(2, devicePixelRatio || 1);
    const { clientWidth: width, clientHeight: height } = this.node;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    this.dense = dense;
    this._soon();
  }

  _soon() {
    if (this._closed || this._frame) return;
    this._frame = requestAnimationFrame(() => {
      this._frame = 0;
      this._draw();
      if (this._from && performance.now() - this._began < GROWS) this._soon();
      else this._from = null;
    });
  }

  _draw() {
    if (!this.picture || !this.dense || document.hidden) return;
    const heights = this._now();
    const { width: columns, height: rows, x, y, z } = this.picture;
    const style = getComputedStyle(this.canvas);
    const token = (name) => style.getPropertyValue(name).trim();
    const [line, muted, ground] = [token("--line"), token("--muted"), token("--surface")];
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    const [wide, high] = [this.canvas.width / this.dense, this.canvas.height / this.dense];
    pen.clearRect(0, 0, wide, high);
    const small = wide < 560;
    const [left, right, foot, top] = small ? [8, 30, 34, 14] : [30, 62, 38, 18];
    const base = high - foot;
    const floor = (high - top - foot) * 0.5; // how far the ground goes up the picture
    const tall = (high - top - foot) * 0.6;
    // Where a place of the ground is: `part` along x, `deep` from the first row (0) to the last (1).
    const scale = (deep) => 1 - (1 - BACK) * deep;
    const across = (part, deep) => left + (wide - left - right) * (1 - scale(deep) + part * scale(deep));
    const up = (deep) => base - floor * (1 - (1 - deep) ** 1.25);
    pen.lineJoin = "round";
    pen.font = `${small ? 10.5 : 11.5}px ${style.fontFamily}`;

    // the ground and its numbers
    pen.strokeStyle = line;
    pen.lineWidth = 1;
    const part = (axis, value) => (value - axis.low) / (axis.high - axis.low);
    pen.fillStyle = muted;
    for (const value of ticks(x.low, x.high, small ? 4 : 8)) {
      const at = part(x, value);
      stroke(pen, [across(at, 0), up(0) + 5], [across(at, 0), up(0)], [across(at, 1), up(1)]);
      pen.textAlign = "center";
      pen.fillText(written(value), across(at, 0), base + 16);
    }
    pen.textAlign = "start";
    for (const value of ticks(y.low, y.high, small ? 2 : 4)) {
      const deep = part(y, value);
      stroke(pen, [across(0, deep), up(deep)], [across(1, deep) + 5, up(deep)]);
      pen.fillText(written(value), across(1, deep) + 9, up(deep) + 4);
    }
    pen.textAlign = "center";
    pen.fillText(x.label, across(0.5, 0), base + 31);
    if (!small) {
      pen.save();
      pen.translate(wide - 12, up(0.45));
      pen.rotate(-Math.PI / 2);
      pen.fillText(y.label, 0, 0);
      pen.restore();
    }
    pen.textAlign = "start";
    pen.fillText(`${z.label}, up to ${written(z.high)}`, left, top - 2);

    // rows, the last first, each hiding what is behind it
    const each = rows > 1 ? 1 / (rows - 1) : 0;
    for (let row = rows - 1; row >= 0; row -= Math.ceil(rows / MOST_ROWS)) {
      const deep = row * each;
      const ground_y = up(deep);
      const lift = tall * scale(deep);
      const points = new Float32Array(columns * 2);
      for (let column = 0; column < columns; column += 1) {
        points[2 * column] = across((column + 0.5) / columns, deep);
        points[2 * column + 1] = ground_y - heights[row * columns + column] * lift;
      }
      const gradient = pen.createLinearGradient(0, ground_y, 0, ground_y - lift);
      const fills = pen.createLinearGradient(0, ground_y, 0, ground_y - lift);
      for (let shade = 0; shade <= SHADES; shade += 1) {
        const at = shade / SHADES;
        const [r, g, b] = rampColour(Math.min(1, at * 1.25) ** 0.9);
        const far = 1 - deep * 0.45;
        gradient.addColorStop(at, `rgb(${r} ${g} ${b} / ${((0.3 + 0.7 * Math.min(1, at * 1.6)) * far).toFixed(3)})`);
        fills.addColorStop(at, `rgb(${r} ${g} ${b} / ${((0.04 + 0.42 * at) * far).toFixed(3)})`);
      }
      pen.beginPath();
      pen.moveTo(points[0], ground_y);
      for (let k = 0; k < columns; k += 1) pen.lineTo(points[2 * k], points[2 * k + 1]);
      pen.lineTo(points[2 * columns - 2], ground_y);
      pen.closePath();
      pen.globalAlpha = 0.82;
      pen.fillStyle = ground;
      pen.fill();
      pen.globalAlpha = 1;
      pen.fillStyle = fills;
      pen.fill();
      pen.beginPath();
      pen.moveTo(points[0], points[1]);
      for (let k = 1; k < columns; k += 1) pen.lineTo(points[2 * k], points[2 * k + 1]);
      pen.strokeStyle = gradient;
      pen.lineWidth = small ? 0.9 : 1.15;
      pen.stroke();
    }
  }
}

function stroke(pen, first, ...others) {
  pen.beginPath();
  pen.moveTo(...first);
  for (const other of others) pen.lineTo(...other);
  pen.stroke();
}
