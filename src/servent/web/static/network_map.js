// The drawing of a network as seen from here. Shape says the role (hexagon: supernode, circle: leaf), the fill what links
// us (a home is filled), the line the path, its length the round trip. Supernodes that are only known stand around it.

import { clean, el, rtt, write } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_LINKED = 40; // drawn; the list beside has more
const MOST_KNOWN = 60;
const NAMED = 22; // with more nodes than this, only those with a role are named
const NEAR = 1; // ms at the innermost place
const FAR = 300;

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const depth = (ms) => Math.min(1, Math.max(0, Math.log(Math.max(ms ?? 60, NEAR) / NEAR) / Math.log(FAR / NEAR)));
const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

// A hexagon or a circle, `size` from its middle to its edge.
export function shape(supernode, size, attributes = {}) {
  if (!supernode) return svg("circle", { r: size * 0.86, ...attributes });
  const points = Array.from({ length: 6 }, (_, corner) => {
    const angle = (Math.PI / 3) * corner - Math.PI / 2;
    return `${(Math.cos(angle) * size * 1.08).toFixed(2)},${(Math.sin(angle) * size * 1.08).toFixed(2)}`;
  });
  return svg("polygon", { points: points.join(" "), ...attributes });
}

// Homes above, leaves below, neighbours on both sides: each keeps its place while others come and go nearby.
function arranged(peers) {
  const of = (link) => peers.filter((peer) => peer.link === link).sort((a, b) => (a.id < b.id ? -1 : 1));
  const homes = of("home");
  const leaves = of("leaf");
  const sides = of("neighbour");
  const half = Math.ceil(sides.length / 2);
  const order = [...homes, ...sides.slice(0, half), ...leaves, ...sides.slice(half)];
  const slot = (2 * Math.PI) / Math.max(1, order.length);
  const first = homes.length ? -Math.PI / 2 - (slot * (homes.length - 1)) / 2 : -Math.PI / 2;
  return order.map((peer, index) => ({ peer, angle: first + slot * index }));
}

export class NetworkMap {
  // chosen(id) is called when somebody presses a node, with null for none.
  constructor(chosen) {
    this.chosen = chosen;
    this.lines = svg("g", { class: "map-lines" });
    this.known = svg("g", { class: "map-known" });
    this.crowd = svg("g", { class: "map-crowd" });
    this.me = svg("g", { class: "map-me" });
    this.rings = svg("g", { class: "map-rings" });
    this.node = svg("svg", { class: "map", role: "img" }, this.rings, this.lines, this.known, this.me, this.crowd);
    this.node.addEventListener("click", (event) => {
      const id = event.target.closest("[data-id]")?.dataset.id ?? null;
      this.chosen(id);
    });
    this._resize = new ResizeObserver(() => this._fit());
    this._resize.observe(this.node);
  }

  close() {
    this._resize.disconnect();
  }

  _fit() {
    const { width, height } = this.node.getBoundingClientRect();
    if (!width || !height || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    this.node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (this.shown) this.show(this.shown, this.selected);
  }

  show(found, selected) {
    this.shown = found;
    this.selected = selected;
    if (!this.width) return;
    const { width, height } = this;
    const small = width < 480;
    const center = { x: width / 2, y: height / 2 };
    const linked = found.peers.filter((peer) => peer.link !== "supernode").slice(0, MOST_LINKED);
    const known = found.peers.filter((peer) => peer.link === "supernode").slice(0, MOST_KNOWN);
    const edge = { x: width / 2 - 14, y: height / 2 - 14 };
    const outer = { x: edge.x - (small ? 34 : 58), y: edge.y - 38 };
    const inner = small ? 58 : 78;
    const at = (angle, part) => ({
      x: center.x + Math.cos(angle) * (Math.min(inner * 1.3, outer.x) + Math.max(0, outer.x - inner * 1.3) * part),
      y: center.y + Math.sin(angle) * (Math.min(inner, outer.y) + Math.max(0, outer.y - inner) * part),
    });
    this.rings.replaceChildren(...(known.length ? [svg("ellipse", { cx: center.x, cy: center.y, rx: edge.x, ry: edge.y })] : []));
    const lines = [];
    const nodes = [];
    const places = arranged(linked);
    places.forEach(({ peer, angle }, index) => {
      const place = at(angle, depth(peer.rtt_ms) * 0.94 + (places.length > 12 && index % 2 ? 0.06 : 0));
      const path = peer.path ?? "none";
      const mark = `${path} link-${peer.link}${peer.id === selected ? " selected" : ""}`;
      lines.push(svg("line", { class: `map-line ${mark}`, x1: center.x, y1: center.y, x2: place.x.toFixed(1), y2: place.y.toFixed(1) }));
      nodes.push(this._node(peer, place, mark, center, linked.length, small));
    });
    this.lines.replaceChildren(...lines);
    this.crowd.replaceChildren(...nodes);
    this.known.replaceChildren(...known.map((peer, index) => {
      const angle = -Math.PI / 2 + ((index + 0.5) / known.length) * 2 * Math.PI;
      const group = svg("g", { class: `map-only${peer.id === selected ? " selected" : ""}`, "data-id": peer.id, transform: `translate(${(center.x + Math.cos(angle) * edge.x).toFixed(1)} ${(center.y + Math.sin(angle) * edge.y).toFixed(1)})` });
      group.append(svg("circle", { class: "target", r: 12 }), shape(true, 5), svg("title", {}, nameOf(peer)));
      return group;
    }));
    const { network } = found;
    this.me.setAttribute("transform", `translate(${center.x} ${center.y})`);
    this.me.setAttribute("class", `map-me${network.index ? " index" : ""}${network.retiring ? " retiring" : ""}`);
    this.me.replaceChildren(svg("circle", { class: "halo", r: 32 }), shape(network.index, 21, { class: "core" }), svg("text", { class: "you", "text-anchor": "middle", dy: "0.35em" }, "You"));
    this.node.setAttribute("aria-label", `You, ${network.index ? "a supernode" : "a leaf"}, with ${linked.length} connected members around you. The list beside it says the same.`);
  }

  _node(peer, place, mark, center, all, small) {
    const group = svg("g", { class: `map-node ${mark}${peer.supernode ? " supernode" : ""}${peer.retiring ? " retiring" : ""}`, "data-id": peer.id, transform: `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})` });
    const size = peer.link === "home" ? 12 : peer.supernode ? 10 : peer.link === "leaf" ? 7 : 8.5;
    group.append(svg("circle", { class: "target", r: 20 }), shape(peer.supernode, size, { class: "ball" }), svg("title", {}, words(peer)));
    if (all <= NAMED || peer.link === "home" || peer.id === this.selected) {
      const above = place.y < center.y - 6;
      const name = svg("text", { class: "map-name", "text-anchor": "middle", y: above ? -size - 17 : size + 16, direction: "ltr" }, short(nameOf(peer), small ? 9 : 16));
      const trip = svg("text", { class: "map-trip", "text-anchor": "middle", y: above ? -size - 4 : size + 29 }, peer.rtt_ms === undefined || peer.rtt_ms === null ? "" : rtt(peer.rtt_ms));
      group.append(name, trip);
    }
    return group;
  }
}

export const nameOf = (peer) => clean(peer.name || peer.short_id || String(peer.id).slice(0, 8));

// What is known of a member, in one line.
export function words(peer) {
  const facts = [
    peer.supernode ? (peer.retiring ? "supernode, about to stop" : "supernode") : "leaf",
    peer.path ?? "not connected",
    ...(peer.rtt_ms === undefined || peer.rtt_ms === null ? [] : [rtt(peer.rtt_ms)]),
    ...(peer.supernode && peer.room ? [`${peer.leaves ? `${peer.leaves} of` : "up to"} ${peer.room} leaves`] : []),
  ];
  return `${nameOf(peer)}: ${facts.join(", ")}`;
}

export function legend() {
  const key = (supernode, kind) => {
    const drawn = svg("svg", { class: `map-key ${kind}`, viewBox: "-12 -12 24 24", "aria-hidden": "true" });
    drawn.append(shape(supernode, 8, { class: "ball" }));
    return drawn;
  };
  const node = el("p", { class: "legend map-legend" });
  node.append(
    el("span", {}, key(true, "link-home supernode"), "home"), el("span", {}, key(true, "supernode"), "supernode"), el("span", {}, key(false, ""), "leaf"),
    el("span", {}, el("span", { class: "key direct" }), "direct"), el("span", {}, el("span", { class: "key relayed" }), "relayed"),
    el("span", { class: "key-text" }, "The farther, the longer the round trip"));
  return node;
}

export function say(node, text) {
  write(node, clean(text));
}
