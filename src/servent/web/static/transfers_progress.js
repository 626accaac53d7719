// How far one transfer is: what came, how fast over the last two minutes, how it divides among its sources.

import { bytes, duration, el, rate, write } from "./format.js";
import { ended, part, percent } from "./transfer_words.js";

const SVG = "http://www.w3.org/2000/svg";
const SPAN = 120; // s shown
const EVERY = 0.5; // s between two points
const WIDTH = 300;
const HEIGHT = 72;

const drawn = (name, attributes) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

export class Progress {
  constructor() {
    const fact = (word) => {
      const value = el("dd", { dir: "auto" });
      return { value, nodes: [el("dt", {}, word), value] };
    };
    this.facts = Object.fromEntries(["Came", "Files", "Rate", "Time left"].map((word) => [word, fact(word)]));
    this.line = drawn("polyline", { class: "rate-line-path" });
    this.area = drawn("path", { class: "rate-area" });
    this.chart = drawn("svg", { class: "rate-chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.chart.append(this.area, this.line);
    this.top = el("span", { class: "note" });
    this.shares = el("div", { class: "shares-bar", "aria-hidden": "true" });
    this.legend = el("p", { class: "note" });
    this.node = el("div", { class: "progress-tab" },
      el("dl", {}, ...Object.values(this.facts).flatMap(({ nodes }) => nodes)),
      el("div", { class: "chart-head" }, el("h3", {}, "Rate, last two minutes"), this.top), this.chart,
      el("h3", {}, "Who it came from"), this.shares, this.legend);
  }

  of(transfer) {
    if (this.id !== transfer.id) this.points = [];
    this.id = transfer.id;
  }

  paint(transfer) {
    const done = part(transfer);
    write(this.facts.Came.value, `${bytes(transfer.done_bytes)} of ${bytes(transfer.size_bytes)} (${percent(done)})${transfer.checking !== null && transfer.checking !== undefined ? `; checked ${percent(transfer.checking)}` : ""}`);
    const files = Number(transfer.files ?? 0);
    write(this.facts.Files.value, transfer.wanted_files === null || transfer.wanted_files === undefined ? files.toLocaleString("en") : `${transfer.wanted_files.toLocaleString("en")} of ${files.toLocaleString("en")}`);
    write(this.facts.Rate.value, transfer.state === "active" ? rate(transfer.rate_bytes_per_s) : "–");
    write(this.facts["Time left"].value, ended(transfer) ? "–" : duration(transfer.eta_s));
    this._note(transfer);
    this._divide(transfer);
  }

  _note(transfer) {
    const now = performance.now() / 1000;
    const last = this.points.at(-1);
    if (last && now - last[0] < EVERY) return;
    this.points.push([now, transfer.state === "active" ? transfer.rate_bytes_per_s : 0]);
    while (this.points[0][0] < now - SPAN) this.points.shift();
    const most = Math.max(1, ...this.points.map(([, value]) => value));
    const at = ([time, value]) => [WIDTH - ((now - time) / SPAN) * WIDTH, HEIGHT - 2 - (value / most) * (HEIGHT - 8)];
    const places = this.points.map(at);
    this.line.setAttribute("points", places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
    this.area.setAttribute("d", `M${places[0][0].toFixed(1)},${HEIGHT} ${places.map(([x, y]) => `L${x.toFixed(1)},${y.toFixed(1)}`).join(" ")} L${places.at(-1)[0].toFixed(1)},${HEIGHT} Z`);
    write(this.top, most > 1 ? `at most ${rate(most)}` : "");
    this.chart.setAttribute("aria-label", `Rate over the last two minutes, at most ${rate(most)}`);
  }

  _divide(transfer) {
    const gave = (transfer.sources ?? []).filter((source) => source.bytes > 0).sort((a, b) => b.bytes - a.bytes);
    const all = gave.reduce((sum, source) => sum + source.bytes, 0);
    while (this.shares.children.length > gave.length) this.shares.lastChild.remove();
    gave.forEach((source, index) => {
      if (!this.shares.children[index]) this.shares.append(el("span", {}));
      const width = `${((source.bytes / all) * 100).toFixed(1)}%`;
      if (this.shares.children[index].style.width !== width) this.shares.children[index].style.width = width;
    });
    write(this.legend, gave.length ? gave.slice(0, 6).map((source) => `${source.name || String(source.peer).slice(0, 8)} ${bytes(source.bytes)}`).join(" · ") : "Nobody has given anything since the node started.");
  }
}
