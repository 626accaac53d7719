// <sv-transfers>: every transfer with its state, the reason why it waits, and what can be done about it.
// <sv-transfers compact>: the few that matter now, for the overview.
//
// Rows are chosen with their sign, Space, Shift+arrows or Ctrl+A; several are acted on at once. What waits for its
// turn is moved by dragging, or with Alt+arrows.

import { LONG, ask, patch, part as quoted, post, whole } from "./ask.js";
import { attribute, clean, duration, el, rate, write } from "./format.js";
import { icon } from "./icons.js";
import { Lane } from "./lane.js";
import { Problem, live } from "./live.js";
import { Rows } from "./rows.js";
import { doorWords, throughDoor } from "./torrent_door.js";
import { ACTIONS, GROUPS, came, can, line, part, percent, state, waits } from "./transfer_words.js";
import { Drawer } from "./transfers_drawer.js";
import { Many } from "./transfers_many.js";

const WAYS = [["down", "Receiving"], ["up", "Sending"]];

class Transfers extends HTMLElement {
  connectedCallback() {
    this.compact = this.hasAttribute("compact");
    this.group = "all";
    this.direction = "";
    this.needle = "";
    this.pending = new Map(); // transfer id -> the action that waits for the node's answer
    this.notes = new Map(); // transfer id -> good news about it, until the next action
    this.problems = new Map(); // transfer id -> what the node answered when it said no
    this.places = new Map(); // transfer id -> its place by state, kept while the list is in use
    this.chosen = new Set(); // ids of the rows that are ticked
    this.anchor = null;
    this.sorted = [];
    this.painted = 0;
    this._build();
    this._stop = live.watch(["transfers"], () => this.paint());
  }

  disconnectedCallback() {
    this._stop?.();
    this.lane?.close();
    this.many?.close();
    this.drawer?.close();
    this.rows?.detach();
    this.replaceChildren();
  }

  _build() {
    this.rows = new Rows({ label: "Transfers", make: () => this._row(), fill: (row, item) => this._fill(row, item), open: (item, row) => this._open(item, row) });
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    if (this.compact) {
      this.replaceChildren(this.rows.node, this.empty);
      this.rows.attach();
      return;
    }
    this.lane = new Lane((ids) => this._numbers(ids));
    this.many = new Many(this);
    this.drawer = new Drawer(this);
    const chip = (word, pressed, choose) => {
      const count = el("span", { class: "chip-count" });
      return { count, chip: el("button", { class: "chip", type: "button", "aria-pressed": pressed, onclick: choose }, word, count) };
    };
    this.chips = GROUPS.map(([group, word]) => ({ group, ...chip(word, group === "all", () => this._choose(group)) }));
    this.past = chip("History", false, () => this._choose("history")).chip;
    this.ways = WAYS.map(([direction, word]) => {
      const made = chip("", false, () => this._way(direction));
      made.chip.title = word;
      made.chip.prepend(icon(direction));
      return { direction, word, ...made };
    });
    this.search = el("input", { class: "search", type: "search", placeholder: "Find by name", "aria-label": "Find a transfer by name", oninput: () => {
      this.needle = this.search.value.trim().toLowerCase();
      this.history?.find(this.search.value.trim());
      this.paint();
    } });
    this.head = el("div", { class: "rows-head", "aria-hidden": "true" }, ...["", "Name", "Progress", "Rate", "Time left", ""].map((word) => el("span", {}, word)));
    this.list = el("div", { class: "card list" }, this.head, this.rows.node, this.empty);
    this.drop = el("div", { class: "drop-line", hidden: true });
    this.rows.space.append(this.drop);
    this.replaceChildren(
      el("div", { class: "tools" },
        el("div", { class: "chips" },
          el("div", { class: "chip-group", role: "group", "aria-label": "Show" }, ...this.chips.map((each) => each.chip), this.past),
          el("div", { class: "chip-group", role: "group", "aria-label": "Direction" }, ...this.ways.map((each) => each.chip))),
        this.search),
      this.many.node,
      el("div", { class: "with-drawer" }, this.list, this.drawer.node));
    this.rows.attach();
    this.rows.node.setAttribute("aria-keyshortcuts", "Space Shift+ArrowDown Control+A Alt+ArrowUp Alt+ArrowDown Delete");
    this.rows.node.addEventListener("keydown", (event) => this._key(event), { capture: true });
    this.rows.node.addEventListener("scroll", () => this._look(), { passive: true });
    this._dragging();
  }

  _row() {
    const row = el("div", { class: "transfer" });
    const name = el("span", { class: "name", dir: "auto" });
    const mark = el("span", { class: "mark" });
    const why = el("span", { class: "why", dir: "auto" });
    const bar = el("span", { class: "bar" });
    const track = el("span", { class: "track", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
    const share = el("span", { class: "percent" });
    const size = el("span", { class: "size" });
    const speed = el("span", { class: "speed" });
    const left = el("span", { class: "left" });
    const sign = icon("down");
    const way = this.compact ? el("span", { class: "way" }, sign)
      : el("button", { class: "way", type: "button", role: "checkbox", "aria-checked": "false" }, sign, icon("check"));
    if (!this.compact) way.addEventListener("click", (event) => this._tick(row.index, event.shiftKey));
    const buttons = Object.fromEntries(Object.entries(ACTIONS).map(([action, { word }]) => {
      const button = el("button", { class: "round", type: "button", title: word }, icon(action));
      button.addEventListener("click", () => this.act(row.item, action));
      return [action, button];
    }));
    row.append(way, el("span", { class: "what" }, el("span", { class: "who" }, name, mark), why),
      el("span", { class: "progress" }, el("span", { class: "progress-text" }, share, size), track), speed, left,
      el("span", { class: "actions" }, ...Object.values(buttons)));
    row.parts = { name, mark, why, bar, track, share, size, speed, left, sign, way, buttons };
    return row;
  }

  _fill(row, transfer) {
    const parts = row.parts;
    const [, tone] = state(transfer);
    const fresh = row.item?.id !== transfer.id;
    row.item = transfer;
    if (row.dataset.tone !== tone) row.dataset.tone = tone;
    const name = clean(transfer.name || "Not known yet");
    if (fresh || parts.name.textContent !== name) {
      write(parts.name, name);
      attribute(parts.track, "aria-label", `Progress of ${name}`);
      attribute(parts.way, this.compact ? "title" : "aria-label", this.compact ? (transfer.direction === "up" ? "Sending" : "Receiving") : `Choose ${name}`);
    }
    attribute(parts.sign, "name", transfer.direction === "up" ? "up" : "down");
    const marks = [transfer.foreground && "foreground", transfer.priority === "high" && "first", transfer.priority === "low" && "later"].filter(Boolean);
    write(parts.mark, transfer.direction === "down" ? marks.join(", ") : "");
    const doing = this.pending.get(transfer.id);
    const problem = this.problems.get(transfer.id);
    const said = problem ? whole(problem) : this.notes.get(transfer.id) ?? (doing ? ACTIONS[doing]?.doing ?? "Changing it…" : line(transfer));
    const door = doorWords(throughDoor(transfer));
    write(parts.why, door && !problem ? `${door} · ${said}` : said);
    parts.why.classList.toggle("problem", Boolean(problem));
    this._move(parts, transfer);
    for (const [action, button] of Object.entries(parts.buttons)) {
      const possible = can(transfer, action);
      if (button.hidden === possible) button.hidden = !possible;
      button.tabIndex = row.tabIndex;
      attribute(button, "aria-label", `${ACTIONS[action].word} ${name}`);
      attribute(button, "aria-busy", doing === action ? "true" : null);
      if (button.disabled !== Boolean(doing)) button.disabled = Boolean(doing);
    }
    if (this.compact) return;
    const ticked = this.chosen.has(transfer.id);
    attribute(parts.way, "aria-checked", ticked ? "true" : "false");
    parts.way.tabIndex = row.tabIndex;
    row.classList.toggle("ticked", ticked);
    const mobile = waits(transfer) && transfer.state === "queued";
    if (row.draggable !== mobile) row.draggable = mobile;
  }

  // What changes from moment to moment, and nothing else.
  _move(parts, transfer) {
    const done = part(transfer);
    const scale = `scaleX(${done.toFixed(5)})`;
    if (parts.scale !== scale) parts.bar.style.transform = parts.scale = scale;
    attribute(parts.track, "aria-valuenow", Math.floor(done * 100));
    write(parts.share, transfer.state === "complete" ? "Done" : transfer.size_bytes ? percent(done) : "");
    write(parts.size, came(transfer));
    write(parts.speed, transfer.state === "active" ? rate(transfer.rate_bytes_per_s) : "");
    write(parts.left, transfer.state === "active" ? duration(transfer.eta_s) : "");
  }

  // The fast lane told new numbers of some rows on the screen.
  _numbers(ids) {
    if (!this.classList.contains("laned")) this.classList.add("laned");
    for (const row of this.rows.pool) if (!row.hidden && row.item && ids.has(row.item.id)) this._move(row.parts, row.item);
    if (this.drawer.shows && ids.has(this.drawer.shows)) this.drawer.paint();
  }

  _look() {
    const seen = this.hidden || this.group === "history" ? [] : this.rows.pool
      .filter((row) => !row.hidden && row.item?.state === "active")
      .sort((one, other) => one.index - other.index).map((row) => row.item.id);
    this.lane.see(seen);
  }

  // acting

  async act(transfer, action) {
    if (this.pending.has(transfer.id)) return;
    if (action === "cancel") {
      this.many.cancel([transfer]);
      return;
    }
    await this.during(transfer, action, async () => {
      const { wait, good } = ACTIONS[action];
      if (action === "remove") {
        await ask("DELETE", `/transfers/${quoted(transfer.id)}`);
        live.remove("transfers", transfer.id);
      } else {
        live.merge("transfers", await post(`/transfers/${quoted(transfer.id)}/${action}`, undefined, { wait: wait ?? 30_000 }));
      }
      if (good) this.notes.set(transfer.id, good);
    });
  }

  // Shows that something is being done with a row, and what the node said to it.
  async during(transfer, action, work) {
    this.pending.set(transfer.id, action);
    this.problems.delete(transfer.id);
    this.notes.delete(transfer.id);
    this.paint();
    try {
      return await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.problems.set(transfer.id, problem);
      return undefined;
    } finally {
      this.pending.delete(transfer.id);
      this.paint();
    }
  }

  async change(transfer, change) {
    return this.during(transfer, "change", async () => {
      const now = await patch(`/transfers/${quoted(transfer.id)}`, change, { wait: change.to ? LONG : 30_000 });
      live.merge("transfers", now);
      return now;
    });
  }

  async together(action, ids) {
    return post("/transfers/many", { action, ids }, { wait: LONG });
  }

  // choosing rows

  _tick(index, extend = false) {
    const id = this.rows.items[index]?.id;
    if (id === undefined) return;
    if (extend && this.anchor !== null) {
      const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
      for (let each = from; each <= to; each += 1) this.chosen.add(this.rows.items[each].id);
    } else {
      if (this.chosen.has(id)) this.chosen.delete(id);
      else this.chosen.add(id);
      this.anchor = index;
    }
    this.paint();
  }

  tickAll() {
    for (const item of this.rows.items) this.chosen.add(item.id);
    this.paint();
  }

  untick() {
    this.chosen.clear();
    this.anchor = null;
    this.paint();
  }

  _key(event) {
    const onRow = event.target.classList.contains("item");
    const item = this.rows.items[this.rows.current];
    const arrow = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const handled = () => {
      event.preventDefault();
      event.stopPropagation();
    };
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") {
      handled();
      this.tickAll();
    } else if (event.altKey && arrow && item) {
      handled();
      if (waits(item) && item.state === "queued") this._shift(item, arrow);
    } else if (event.shiftKey && arrow && item) {
      handled();
      if (this.anchor === null) this.anchor = this.rows.current;
      this.chosen.add(item.id);
      this.rows.focus(Math.max(0, Math.min(this.rows.items.length - 1, this.rows.current + arrow)));
      this.chosen.add(this.rows.items[this.rows.current].id);
      this.paint();
    } else if (event.key === " " && onRow) {
      handled();
      this._tick(this.rows.current);
    } else if (event.key === "Delete" && item) {
      handled();
      const items = this.chosen.size ? this.many.items() : [item];
      if (items.some((each) => can(each, "cancel"))) this.many.cancel(items.filter((each) => can(each, "cancel")));
    } else if (event.key === "Escape" && this.chosen.size) {
      handled();
      this.untick();
    }
  }

  // the queue's order

  async _shift(item, by) {
    const place = Math.max(0, item.place + by);
    if (place === item.place) return;
    await this.place(item, place);
    const index = this.rows.items.findIndex((each) => each.id === item.id);
    if (index >= 0) this.rows.focus(index);
  }

  async place(item, place) {
    const now = await this.change(item, { place });
    if (now) this.many.tell(`${clean(item.name)} is ${now.place ? `number ${now.place + 1}` : "next"} in the queue`);
    this.places.clear();
    this.paint();
  }

  _dragging() {
    const over = (event) => {
      const y = event.clientY - this.rows.node.getBoundingClientRect().top + this.rows.node.scrollTop;
      return Math.max(0, Math.min(this.rows.items.length, Math.round(y / this.rows.height)));
    };
    this.rows.node.addEventListener("dragstart", (event) => {
      this.dragged = event.target.closest?.(".item")?.item ?? null;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", "");
    });
    this.rows.node.addEventListener("dragover", (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      this.drop.hidden = false;
      this.drop.style.transform = `translateY(${over(event) * this.rows.height - 1}px)`;
    });
    this.rows.node.addEventListener("drop", (event) => {
      event.preventDefault();
      const dragged = this.dragged;
      if (!dragged) return;
      const others = this.rows.items.filter((each) => each !== dragged);
      const before = this.rows.items.indexOf(dragged) < over(event) ? over(event) - 1 : over(event);
      const next = others.slice(before).find((each) => waits(each) && each.state === "queued");
      const last = Math.max(0, ...others.filter((each) => waits(each)).map((each) => each.place + 1));
      const place = next ? (next.place > dragged.place ? next.place - 1 : next.place) : last;
      this._undrag();
      if (place !== dragged.place) this.place(dragged, place);
    });
    this.rows.node.addEventListener("dragend", () => this._undrag());
  }

  _undrag() {
    this.dragged = null;
    this.drop.hidden = true;
  }

  // what is shown

  _choose(group) {
    this.group = group;
    this.places.clear();
    this.fresh = true;
    for (const { chip, group: its } of this.chips) chip.setAttribute("aria-pressed", its === group);
    this.past.setAttribute("aria-pressed", group === "history");
    this.rows.node.scrollTop = 0;
    this._remember();
    this.paint();
  }

  _way(direction) {
    this.direction = this.direction === direction ? "" : direction;
    this.fresh = true;
    for (const { chip, direction: its } of this.ways) chip.setAttribute("aria-pressed", its === this.direction);
    this.history?.way(this.direction);
    this.paint();
  }

  _remember() {
    const past = this.group === "history";
    if (past && !this.history) {
      this.history = document.createElement("sv-history");
      this.querySelector(".with-drawer").before(this.history);
      this.history.find(this.search.value.trim());
      this.history.way(this.direction);
    } else if (!past) {
      this.history?.remove();
      this.history = null;
    }
    this.querySelector(".with-drawer").hidden = past;
  }

  // What moves comes first, then what waits in its order, then the newest. While somebody points at the list or
  // works in it, each row keeps its place: nothing jumps away under the hand that just paused it.
  _order(transfers) {
    const busy = this.rows.node.matches(":hover") || this.rows.node.contains(document.activeElement) || this.chosen.size > 0;
    if (!busy) this.places.clear();
    for (const transfer of transfers)
      if (!this.places.has(transfer.id)) this.places.set(transfer.id, state(transfer)[3]);
    const turn = (transfer) => (transfer.state === "queued" && waits(transfer) ? transfer.place : Infinity);
    const place = this.places;
    return transfers.sort((a, b) => place.get(a.id) - place.get(b.id) || (turn(a) === turn(b) ? 0 : turn(a) - turn(b)) || (b.started ?? 0) - (a.started ?? 0) || (a.id < b.id ? -1 : 1));
  }

  _fits(transfer, group) {
    return (this.group === "all" || this.group === group) && (!this.direction || this.direction === transfer.direction)
      && (!this.needle || String(transfer.name).toLowerCase().includes(this.needle));
  }

  paint() {
    this.painted += 1;
    const counts = { all: 0, moving: 0, waiting: 0, paused: 0, failed: 0, done: 0, down: 0, up: 0 };
    let same = !this.fresh && this.sortedFor === this.needle && this.places.size > 0;
    const shown = [];
    for (const transfer of live.transfers.values()) {
      const group = state(transfer)[2];
      counts.all += 1;
      counts[group] += 1;
      counts[transfer.direction] += 1;
      if (transfer.sortedAs !== transfer.state || transfer.sortedAt !== transfer.place) {
        transfer.sortedAs = transfer.state;
        transfer.sortedAt = transfer.place;
        same = false;
      }
      if (this.compact || this._fits(transfer, group)) shown.push(transfer);
    }
    same = same && shown.length === this.sorted.length && counts.all === this.counted;
    if (!same || this.compact) {
      this.sorted = this._order(shown);
      this.sortedFor = this.needle;
      this.counted = counts.all;
      this.fresh = false;
    }
    const items = this.compact ? this.sorted.slice(0, 5) : this.sorted;
    this.rows.node.classList.toggle("gone", !items.length);
    this.rows.node.style.setProperty("--count", items.length);
    this.rows.show(items);
    this._emptiness(items.length, counts.all);
    if (this.compact) return;
    for (const { group, count } of this.chips) write(count, String(counts[group]));
    for (const { direction, word, chip, count } of this.ways) {
      write(count, String(counts[direction]));
      attribute(chip, "aria-label", `${word} ${counts[direction]}`);
    }
    this.head.hidden = !items.length;
    for (const id of this.chosen) if (!live.transfers.has(id)) this.chosen.delete(id);
    this.many.paint();
    this.drawer.paint();
    this._look();
  }

  _emptiness(shown, all) {
    this.empty.hidden = shown > 0;
    if (shown) return;
    const [title, text] = this.empty.children;
    if (live.connection !== "live" && !all) {
      write(title, live.connection === "away" ? "The node is away" : "Asking the node…");
      write(text, "");
    } else if (all) {
      write(title, "Nothing here");
      write(text, this.needle ? "No transfer has these letters in its name." : "No transfer is in this state right now.");
    } else {
      write(title, "Nothing has been sent or fetched yet");
      write(text, "Search finds what your peers share. Send makes a link, or a code to say, out of a file or folder; Get fetches what somebody sent you.");
    }
  }

  _open(transfer, row) {
    if (this.compact) {
      document.querySelector('a[href="/transfers"]')?.click();
      return;
    }
    this._from = row?.index;
    this.drawer.open(transfer);
  }

  closed() {
    if (this._from !== undefined && this._from < this.rows.items.length) this.rows.focus(this._from);
  }
}
customElements.define("sv-transfers", Transfers);
