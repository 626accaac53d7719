// All candidates on one map, frequency across and drift up: the stronger, the brighter.

import { el } from "./format.js";
import { ticks } from "./heat_view.js";

const TOUCH = 18; // px from a star that still means it
const [LEFT, RIGHT, TOP, FOOT] = [46, 16, 14, 34];
const TOKENS = { spike: "--relayed", gaussian: "--accent", pulse: "--direct", triplet: "--kind-video" };

export class SkyMap {
  // chosen(candidate) when one is pressed.
  constructor(chosen) {
    this.canvas = el("canvas", { class: "sky-map", role: "img", "aria-label": "Candidates by frequency and drift; the list below has the same" });
    this.tip = el("p", { class: "sky-tip", "aria-hidden": "true" });
    this.node = el("div", { class: "sky-map-room" }, this.canvas, this.tip);
    this.list = [];
    this.canvas.addEventListener("pointermove", (event) => this._over(event));
    this.canvas.addEventListener("pointerleave", () => this._tell(null));
    this.canvas.addEventListener("click", (event) => {
      const star = this._near(event);
      if (star) chosen(star.one);
    });
    this._resize = new ResizeObserver(() => this._draw());
    this._resize.observe(this.node);
    this._theme = new MutationObserver(() => this._draw());
    this._theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  close() {
    this._resize.disconnect();
    this._theme.disconnect();
  }

  // `words(one)`: a line about it.
  show(list, words) {
    this.list = list;
    this.words = words;
    this._draw();
  }

  _draw() {
    const { clientWidth: wide, clientHeight: high } = this.node;
    if (!wide || !high) return;
    const dense = Math.min(2, devicePixelRatio || 1);
    this.canvas.width = Math.round(wide * dense);
    this.canvas.height = Math.round(high * dense);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    const style = getComputedStyle(this.canvas);
    const token = (name) => style.getPropertyValue(name).trim();
    const dark = document.documentElement.dataset.theme === "dark";
    pen.clearRect(0, 0, wide, high);
    pen.font = `11px ${style.fontFamily}`;
    const values = (key) => this.list.map((one) => one[key]);
    const bounds = (all, least) => {
      const [low, top] = [Math.min(...all), Math.max(...all)];
      const more = Math.max((top - low) * 0.06, least);
      return [low - more, top + more];
    };
    if (!this.list.length) return;
    const middle = Math.round(values("frequency").reduce((sum, each) => sum + each, 0) / this.list.length / 1e4) * 1e4;
    const far = Math.abs(middle) > 1e6; // on the sky: told from a round number near it
    const off = far ? middle : 0;
    const [fromX, toX] = bounds(values("frequency").map((each) => each - off), 1);
    const [fromY, toY] = bounds(values("drift"), 0.01);
    const x = (value) => LEFT + ((value - fromX) / (toX - fromX)) * (wide - LEFT - RIGHT);
    const y = (value) => high - FOOT - ((value - fromY) / (toY - fromY)) * (high - TOP - FOOT);
    pen.strokeStyle = token("--line");
    pen.fillStyle = token("--muted");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    for (const value of ticks(fromX, toX, wide < 500 ? 5 : 9)) {
      line(pen, x(value), TOP, x(value), high - FOOT);
      pen.fillText(`${value > 0 && far ? "+" : ""}${value}`, x(value), high - FOOT + 14);
    }
    pen.textAlign = "end";
    for (const value of ticks(fromY, toY, 5)) {
      line(pen, LEFT, y(value), wide - RIGHT, y(value));
      pen.fillText(String(+value.toPrecision(4)), LEFT - 6, y(value) + 4);
    }
    pen.textAlign = "center";
    pen.fillText(far ? `frequency, Hz from ${(middle / 1e6).toFixed(2)} MHz` : "frequency, Hz", (LEFT + wide - RIGHT) / 2, high - 4);
    pen.save();
    pen.translate(10, (TOP + high - FOOT) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("drift, Hz/s", 0, 0);
    pen.restore();
    this.stars = [];
    for (const one of [...this.list].reverse()) {
      const [at, up] = [x(one.frequency - off), y(one.drift)];
      const size = one.near ? 2.2 : 3 + 2.6 * Math.min(3, Math.log2(1 + one.score) - 0.6);
      const colour = token(TOKENS[one.kind] ?? "--muted");
      if (!one.near) {
        const glow = pen.createRadialGradient(at, up, 0, at, up, size * 3.4);
        glow.addColorStop(0, colour);
        glow.addColorStop(1, "transparent");
        pen.globalAlpha = dark ? 0.42 : 0.24;
        pen.fillStyle = glow;
        disc(pen, at, up, size * 3.4);
      }
      pen.globalAlpha = one.near ? 0.5 : 1;
      pen.fillStyle = colour;
      disc(pen, at, up, size);
      if (!one.near && dark) {
        pen.globalAlpha = 0.85;
        pen.fillStyle = "#fff";
        disc(pen, at, up, size * 0.36);
      }
      pen.globalAlpha = 1;
      this.stars.push({ one, at, up });
    }
  }

  _near(event) {
    const box = this.canvas.getBoundingClientRect();
    const away = (star) => Math.hypot(star.at - event.clientX + box.left, star.up - event.clientY + box.top);
    const found = (this.stars ?? []).reduce((best, star) => (!best || away(star) < away(best) ? star : best), null);
    return found && away(found) < TOUCH ? found : null;
  }

  _over(event) {
    this._tell(this._near(event));
  }

  _tell(star) {
    this.canvas.style.cursor = star ? "pointer" : "";
    this.tip.textContent = star ? this.words(star.one) : "";
    this.tip.hidden = !star;
    if (!star) return;
    const room = this.node.clientWidth;
    this.tip.style.left = `${Math.min(room - 8 - this.tip.offsetWidth, Math.max(8, star.at - this.tip.offsetWidth / 2))}px`;
    this.tip.style.top = `${star.up > 60 ? star.up - 44 : star.up + 14}px`;
  }
}

function line(pen, ...[a, b, c, d]) {
  pen.beginPath();
  pen.moveTo(a, b);
  pen.lineTo(c, d);
  pen.stroke();
}

function disc(pen, x, y, r) {
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fill();
}
