// The left side of Talk: persons and rooms with what is new in them.

import { clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { addressOf } from "./talk_news.js";
import { avatar, briefly, called, dot, gist, name, settle } from "./talk_words.js";

export class List {
  // chosen(id), rooms() opens the rooms to join.
  constructor({ chosen, rooms }) {
    this.chosen = chosen;
    this.rows = new Map();
    this.find = el("input", { class: "search", type: "search", placeholder: "Find", "aria-label": "Find a conversation", oninput: () => this.paint(this.open) });
    this.invited = el("button", { class: "invited-line", type: "button", hidden: true, onclick: rooms }, icon("invite"), el("span", {}));
    this.peers = el("ul", { class: "talk-rows" });
    this.rooms = el("ul", { class: "talk-rows" });
    this.nobody = el("p", { class: "note talk-none" });
    this.node = el("nav", { class: "talk-list", "aria-label": "Conversations" }, this.find, this.invited,
      el("section", {}, el("h2", { class: "talk-list-title" }, "Rooms", el("button", { class: "round small-round", type: "button", title: "More rooms", "aria-label": "More rooms", onclick: rooms }, icon("add"))), this.rooms),
      el("section", {}, el("h2", { class: "talk-list-title" }, "People", el("a", { class: "round small-round", href: "/people", title: "Friends", "aria-label": "Friends" }, icon("peers"))), this.peers, this.nobody));
    this.node.addEventListener("keydown", (event) => this._key(event));
  }

  // The node's rows, and friends and joined rooms that nothing was said with yet.
  all() {
    const rows = new Map(live.conversations);
    for (const friend of live.friends.values())
      if (friend.bond === "friend" && !rows.has(`peer:${friend.id}`)) rows.set(`peer:${friend.id}`, { id: `peer:${friend.id}`, kind: "peer", title: friend.person.shown, person: friend.person, unread: 0, mentions: 0, last: null, presence: friend.presence });
    for (const room of live.rooms.values())
      if (room.joined && !rows.has(`room:${room.id}`)) rows.set(`room:${room.id}`, { id: `room:${room.id}`, kind: "room", title: room.name, network: room.network, unread: room.unread, mentions: room.mentions, last: null });
    return rows;
  }

  paint(open) {
    this.open = open;
    const needle = this.find.value.trim().toLowerCase();
    const all = [...this.all().values()].filter((row) => !needle || `${row.title} ${row.person?.name ?? ""}`.toLowerCase().includes(needle));
    const newest = (row) => row.last?.received ?? 0;
    all.sort((a, b) => newest(b) - newest(a) || clean(a.title).localeCompare(clean(b.title)));
    const known = new Set(all.map((row) => row.id));
    for (const id of [...this.rows.keys()]) if (!known.has(id)) this.rows.delete(id);
    settle(this.peers, all.filter((row) => row.kind === "peer").map((row) => this._row(row, row.id === open)));
    settle(this.rooms, all.filter((row) => row.kind === "room").map((row) => this._row(row, row.id === open)));
    write(this.nobody, this.peers.children.length || needle ? "" : "Friends appear here; add one in People.");
    const invitations = [...live.rooms.values()].filter((room) => room.standing === "invited" && !room.joined && !room.closed);
    this.invited.hidden = !invitations.length;
    write(this.invited.lastChild, invitations.length === 1 ? `Invited to ${clean(invitations[0].name)}` : `${invitations.length} invitations`);
  }

  _row(row, open) {
    const presence = row.kind === "peer" ? live.friends.get(row.person?.id)?.presence ?? row.presence : "";
    const count = open ? 0 : row.unread;
    const sign = JSON.stringify([row, open, presence, count]);
    const known = this.rows.get(row.id);
    if (known?.sign === sign) return known.node;
    const named = row.mentions > 0 && !open;
    const words = count ? `, ${count} unread${named ? ", names you" : ""}` : "";
    const said = row.last ? (row.kind === "room" && !row.last.event ? `${row.last.author.me ? "You" : clean(row.last.author.shown)}: ${gist(row.last)}` : row.last.author.me && !row.last.event ? `You: ${gist(row.last)}` : gist(row.last)) : "";
    const link = el("a", { class: `talk-row${count ? " unread" : ""}${row.silent ? " silent" : ""}`, href: addressOf(row.id), "data-own": "", "data-conversation": row.id, "aria-current": open ? "true" : null, "aria-label": `${row.kind === "peer" ? called(row.person) : clean(row.title)}${words}` },
      row.kind === "peer" ? el("span", { class: "avatar-room" }, avatar(row.person), dot(presence)) : avatar({ shown: row.title, id: row.id.slice(5) }, "room"),
      el("span", { class: "talk-row-what" }, el("span", { class: "talk-row-title" }, row.kind === "peer" ? name(row.person) : el("span", { class: "person-name", dir: "auto" }, clean(row.title)), ...(row.silent ? [icon("silent")] : [])), el("span", { class: "talk-row-last", dir: "auto" }, said)),
      el("span", { class: "talk-row-side" }, el("span", { class: "muted" }, row.last ? briefly(row.last.sent) : ""), ...(count ? [el("span", { class: `unread-badge${named || row.kind === "peer" ? "" : " quiet"}` }, named && row.kind === "room" ? `@${count > 99 ? "99+" : count}` : count > 99 ? "99+" : String(count))] : [])));
    link.addEventListener("servent-go", () => this.chosen(row.id));
    const focused = known?.node.contains(document.activeElement);
    const node = el("li", {}, link);
    this.rows.set(row.id, { sign, node });
    if (known?.node.isConnected) known.node.replaceWith(node);
    if (focused) link.focus();
    return node;
  }

  _key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest?.(".talk-row");
    if (!by || (!row && event.target !== this.find)) return;
    event.preventDefault();
    const all = [...this.node.querySelectorAll(".talk-row")];
    all[Math.max(0, Math.min(all.length - 1, (row ? all.indexOf(row) : -1) + by))]?.focus();
  }
}
