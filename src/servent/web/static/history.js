// <sv-history>: what was moved and has ended, newest first, read a page at a time as far as somebody looks.

import { ask, get, part as quoted, post, press, whole } from "./ask.js";
import { attribute, bytes, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem } from "./live.js";
import { Rows } from "./rows.js";
import { plural } from "./transfer_words.js";

const PAGE = 200;
const WORDS = { complete: "complete", failed: "failed", cancelled: "cancelled" };
const when = (time) => (time ? new Date(time * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "");

class History extends HTMLElement {
  connectedCallback() {
    this.query ??= "";
    this.direction ??= "";
    this.rows = new Rows({ label: "History", make: () => this._row(), fill: (row, item) => this._fill(row, item), open: () => {} });
    this.sum = el("span", { class: "muted" });
    const clear = el("button", { class: "quiet-button small-button", type: "button" }, icon("remove"), el("span", { class: "label" }, "Clear"));
    clear.addEventListener("click", press(clear, null, () => this._clear(clear), (problem) => this._problem(problem)));
    this.clear = clear;
    this.said = el("p", { class: "why problem", role: "alert", hidden: true });
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    this.replaceChildren(el("div", { class: "card list" },
      el("div", { class: "list-title" }, el("h2", {}, "History"), this.sum, clear), this.said, this.rows.node, this.empty));
    this.rows.attach();
    this._again();
  }

  disconnectedCallback() {
    clearTimeout(this._timer);
    this.rows?.detach();
    this.replaceChildren();
  }

  find(query) {
    if (this.query === query) return;
    this.query = query;
    this._again();
  }

  way(direction) {
    if (this.direction === direction) return;
    this.direction = direction;
    this._again();
  }

  _again() {
    if (!this.rows) return;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this.entries = [];
      this.asked = new Set();
      this._page(0);
    }, 120);
  }

  async _page(number) {
    const { asked, entries } = this;
    if (asked.has(number)) return;
    asked.add(number);
    try {
      const found = await get(`/history?offset=${number * PAGE}&limit=${PAGE}&q=${quoted(this.query)}&direction=${this.direction}`);
      if (asked !== this.asked) return;
      entries.length = found.total;
      found.entries.forEach((entry, index) => (entries[number * PAGE + index] = entry));
      this._problem(null);
      this._show(found.total);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      asked.delete(number);
      this._problem(problem);
    }
  }

  _show(total) {
    write(this.sum, plural(total, "transfer"));
    this.clear.hidden = !total;
    this.rows.node.style.setProperty("--count", total);
    this.rows.node.classList.toggle("gone", !total);
    this.rows.show(this.entries);
    this.empty.hidden = total > 0;
    if (total) return;
    write(this.empty.children[0], this.query || this.direction ? "Nothing like this has been moved" : "Nothing has been moved yet");
    write(this.empty.children[1], "What was sent or fetched is noted here when it has ended, and can be fetched again.");
  }

  async _clear(button) {
    if (!this.sure) {
      this.sure = true;
      write(button.lastChild, "Really forget all of it?");
      setTimeout(() => {
        this.sure = false;
        write(button.lastChild, "Clear");
      }, 5000);
      return;
    }
    this.sure = false;
    await ask("DELETE", "/history");
    write(button.lastChild, "Clear");
    this._again();
  }

  _problem(problem) {
    this.said.hidden = !problem;
    if (problem) write(this.said, whole(problem));
  }

  _row() {
    const parts = { way: icon("down"), name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), size: el("span", { class: "speed" }), time: el("span", { class: "small" }),
      again: el("button", { class: "round", type: "button", title: "Fetch it again" }, icon("retry")) };
    const row = el("div", { class: "past-row" }, el("span", { class: "way" }, parts.way), el("span", { class: "what" }, parts.name, parts.why), el("span", { class: "two" }, parts.size, parts.time), parts.again);
    parts.again.addEventListener("click", press(parts.again, null, async () => {
      await post("/downloads", { link: row.item.link });
      write(parts.why, "It is on its way again.");
    }, (problem) => problem && write(parts.why, whole(problem))));
    row.parts = parts;
    return row;
  }

  _fill(row, entry) {
    const { parts } = row;
    if (!entry) {
      this._page(Math.floor(row.index / PAGE));
      row.item = null;
      write(parts.name, "…");
      for (const each of [parts.why, parts.size, parts.time]) write(each, "");
      parts.again.hidden = true;
      return;
    }
    if (row.item === entry) return;
    row.item = entry;
    attribute(parts.way, "name", entry.direction === "up" ? "up" : "down");
    write(parts.name, clean(entry.name));
    const whom = (entry.peers ?? []).length ? `${entry.direction === "up" ? "to" : "from"} ${clean(entry.peers.slice(0, 3).join(", "))}` : "";
    write(parts.why, [WORDS[entry.state] ?? clean(entry.state), whom, clean(entry.error), clean(entry.path ?? "")].filter(Boolean).join(" · "));
    write(parts.size, entry.moved_bytes === entry.size_bytes || !entry.moved_bytes ? bytes(entry.size_bytes) : `${bytes(entry.moved_bytes)} of ${bytes(entry.size_bytes)}`);
    write(parts.time, when(entry.finished));
    parts.again.hidden = entry.direction === "up" || !entry.link;
    parts.again.tabIndex = row.tabIndex;
    attribute(parts.again, "aria-label", `Fetch ${clean(entry.name)} again`);
  }
}
customElements.define("sv-history", History);
