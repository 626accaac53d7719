// <sv-picture>: you in the middle, your peers around you. Distance is the round trip, the line is the path,
// and what moves along it are bytes. It rests when nothing changes, when nobody looks, and for who asked for less motion.

import { clean, duration, el, peerName, rate, rtt, write } from "./format.js";
import { live } from "./live.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST = 48; // peers drawn; the Peers page has all of them
const NEAR = 1; // ms at the innermost ring
const FAR = 200; // ms at the outermost
const RINGS = [10, 100]; // ms
const STEP = 5; // px a peer has to be off its place before it moves: a round trip that breathes moves nobody
const FRAME = 1000 / 24 - 2;

function svg(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A peer keeps its direction for life: 32 bits out of its id.
function direction(id) {
  let hash = 2166136261;
  for (const letter of id) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  return ((hash >>> 0) / 2 ** 32) * 2 * Math.PI;
}

// Pushes neighbours apart until labels have room; the same peers always give the same picture.
function spread(angles) {
  const count = angles.length;
  if (count < 2) return angles;
  const turn = 2 * Math.PI;
  const room = (turn / count) * 0.94;
  const order = angles.map((_, index) => index).sort((a, b) => angles[a] - angles[b]);
  for (let round = 0; round < 60; round += 1) {
    for (let k = 0; k < count; k += 1) {
      const a = order[k];
      const b = order[(k + 1) % count];
      const gap = angles[b] - angles[a] + (k === count - 1 ? turn : 0);
      if (gap < room) {
        angles[a] -= (room - gap) / 2;
        angles[b] += (room - gap) / 2;
      }
    }
  }
  return angles;
}

const depth = (ms) => Math.min(1, Math.max(0, Math.log(Math.max(ms ?? 80, NEAR) / NEAR) / Math.log(FAR / NEAR)));
const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

class Picture extends HTMLElement {
  connectedCallback() {
    this.nodes = new Map();
    this.selected = null;
    this.drawing = svg("svg", { class: "picture", role: "group", "aria-label": "Your peers" });
    this.rings = svg("g", { class: "rings" });
    this.links = svg("g", { class: "links" });
    this.flows = el("canvas", { class: "flows", "aria-hidden": "true" }); // what moves has its own layer: the drawing below is not painted again
    this.crowd = svg("g", { class: "crowd" });
    this.me = svg("g", { class: "me" });
    this.me.append(svg("circle", { class: "halo", r: 30 }), svg("circle", { class: "core", r: 19 }), svg("text", { class: "you", "text-anchor": "middle", dy: "0.35em" }));
    this.me.lastChild.textContent = "You";
    this.drawing.append(this.rings, this.links, this.me, this.crowd);
    this.facts = el("div", { class: "picture-facts", hidden: true, "aria-live": "polite" });
    this.legend = el("p", { class: "legend" },
      el("span", { class: "key direct" }), "direct", el("span", { class: "key relayed" }), "relayed",
      el("span", { class: "key-text" }, "The farther, the longer the round trip"));
    this.more = el("span", { class: "key-text" });
    this.legend.append(this.more);
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    this.replaceChildren(this.drawing, this.flows, this.empty, this.facts, this.legend);
    this._still = matchMedia("(prefers-reduced-motion: reduce)");
    this._resize = new ResizeObserver(() => this._fit());
    this._resize.observe(this.drawing);
    this._stop = live.watch(["peers", "status"], () => this.paint(), 500);
    this.drawing.addEventListener("keydown", (event) => event.key === "Escape" && this._select(null));
    this._wake = () => document.hidden || this._run();
    document.addEventListener("visibilitychange", this._wake);
  }

  disconnectedCallback() {
    this._stop?.();
    this._resize?.disconnect();
    cancelAnimationFrame(this._frame);
    this._frame = 0;
    document.removeEventListener("visibilitychange", this._wake);
    this.replaceChildren();
  }

  _fit() {
    const { width, height } = this.drawing.getBoundingClientRect();
    if (!width || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    this.small = width < 520;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.scale = Math.min(2, devicePixelRatio || 1);
    this.flows.width = width * this.scale;
    this.flows.height = height * this.scale;
    this.flows.style.width = `${width}px`;
    this.flows.style.height = `${height}px`;
    this.center = { x: width / 2, y: height / 2 - 8 };
    this.inner = this.small ? 62 : 84;
    this.outer = { x: width / 2 - (this.small ? 46 : 64), y: height / 2 - 46 };
    this.me.setAttribute("transform", `translate(${this.center.x} ${this.center.y})`);
    this.rings.replaceChildren(...RINGS.flatMap((ms) => {
      const { x, y } = this._radius(depth(ms));
      const label = svg("text", { "text-anchor": "middle", dy: "0.35em" });
      label.textContent = `${ms} ms`;
      return [svg("ellipse", { cx: this.center.x, cy: this.center.y, rx: Math.max(0, x), ry: Math.max(0, y) }), label];
    }));
    this._named = null;
    this.paint(true);
  }

  _radius(part) {
    const inner = { x: Math.min(this.inner * 1.25, this.outer.x), y: Math.min(this.inner, this.outer.y) };
    return { x: inner.x + (this.outer.x - inner.x) * part, y: inner.y + (this.outer.y - inner.y) * part };
  }

  paint(jump = false) {
    if (!this.width) return;
    const style = getComputedStyle(this);
    this.colours = { direct: style.getPropertyValue("--direct"), relayed: style.getPropertyValue("--relayed") };
    const here = [...live.peers.values()].filter((peer) => peer.connected && !peer.blocked);
    const rank = (peer) => (peer.friend ? 0 : 1) - ((peer.up_bytes_per_s ?? 0) + (peer.down_bytes_per_s ?? 0) > 0 ? 2 : 0);
    here.sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
    const drawn = here.slice(0, MOST).sort((a, b) => (a.id < b.id ? -1 : 1));
    write(this.more, here.length > MOST ? `and ${here.length - MOST} more on the Peers page` : "");
    const angles = spread(drawn.map((peer) => direction(peer.id)));
    const seen = new Set();
    drawn.forEach((peer, index) => {
      seen.add(peer.id);
      const node = this.nodes.get(peer.id) ?? this._make(peer);
      const before = node.rtt;
      node.rtt = before === undefined || peer.rtt_ms == null ? peer.rtt_ms ?? undefined : before + (peer.rtt_ms - before) * 0.3; // calm: an eased round trip
      const { x, y } = this._radius(depth(node.rtt));
      const goal = { x: this.center.x + Math.cos(angles[index]) * x, y: this.center.y + Math.sin(angles[index]) * y };
      if (jump || !node.goal || Math.hypot(goal.x - node.goal.x, goal.y - node.goal.y) > STEP) node.goal = goal;
      if (jump || !node.at) node.at = { ...node.goal };
      this._dress(node, peer);
    });
    for (const [id, node] of this.nodes) {
      if (seen.has(id)) continue;
      node.group.remove();
      node.line.remove();
      this.nodes.delete(id);
      if (this.selected === id) this._select(null);
    }
    this._name(angles);
    this._emptiness(here.length);
    this._show();
    this._place();
    this._run();
  }

  // The rings say their milliseconds between two peers, where names stand farthest away. Settled anew only when
  // somebody comes or goes, so that the words do not wander with every round trip.
  _name(angles) {
    const key = `${this.width} ${[...this.nodes.keys()].join()}`;
    if (key === this._named) return;
    this._named = key;
    const order = [...angles].sort((a, b) => a - b);
    const gaps = order.map((angle, index) => (angle + (order[index + 1] ?? order[0] + 2 * Math.PI)) / 2);
    if (!gaps.length) gaps.push(-Math.PI / 2);
    const taken = [...this.nodes.values()].map(({ goal }) => ({ x: goal.x, y: goal.y + (goal.y < this.center.y - 12 ? -20 : 20) }));
    RINGS.forEach((ms, index) => {
      const radius = this._radius(depth(ms));
      const places = gaps.map((angle) => {
        const x = this.center.x + Math.cos(angle) * radius.x;
        const y = this.center.y + Math.sin(angle) * radius.y;
        return { x, y, room: Math.min(...taken.map((other) => Math.hypot((other.x - x) / 1.8, other.y - y))) };
      });
      const best = places.reduce((one, other) => (other.room > one.room ? other : one));
      taken.push(best);
      const label = this.rings.children[2 * index + 1];
      label.setAttribute("visibility", best.room < 18 ? "hidden" : "visible");
      label.setAttribute("x", best.x.toFixed(1));
      label.setAttribute("y", best.y.toFixed(1));
    });
  }

  _make(peer) {
    const group = svg("g", { class: "peer", tabindex: "0", role: "button" });
    const name = svg("text", { class: "peer-name", "text-anchor": "middle", direction: "ltr" });
    const trip = svg("text", { class: "peer-trip", "text-anchor": "middle" });
    group.append(svg("circle", { class: "target", r: 24 }), svg("circle", { class: "ball", r: 9 }), name, trip);
    const node = { id: peer.id, group, name, trip, line: svg("line", { class: "link" }), drops: 0, phase: Math.random() };
    const choose = () => this._select(this.selected === node.id ? null : node.id);
    group.addEventListener("click", choose);
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
    this.links.append(node.line);
    this.crowd.append(group);
    this.nodes.set(peer.id, node);
    return node;
  }

  _dress(node, peer) {
    const path = peer.path === "relayed" ? "relayed" : "direct";
    node.group.setAttribute("class", `peer ${path}${peer.friend ? " friend" : ""}${this.selected === peer.id ? " selected" : ""}`);
    node.line.setAttribute("class", `link ${path}`);
    const name = peerName(peer);
    write(node.name, short(name, this.small ? 11 : 18));
    write(node.trip, rtt(peer.rtt_ms));
    node.group.setAttribute("aria-label", `${name}, ${path}, ${rtt(peer.rtt_ms)}`);
    const up = peer.up_bytes_per_s ?? 0;
    const down = peer.down_bytes_per_s ?? 0;
    node.inward = down >= up;
    const moving = up + down > 20000 && !this._still.matches;
    const count = moving ? Math.min(3, 1 + Math.floor(Math.log10((up + down) / 20000))) : 0;
    node.drops = count;
    node.path = path;
  }

  _place() {
    for (const node of this.nodes.values()) this._placeNode(node);
  }

  _placeNode(node) {
    const { x: cx, y: cy } = this.center;
    const { x, y } = node.at;
    const length = Math.hypot(x - cx, y - cy) || 1;
    const from = 24 / length;
    const to = 1 - 13 / length;
    const point = (part) => [cx + (x - cx) * part, cy + (y - cy) * part];
    const above = y < cy - 12; // labels stand outside, away from the lines
    node.group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    node.name.setAttribute("y", above ? -27 : 25);
    node.trip.setAttribute("y", above ? -14 : 39);
    const [[x1, y1], [x2, y2]] = [point(from), point(to)];
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) node.line.setAttribute(name, value.toFixed(1));
    node.way = { from, to, point };
  }

  _flow() {
    const pen = this.flows.getContext("2d");
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    for (const { drops, path, phase, inward, way } of this.nodes.values()) {
      pen.fillStyle = this.colours[path];
      for (let index = 0; index < drops; index += 1) {
        const part = (phase + index / drops) % 1;
        const [x, y] = way.point(way.from + (way.to - way.from) * (inward ? 1 - part : part));
        pen.beginPath();
        pen.arc(x, y, 2.6, 0, 2 * Math.PI);
        pen.fill();
      }
    }
  }

  // One loop for the whole picture, at 24 frames a second, only while something moves.
  _run() {
    if (this._frame || !this.isConnected || document.hidden) return;
    let last = performance.now();
    const step = (now) => {
      this._frame = 0;
      if (!this.isConnected || document.hidden) return;
      let moving = false;
      if (now - last >= FRAME) {
        const passed = Math.min(0.1, (now - last) / 1000);
        last = now;
        for (const node of this.nodes.values()) {
          const dx = node.goal.x - node.at.x;
          const dy = node.goal.y - node.at.y;
          const eases = Math.abs(dx) + Math.abs(dy) > 0.3;
          if (!eases && !node.drops) continue;
          moving = true;
          node.phase = (node.phase + passed * 0.28) % 1;
          if (eases) {
            const part = this._still.matches ? 1 : 1 - Math.exp(-passed * 4);
            node.at.x += dx * part;
            node.at.y += dy * part;
            this._placeNode(node);
          }
        }
        this._flow();
        if (!moving) return;
      }
      this._frame = requestAnimationFrame(step);
    };
    this._frame = requestAnimationFrame(step);
  }

  _select(id) {
    this.selected = id;
    for (const node of this.nodes.values()) node.group.classList.toggle("selected", node.id === id);
    this._show();
  }

  _show() {
    const peer = this.selected && live.peers.get(this.selected);
    this.facts.hidden = !peer;
    if (!peer) return;
    if (!this.facts.firstChild) this.facts.append(el("strong", { dir: "auto" }), el("span"), el("span", { class: "muted", dir: "auto" }));
    const [name, path, why] = this.facts.children;
    const flow = (peer.up_bytes_per_s || peer.down_bytes_per_s) ? `, ↓ ${rate(peer.down_bytes_per_s)} ↑ ${rate(peer.up_bytes_per_s)}` : "";
    write(name, peerName(peer));
    write(path, `${peer.path === "relayed" ? "Relayed" : "Direct"}, ${rtt(peer.rtt_ms)}${flow}`);
    write(why, clean([peer.address, peer.since ? `for ${duration(Date.now() / 1000 - peer.since)}` : "", peer.path === "relayed" ? peer.reason : ""].filter(Boolean).join(" · ")));
  }

  _emptiness(count) {
    this.empty.hidden = count > 0;
    this.drawing.classList.toggle("alone", count === 0);
    this.legend.hidden = count === 0;
    if (count) return;
    const [title, text] = this.empty.children;
    if (live.connection !== "live" && !live.status) {
      write(title, live.connection === "away" ? "The node is away" : "Asking the node…");
      write(text, "");
      return;
    }
    const known = live.peers.size;
    write(title, known ? "Nobody is connected right now" : "Nobody is here yet");
    write(text, known
      ? "The node keeps trying the peers it knows; they appear here as they come online."
      : "Invite makes a ticket. Give it to a friend, they join with it, and they appear here.");
  }
}
customElements.define("sv-picture", Picture);
