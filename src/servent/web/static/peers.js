// <sv-peers>: everyone this node knows, how they are reached and why. "Change" tells the page's Python side which one.

import { attribute, bytes, clean, duration, el, peerName, rate, rtt, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { Rows } from "./rows.js";

const GROUPS = [["all", "All"], ["friends", "Friends"], ["direct", "Direct"], ["relayed", "Relayed"], ["away", "Not connected"], ["blocked", "Blocked"]];

function kind(peer) {
  if (!peer.connected) return "away";
  return peer.path === "relayed" ? "relayed" : "direct";
}

function sentence(peer) {
  if (peer.blocked) return "Blocked: nothing of them reaches this node";
  if (peer.reason) return upper(clean(peer.reason));
  if (!peer.connected) return "Not connected; the node keeps trying";
  return peer.path === "relayed" ? "Through a relay; the reason is not known yet" : "Straight to them, nobody in between";
}

class Peers extends HTMLElement {
  connectedCallback() {
    this.group = "all";
    this.needle = "";
    this.rows = new Rows({ label: "Peers", make: () => this._row(), fill: (row, peer) => this._fill(row, peer), open: (peer) => this._edit(peer) });
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    this.chips = GROUPS.map(([group, word]) => {
      const count = el("span", { class: "chip-count" });
      const chip = el("button", { class: "chip", type: "button", "aria-pressed": group === "all", onclick: () => this._choose(group) }, word, count);
      return { group, chip, count };
    });
    this.search = el("input", { class: "search", type: "search", placeholder: "Find by name or id", "aria-label": "Find a peer by name or id", oninput: () => {
      this.needle = this.search.value.trim().toLowerCase();
      this.paint();
    } });
    this.head = el("div", { class: "rows-head", "aria-hidden": "true" }, ...["", "Peer", "Path", "Round trip", "Address", "Traffic", ""].map((word) => el("span", {}, word)));
    this.replaceChildren(
      el("div", { class: "tools" }, el("div", { class: "chips", role: "group", "aria-label": "Show" }, ...this.chips.map(({ chip }) => chip)), this.search),
      el("div", { class: "card list" }, this.head, this.rows.node, this.empty));
    this.rows.attach();
    this._stop = live.watch(["peers"], () => this.paint(), 450);
  }

  disconnectedCallback() {
    this._stop?.();
    this.rows?.detach();
    this.replaceChildren();
  }

  _row() {
    const parts = {
      dot: el("span", { class: "dot" }), name: el("span", { class: "name", dir: "auto" }), mark: el("span", { class: "mark" }), id: el("span", { class: "id" }),
      why: el("span", { class: "why", dir: "auto" }), path: el("span", { class: "path" }), since: el("span", { class: "small" }), trip: el("span", { class: "trip" }),
      address: el("span", { class: "address", dir: "auto" }), traffic: el("span", { class: "traffic" }), total: el("span", { class: "small" }),
    };
    const change = el("button", { class: "round", type: "button", title: "Name, friend, block" }, icon("edit"));
    parts.browse = el("a", { class: "round", title: "Browse what they share" }, icon("browse"));
    const row = el("div", { class: "peer-row" }, parts.dot,
      el("span", { class: "what" }, el("span", { class: "who" }, parts.name, parts.mark, parts.id), parts.why),
      el("span", { class: "two" }, parts.path, parts.since), parts.trip, parts.address, el("span", { class: "two" }, parts.traffic, parts.total), el("span", { class: "actions" }, parts.browse, change));
    change.addEventListener("click", () => this._edit(row.item));
    row.parts = { ...parts, change };
    return row;
  }

  _fill(row, peer) {
    const { parts } = row;
    const its = kind(peer);
    row.item = peer;
    if (row.dataset.kind !== its) row.dataset.kind = its;
    parts.dot.dataset.tone = its === "away" ? "none" : its;
    write(parts.name, peerName(peer));
    write(parts.mark, peer.blocked ? "blocked" : peer.friend ? "friend" : "");
    write(parts.id, clean(peer.short_id));
    write(parts.why, sentence(peer));
    write(parts.path, its === "away" ? "–" : its === "relayed" ? "Relayed" : "Direct");
    write(parts.since, peer.connected && peer.since ? `for ${duration(Date.now() / 1000 - peer.since)}` : "");
    write(parts.trip, peer.connected ? rtt(peer.rtt_ms) : "–");
    write(parts.address, clean(peer.address || "–"));
    const flow = (peer.up_bytes_per_s ?? 0) + (peer.down_bytes_per_s ?? 0);
    write(parts.traffic, peer.connected ? (flow > 0 ? `↓ ${rate(peer.down_bytes_per_s)}  ↑ ${rate(peer.up_bytes_per_s)}` : "idle") : "–");
    write(parts.total, `${bytes((peer.sent_bytes ?? 0) + (peer.received_bytes ?? 0))} in all`);
    attribute(parts.change, "aria-label", `Name, friend, block: ${peerName(peer)}`);
    attribute(parts.browse, "aria-label", `Browse what ${peerName(peer)} shares`);
    attribute(parts.browse, "href", `/browse?peer=${encodeURIComponent(peer.id)}`);
    parts.browse.hidden = !peer.connected || peer.blocked;
    parts.browse.tabIndex = parts.change.tabIndex = row.tabIndex;
  }

  _edit(peer) {
    this.dispatchEvent(new CustomEvent("edit", { detail: { id: peer.id } }));
  }

  _choose(group) {
    this.group = group;
    for (const { chip, group: its } of this.chips) chip.setAttribute("aria-pressed", its === group);
    this.rows.node.scrollTop = 0;
    this.paint();
  }

  paint() {
    const counts = { all: 0, friends: 0, direct: 0, relayed: 0, away: 0, blocked: 0 };
    const chosen = [];
    for (const peer of live.peers.values()) {
      const its = kind(peer);
      counts.all += 1;
      counts[its] += 1;
      counts.friends += peer.friend;
      counts.blocked += peer.blocked;
      const words = `${peer.name} ${peer.petname ?? ""} ${peer.id}`.toLowerCase();
      const fits = this.group === "all" || this.group === its || (this.group === "friends" && peer.friend) || (this.group === "blocked" && peer.blocked);
      if (fits && (!this.needle || words.includes(this.needle))) chosen.push(peer);
    }
    const rank = (peer) => (peer.connected ? 0 : 2) + (peer.friend ? 0 : 1);
    const names = new Map(chosen.map((peer) => [peer.id, peerName(peer)]));
    chosen.sort((a, b) => rank(a) - rank(b) || names.get(a.id).localeCompare(names.get(b.id)) || (a.id < b.id ? -1 : 1));
    for (const { group, count } of this.chips) write(count, String(counts[group]));
    this.head.hidden = !chosen.length;
    this.rows.node.classList.toggle("gone", !chosen.length);
    this.rows.node.style.setProperty("--count", chosen.length);
    this.rows.show(chosen);
    this.empty.hidden = chosen.length > 0;
    if (chosen.length) return;
    const [title, text] = this.empty.children;
    if (live.connection !== "live" && !counts.all) {
      write(title, live.connection === "away" ? "The node is away" : "Asking the node…");
      write(text, "");
    } else if (counts.all) {
      write(title, "Nobody here");
      write(text, this.needle ? "No peer has these letters in its name or id." : "Nobody is like this right now.");
    } else {
      write(title, "Nobody is known yet");
      write(text, "Make a ticket on the Invite page and give it to a friend, or join with theirs.");
    }
  }
}
customElements.define("sv-peers", Peers);
