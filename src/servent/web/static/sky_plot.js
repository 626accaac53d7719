// The plot of a candidate: the spectrum around a spike, a beam with the curve that was fitted, a folded pulse, the three of a triplet.

import { ticks } from "./heat_view.js";
import { svg } from "./network_map.js";

const [WIDE, HIGH, FOOT, LEFT, TOP] = [300, 108, 18, 8, 8];

const said = (value) => String(+value.toPrecision(3));

export function plotOf(one) {
  const drawn = svg("svg", { class: "sky-plot", viewBox: `0 0 ${WIDE} ${HIGH}`, "data-kind": one.kind, role: "img", "aria-label": `${one.kind}: power ${one.along === "Hz" ? "beside its frequency" : "over time"}` });
  const count = one.plot.length;
  if (!count) return drawn;
  const most = Math.max(1e-9, ...one.plot, ...one.model) * 1.06;
  const step = count > 1 ? (one.right - one.left) / (count - 1) : 1;
  const [from, to] = [one.left - step / 2, one.right + step / 2];
  const x = (value) => LEFT + ((value - from) / (to - from || 1)) * (WIDE - 2 * LEFT);
  const y = (value) => TOP + (1 - Math.max(0, value) / most) * (HIGH - TOP - FOOT);
  const base = y(0);
  drawn.append(svg("line", { class: "sky-ground", x1: LEFT, x2: WIDE - LEFT, y1: base, y2: base }));
  for (const value of ticks(from, to, 4)) {
    const word = svg("text", { class: "sky-tick", x: Math.min(WIDE - 22, Math.max(14, x(value))), y: HIGH - 5, "text-anchor": "middle" });
    word.textContent = `${said(value)}${one.along === "Hz" ? " Hz" : " s"}`;
    drawn.append(word);
  }
  for (const mark of one.marks) if (mark >= from && mark <= to) drawn.append(svg("line", { class: "sky-mark", x1: x(mark), x2: x(mark), y1: TOP - 4, y2: base }));
  const places = one.plot.map((value, k) => [x(one.left + k * step), y(value)]);
  const path = (points) => points.map(([a, b], k) => `${k ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
  if (one.kind === "pulse") {
    const half = (x(step) - x(0)) / 2 - 1;
    for (const [at, top] of places) drawn.append(svg("rect", { class: "sky-bar", x: at - half, width: Math.max(1, 2 * half), y: top, height: Math.max(0.5, base - top), rx: 2 }));
  } else if (one.kind === "gaussian") {
    for (const [at, top] of places) drawn.append(svg("circle", { class: "sky-dot", cx: at, cy: top, r: 1.7 }));
    if (one.model.length === count) drawn.append(svg("path", { class: "sky-model", d: path(one.model.map((value, k) => [places[k][0], y(value)])) }));
  } else {
    drawn.append(svg("path", { class: "sky-area", d: `${path(places)}L${places.at(-1)[0]} ${base}L${places[0][0]} ${base}Z` }), svg("path", { class: "sky-line", d: path(places) }));
  }
  return drawn;
}
