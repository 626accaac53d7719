// Whose library can be looked at: the peers who are here now, and why the others cannot be asked.

import { attribute, clean, duration, el, peerName, rtt, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { go } from "./address.js";
import { query } from "./net.js";
import { Rows } from "./rows.js";

export class PeerShelf {
  constructor(room) {
    this.needle = "";
    this.search = el("input", { class: "search", type: "search", placeholder: "Find a peer", "aria-label": "Find a peer", oninput: () => {
      this.needle = this.search.value.trim().toLowerCase();
      this.paint();
    } });
    this.rows = new Rows({ label: "Peers", make: () => this._row(), fill: (row, peer) => this._fill(row, peer), open: (peer) => peer.connected && go(`/browse${query({ peer: peer.id })}`) });
    this.empty = el("div", { class: "empty", hidden: true });
    this.tools = el("div", { class: "tools" }, el("p", { class: "muted" }, "Whose files would you like to look at? You see what they share with you."), this.search);
    room.replaceChildren(this.tools, el("div", { class: "card list" }, this.rows.node, this.empty));
    this.rows.attach();
    this._stop = live.watch(["peers"], () => this.paint(), 1000);
  }

  close() {
    this._stop();
    this.rows.detach();
  }

  paint() {
    const peers = [...live.peers.values()].filter((peer) => !peer.blocked && (!this.needle || peerName(peer).toLowerCase().includes(this.needle)))
      .sort((a, b) => b.connected - a.connected || b.friend - a.friend || peerName(a).localeCompare(peerName(b)));
    this.tools.hidden = !live.peers.size;
    this.rows.node.classList.toggle("gone", !peers.length);
    this.rows.node.style.setProperty("--count", peers.length);
    this.rows.show(peers);
    this.empty.hidden = peers.length > 0;
    if (peers.length) return;
    const say = (title, text, ...more) => this.empty.replaceChildren(el("p", { class: "empty-title" }, title), el("p", { class: "empty-text" }, text), ...more);
    if (live.peers.size) say("No peer of that name", "");
    else if (!live.known.has("peers")) say("Asking the node…", "");
    else say("Nobody to look at yet", "Meet a first peer: send somebody a ticket, or use the one you were given.", el("a", { class: "main-button", href: "/invite" }, "Invite or join"));
  }

  _row() {
    const row = el("div", { class: "shelf-row" });
    const parts = { dot: el("span", { class: "dot" }), name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), mark: el("span", { class: "mark" }), trip: el("span", { class: "trip" }) };
    row.append(parts.dot, el("span", { class: "what" }, el("span", { class: "who" }, parts.name, parts.mark), parts.why), parts.trip, el("span", { class: "way" }, icon("into")));
    row.parts = parts;
    return row;
  }

  _fill(row, peer) {
    const { parts } = row;
    attribute(row, "aria-disabled", peer.connected ? null : "true");
    attribute(parts.dot, "data-tone", peer.connected ? peer.path : "none");
    write(parts.name, peerName(peer));
    write(parts.mark, peer.friend ? "friend" : "");
    const where = (peer.networks ?? []).map(clean).join(", ");
    write(parts.why, peer.connected ? [where, peer.since ? `here for ${duration(Math.max(0, Date.now() / 1000 - peer.since))}` : ""].filter(Boolean).join(" · ") : clean(peer.reason || "Not connected now, so its library cannot be asked for."));
    write(parts.trip, peer.connected ? rtt(peer.rtt_ms) : "away");
  }
}
