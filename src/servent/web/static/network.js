// <sv-network data-network="ID">: how one network looks from here. The map, and beside it the same as a list for the keyboard.

import { clean, el, rtt, upper, write } from "./format.js";
import { count, grouped } from "./kinds.js";
import { live } from "./live.js";
import { aborted, ask } from "./net.js";
import { NetworkMap, legend, nameOf, shape, svg } from "./network_map.js";

const SOON = 500; // ms between two looks while it changes
const EVERY = 10000; // ms between two looks at what is merely measured, while somebody sees it
const MOST_ROWS = 100; // of one kind in the list
const GROUPS = [
  ["home", "Homes", "Supernodes that keep what you offer, and answer your searches"],
  ["neighbour", "Neighbours", "News and addresses travel along these"],
  ["leaf", "Your leaves", "You keep what they offer"],
  ["supernode", "Other supernodes", "Known, and not connected"],
];
const SEARCHES = { hybrid: "Hybrid", server: "Server", p2p: "Peer to peer" };

class Network extends HTMLElement {
  connectedCallback() {
    this.selected = null;
    this.map = new NetworkMap((id) => this._select(id));
    this.headline = el("h2", {});
    this.standing = el("p", { class: "network-role", dir: "auto" }, el("span", { class: "dot" }), el("span", {}));
    this.facts = el("dl", { class: "network-facts" });
    this.empty = el("p", { class: "muted map-empty", hidden: true });
    this.problem = el("p", { class: "muted", role: "alert", hidden: true });
    this.groups = new Map();
    this.list = el("div", { class: "map-list" });
    const head = el("div", { class: "map-head" }, this.headline, this.standing);
    this.replaceChildren(
      el("section", { class: "card map-card" }, head, this.problem, el("div", { class: "map-room" }, this.map.node, this.empty), legend()),
      el("section", { class: "card map-side" }, el("h2", {}, "Who is around you"), this.list),
      el("section", { class: "card map-numbers" }, el("h2", {}, "What goes over it"), this.facts));
    this._stop = live.watch(["networks", "shape"], () => this._changed(), SOON);
    this._seen = () => document.hidden || this._look();
    document.addEventListener("visibilitychange", this._seen);
    this._timer = setInterval(() => document.hidden || this._look(), EVERY);
    this._look();
  }

  disconnectedCallback() {
    this._stop?.();
    clearInterval(this._timer);
    document.removeEventListener("visibilitychange", this._seen);
    this.control?.abort();
    this.map.close();
    this.replaceChildren();
  }

  // Networks tell of every member who comes and goes, also in others than this one.
  _changed() {
    const id = this.dataset.network;
    const now = JSON.stringify([live.shape?.networks?.[id], live.networks.get(id)]);
    if (now === this._known) return;
    this._known = now;
    this._look();
  }

  async _look() {
    this._again = this._asking; // it changed while the answer was on its way
    if (this._asking) return;
    this._asking = true;
    this.control = new AbortController();
    try {
      const found = await ask("GET", `/networks/${encodeURIComponent(this.dataset.network)}/shape`, null, { signal: this.control.signal });
      if (this.isConnected && found?.network) this.show({ peers: [], ...found });
      this.problem.hidden = true;
    } catch (wrong) {
      if (aborted(wrong) || !this.isConnected) return;
      this.problem.hidden = false;
      write(this.problem, clean(`${wrong.message}. ${wrong.advice ?? ""}`));
    } finally {
      this._asking = false;
      if (this._again && this.isConnected) this._look();
    }
  }

  show(found) {
    this.found = found;
    const { network } = found;
    if (this.selected && !found.peers.some((peer) => peer.id === this.selected)) this.selected = null;
    write(this.headline, network.removed ? "You are no member any more" : network.index ? "This node is a supernode" : "This node is a leaf");
    this.standing.firstChild.dataset.tone = network.index ? "direct" : "none";
    write(this.standing.lastChild, clean(upper(network.why || (network.index ? "It keeps the index for others." : "Others keep the index for it."))));
    const linked = found.peers.filter((peer) => peer.link !== "supernode").length;
    this.empty.hidden = linked > 0;
    write(this.empty, network.removed ? "Nothing goes over this network here any more." : network.members > 1 ? "Nobody of this network is connected right now." : "Nobody else is in this network yet. Invite somebody.");
    this.map.show(found, this.selected);
    this._rows();
    this._facts();
  }

  _select(id) {
    this.selected = id === this.selected ? null : id;
    if (!this.found) return;
    this.map.show(this.found, this.selected);
    for (const button of this.list.querySelectorAll("button[data-id]")) {
      const chosen = button.dataset.id === this.selected;
      button.setAttribute("aria-pressed", chosen);
      if (chosen) button.scrollIntoView({ block: "nearest" });
    }
  }

  _rows() {
    const { peers, more_peers: more = 0 } = this.found;
    for (const [link, word, what] of GROUPS) {
      const here = peers.filter((peer) => peer.link === link).sort((a, b) => (a.rtt_ms ?? 1e9) - (b.rtt_ms ?? 1e9) || nameOf(a).localeCompare(nameOf(b)));
      let group = this.groups.get(link);
      if (!group) {
        group = { node: el("section", { class: "map-group" }, el("h3", {}, el("span", {}, word), el("span", { class: "chip-count" })), el("p", { class: "small why" }, what), el("ul", {}), el("p", { class: "muted small" })), rows: new Map() };
        this.groups.set(link, group);
        this.list.append(group.node);
      }
      group.node.hidden = !here.length;
      const [head, , list, rest] = group.node.children;
      const left = Math.max(0, here.length - MOST_ROWS) + (link === "supernode" ? more : 0);
      write(head.lastChild, grouped(here.length + (link === "supernode" ? more : 0)));
      write(rest, left ? `and ${grouped(left)} more` : "");
      const shown = here.slice(0, MOST_ROWS);
      const ids = new Set(shown.map((peer) => peer.id));
      for (const [id, row] of group.rows) {
        if (ids.has(id)) continue;
        row.remove();
        group.rows.delete(id);
      }
      shown.forEach((peer, index) => {
        let row = group.rows.get(peer.id);
        if (!row) {
          row = this._row(peer);
          group.rows.set(peer.id, row);
        }
        this._fill(row, peer);
        if (list.children[index] !== row && !list.contains(document.activeElement)) list.insertBefore(row, list.children[index] ?? null);
        else if (!row.parentNode) list.append(row);
      });
    }
  }

  _row(peer) {
    const sign = svg("svg", { class: "map-key", viewBox: "-12 -12 24 24", "aria-hidden": "true" });
    const button = el("button", { class: "map-row", type: "button", "data-id": peer.id, "aria-pressed": "false", onclick: () => this._select(peer.id) },
      sign, el("span", { class: "name", dir: "auto" }), el("span", { class: "small" }), el("span", { class: "why" }));
    return el("li", {}, button);
  }

  _fill(row, peer) {
    const [sign, name, trip, about] = row.firstChild.children;
    const kind = `map-key ${peer.path ?? "none"} link-${peer.link}${peer.supernode ? " supernode" : ""}${peer.retiring ? " retiring" : ""}`;
    if (sign.getAttribute("class") !== kind) {
      sign.setAttribute("class", kind);
      sign.replaceChildren(shape(peer.supernode, 8, { class: "ball" }));
    }
    write(name, nameOf(peer));
    write(trip, peer.rtt_ms === undefined || peer.rtt_ms === null ? "" : rtt(peer.rtt_ms));
    write(about, [peer.supernode ? "supernode" : "leaf", peer.retiring ? "about to stop" : "", peer.path ?? "", peer.supernode && peer.room ? `${peer.leaves ? `${grouped(peer.leaves)} of` : "up to"} ${grouped(peer.room)} leaves` : ""].filter(Boolean).join(" · "));
    row.firstChild.setAttribute("aria-pressed", peer.id === this.selected);
  }

  _facts() {
    const { network, ...now } = this.found;
    const size = network.size > network.members ? `about ${grouped(network.size)}` : grouped(network.members);
    const facts = [
      ["Organised", SEARCHES[network.mode] ?? clean(network.mode)],
      ["Members", `${size}, ${grouped(network.online ?? 0)} connected to you`],
      ["Supernodes known", grouped(network.supernodes ?? 0)],
      ["Searches", upper(clean(now.searching || "go to those who are connected"))],
      ["Yours to be found", `${grouped(now.published ?? 0)} of ${count(now.to_publish ?? 0, "item")}`],
      ["Kept for others", now.stored_items || network.index ? `${count(now.stored_items ?? 0, "item")}, ${grouped(now.stored_postings ?? 0)} entries of the index` : "nothing"],
      ["Questions", `${grouped(now.questions ?? 0)} answered, ${grouped(now.mine ?? 0)} asked`],
      ["Cost of being there", `${count(now.control_per_minute ?? 0, "message")} in the last minute`],
    ];
    if (!this.facts.children.length) this.facts.append(...facts.flatMap(([word]) => [el("dt", {}, word), el("dd", { dir: "auto" })]));
    facts.forEach(([, text], index) => write(this.facts.children[2 * index + 1], text));
  }
}
customElements.define("sv-network", Network);
