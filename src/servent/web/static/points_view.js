// Points in a box, in depth: balls that are turned by hand. For trajectories, and for what a unit shows while it computes.

import { el } from "./format.js";

const SHADES = 12; // steps from near to far
const SPRITE = 72; // px of a ball that is scaled
const SPIN = 0.00012; // radians a ms, until somebody takes it in hand
const FITS = 1.36; // how much larger than its side a box that is turned may look
const AWAY = 3.1; // how far the eye is, in sides of the box
const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [(n & 1) - 0.5, ((n >> 1) & 1) - 0.5, ((n >> 2) & 1) - 0.5]);
const EDGES = CORNERS.flatMap((_, a) => [1, 2, 4].filter((bit) => !(a & bit)).map((bit) => [a, a | bit]));
// From cold to hot, or from the first to the last: equally bright steps, told apart also by who sees no red or green.
const RAMP = [[70, 86, 226], [104, 84, 232], [142, 82, 226], [176, 78, 210], [206, 76, 184], [228, 84, 154], [242, 102, 124], [248, 126, 98], [250, 152, 80], [249, 180, 74], [245, 208, 92]];

export const KINDS = 16;

export function rampColour(part) {
  const at = Math.min(1, Math.max(0, part)) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[low].map((value, k) => Math.round(value + (RAMP[low + 1][k] - value) * (at - low)));
}

const mixed = (from, to, part) => from.map((value, k) => value + (to[k] - value) * part);
const css = (colour, alpha = 1) => `rgb(${colour.map(Math.round).join(" ")} / ${alpha})`;

// "#0d1116" or "rgb(…)" as three numbers.
function parsed(said) {
  const hex = /^#([0-9a-f]{6})$/i.exec(said.trim());
  if (hex) return [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16));
  return (said.match(/[\d.]+/g) ?? [128, 128, 128]).slice(0, 3).map(Number);
}

export class PointsView {
  // `label`: what it is, for who does not see it.
  constructor(label) {
    this.canvas = el("canvas", { class: "points", tabindex: 0, role: "img", "aria-label": label });
    this.hint = el("p", { class: "points-hint", "aria-hidden": "true" }, "Drag to turn, scroll to come nearer");
    this.node = el("div", { class: "points-room" }, this.canvas, this.hint);
    this.turned = turn(turn(unit(), 1, 0.62), 0, -0.42);
    this.zoom = 1;
    this.count = 0;
    this.sides = [1, 1, 1];
    this.spinning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this._pointers = new Map();
    this.canvas.addEventListener("pointerdown", (event) => this._down(event));
    this.canvas.addEventListener("pointermove", (event) => this._move(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, (event) => this._pointers.delete(event.pointerId));
    this.canvas.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    this.canvas.addEventListener("dblclick", () => this._rest());
    this.canvas.addEventListener("keydown", (event) => this._key(event));
    this._resize = new ResizeObserver(() => this._fit());
    this._resize.observe(this.node);
    this._theme = new MutationObserver(() => this._dress());
    this._theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this._wake = () => document.hidden || this._soon();
    document.addEventListener("visibilitychange", this._wake);
    this._dress();
  }

  close() {
    this._resize.disconnect();
    this._theme.disconnect();
    document.removeEventListener("visibilitychange", this._wake);
    cancelAnimationFrame(this._frame);
    this._closed = true;
  }

  // `at`: x, y, z of each in 65536ths of the side; `kinds`: a byte below KINDS of each, or null. `next` and `part`: on the way to the next such, in a box without walls.
  show({ at, kinds = null, sides = [1, 1, 1], next = null, part = 0 }) {
    this.at = at;
    this.kinds = kinds;
    this.next = next;
    this.part = part;
    const longest = Math.max(...sides) || 1;
    this.sides = sides.map((side) => side / longest);
    if (this.count !== at.length / 3) {
      this.count = at.length / 3;
      this._place = new Float32Array(this.count * 3); // on the screen: x, y, size
      this._depth = new Uint8Array(this.count);
      this._order = new Uint32Array(this.count);
    }
    this._soon();
  }

  _dress() {
    const style = getComputedStyle(document.documentElement);
    this.ground = parsed(style.getPropertyValue("--surface"));
    this.line = parsed(style.getPropertyValue("--muted"));
    this.dark = document.documentElement.dataset.theme === "dark";
    this._sprites = new Map();
    this._soon();
  }

  _fit() {
    const { clientWidth: width, clientHeight: height } = this.node;
    if (!width || !height) return;
    const scale = Math.min(2, devicePixelRatio || 1);
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this._draw();
  }

  // -- by hand

  _down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this._pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this._taken();
  }

  _taken() {
    this.spinning = false;
    this.hint.classList.add("done");
  }

  _move(event) {
    const before = this._pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    if (this._pointers.size === 2) {
      const other = [...this._pointers.entries()].find(([id]) => id !== event.pointerId)[1];
      const span = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      this._nearer(span(now) / span(before));
    } else if (this._pointers.size === 1) {
      this.turned = turn(turn(this.turned, 1, (now[0] - before[0]) * 0.008), 0, (now[1] - before[1]) * 0.008);
    }
    this._pointers.set(event.pointerId, now);
    this._soon();
  }

  _wheel(event) {
    event.preventDefault();
    this._nearer(Math.exp(-event.deltaY * 0.0012));
  }

  _nearer(factor) {
    this.zoom = Math.min(4, Math.max(0.5, this.zoom * factor));
    this._soon();
  }

  _rest() {
    this.turned = turn(turn(unit(), 1, 0.62), 0, -0.42);
    this.zoom = 1;
    this._soon();
  }

  _key(event) {
    const by = { ArrowLeft: [1, -0.12], ArrowRight: [1, 0.12], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] }[event.key];
    if (by) this.turned = turn(this.turned, ...by);
    else if (event.key === "+" || event.key === "=") this._nearer(1.15);
    else if (event.key === "-") this._nearer(1 / 1.15);
    else if (event.key === "0") this._rest();
    else return;
    event.preventDefault();
    this._taken();
    this._soon();
  }

  // -- drawing

  _soon() {
    if (this._frame || this._closed) return;
    this._frame = requestAnimationFrame((now) => {
      this._frame = 0;
      if (document.hidden) return;
      if (this.spinning && this.canvas.isConnected) {
        this.turned = turn(this.turned, 1, SPIN * Math.min(50, now - (this._last ?? now)));
        this._soon();
      }
      this._last = now;
      this._draw();
    });
  }

  _draw() {
    const { width, height } = this.canvas;
    const paper = this.canvas.getContext("2d");
    paper.clearRect(0, 0, width, height);
    if (!this.count || !width) return;
    const long = Math.min(width, height) * 0.94 * this.zoom;
    const corners = CORNERS.map((corner) => this._seen(corner[0] * this.sides[0], corner[1] * this.sides[1], corner[2] * this.sides[2], long, width, height));
    const nearest = corners.reduce((best, corner, index) => (corner[2] > corners[best][2] ? index : best), 0);
    this._edges(paper, corners, EDGES.filter(([a, b]) => a !== nearest && b !== nearest), 0.55);
    this._points(paper, long, width, height);
    this._edges(paper, corners, EDGES.filter(([a, b]) => a === nearest || b === nearest), 0.28);
  }

  _seen(x, y, z, long, width, height) {
    const m = this.turned;
    const depth = m[6] * x + m[7] * y + m[8] * z;
    const scale = (long * (AWAY - 0.9)) / (AWAY - depth) / FITS;
    return [width / 2 + (m[0] * x + m[1] * y + m[2] * z) * scale, height / 2 - (m[3] * x + m[4] * y + m[5] * z) * scale, depth, scale];
  }

  _edges(paper, corners, edges, alpha) {
    paper.strokeStyle = css(this.line, alpha);
    paper.lineWidth = Math.max(1, this.canvas.width / 700);
    paper.beginPath();
    for (const [a, b] of edges) {
      paper.moveTo(corners[a][0], corners[a][1]);
      paper.lineTo(corners[b][0], corners[b][1]);
    }
    paper.stroke();
  }

  _points(paper, long, width, height) {
    const { at, next, part, count, turned: m, sides } = this;
    const ball = 0.46 * Math.cbrt((sides[0] * sides[1] * sides[2]) / count); // they would just not touch
    const place = this._place;
    const bins = new Uint32Array(257);
    const p = [0, 0, 0];
    for (let i = 0; i < count; i += 1) {
      for (let k = 0; k < 3; k += 1) {
        let value = at[3 * i + k];
        if (next) value += ((((next[3 * i + k] - value) << 16) >> 16) * part + 65536) % 65536; // the shortest way round
        p[k] = ((value % 65536) / 65536 - 0.5) * sides[k];
      }
      const depth = m[6] * p[0] + m[7] * p[1] + m[8] * p[2];
      const scale = (long * (AWAY - 0.9)) / (AWAY - depth) / FITS;
      place[3 * i] = width / 2 + (m[0] * p[0] + m[1] * p[1] + m[2] * p[2]) * scale;
      place[3 * i + 1] = height / 2 - (m[3] * p[0] + m[4] * p[1] + m[5] * p[2]) * scale;
      place[3 * i + 2] = ball * scale;
      this._depth[i] = Math.min(255, Math.max(0, ((depth + 0.87) / 1.74) * 255));
      bins[this._depth[i] + 1] += 1;
    }
    for (let bin = 0; bin < 256; bin += 1) bins[bin + 1] += bins[bin];
    for (let i = 0; i < count; i += 1) this._order[bins[this._depth[i]]++] = i; // the farthest first
    for (const i of this._order) {
      const size = place[3 * i + 2];
      const sprite = this._sprite(this.kinds ? this.kinds[i] : 5, Math.floor((this._depth[i] / 256) * SHADES));
      paper.drawImage(sprite, place[3 * i] - size, place[3 * i + 1] - size, 2 * size, 2 * size);
    }
  }

  // A ball of a kind, the paler the farther away.
  _sprite(kind, shade) {
    const key = kind * SHADES + shade;
    const kept = this._sprites.get(key);
    if (kept) return kept;
    const sprite = document.createElement("canvas");
    sprite.width = sprite.height = SPRITE;
    const paper = sprite.getContext("2d");
    const fog = (1 - (shade + 0.5) / SHADES) * 0.82;
    const base = mixed(rampColour(kind / (KINDS - 1)), this.ground, fog);
    const half = SPRITE / 2;
    const light = paper.createRadialGradient(half * 0.66, half * 0.6, half * 0.04, half, half, half);
    light.addColorStop(0, css(mixed(base, [255, 255, 255], 0.72 * (1 - fog * 0.8))));
    light.addColorStop(0.28, css(mixed(base, [255, 255, 255], 0.2 * (1 - fog))));
    light.addColorStop(0.68, css(base));
    light.addColorStop(1, css(mixed(base, this.dark ? [8, 10, 24] : [40, 30, 70], 0.5 * (1 - fog * 0.7))));
    paper.fillStyle = light;
    paper.beginPath();
    paper.arc(half, half, half - 1, 0, 2 * Math.PI);
    paper.fill();
    this._sprites.set(key, sprite);
    return sprite;
  }
}

const unit = () => [1, 0, 0, 0, 1, 0, 0, 0, 1];

// Turned about an axis of the screen (0: from left to right, 1: upwards).
function turn(m, axis, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const by = axis === 1 ? [c, 0, s, 0, 1, 0, -s, 0, c] : [1, 0, 0, 0, c, s, 0, -s, c];
  const out = new Array(9).fill(0);
  for (let row = 0; row < 3; row += 1) for (let column = 0; column < 3; column += 1) for (let k = 0; k < 3; k += 1) out[3 * row + column] += by[3 * row + k] * m[3 * k + column];
  return out;
}
