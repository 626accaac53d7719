// A list of any length with few elements: rows of one height, drawn only where they are seen, moved by keyboard.

import { attribute, el } from "./format.js";

const TALLEST = 8_000_000; // px; browsers lay nothing out below some 16 million. A longer list scrolls in bigger steps
const FAR = 1000; // rows

export class Rows {
  // make() -> row element; fill(row, item) writes one item into it (undefined: not here yet); open(item, row) on
  // Enter or click; keys(event, item, row) -> true when it took a key; seen(first, last) tells what is looked at.
  // Items are an array, or anything with `length` and `at(index)`.
  constructor({ label, make, fill, open, keys, seen }) {
    this.make = make;
    this.fill = fill;
    this.seen = seen;
    this.items = [];
    this.pool = [];
    this.current = 0;
    this.base = 0; // the row that places are counted from: 0 unless the list is longer than a browser lays out
    this.window = el("div", { class: "rows-window", role: "presentation" });
    this.space = el("div", { class: "rows-space", role: "presentation" }, this.window);
    this.node = el("div", { class: "rows", role: "list", "aria-label": label, onscroll: () => this.draw(), onkeydown: (event) => this._key(event, open, keys) }, this.space);
    this.node.addEventListener("click", (event) => {
      const row = event.target.closest(".item");
      if (!row || event.target.closest("button, a, input")) return;
      this.current = row.index;
      const item = this.items.at(row.index);
      if (item !== undefined) open?.(item, row);
    });
    this.node.addEventListener("focusin", (event) => {
      const row = event.target.closest(".item");
      if (row && row.index !== this.current) {
        this.current = row.index;
        this.draw();
      }
    });
    this._resize = new ResizeObserver(() => this._measure());
  }

  attach() {
    this._resize.observe(this.node);
  }

  detach() {
    this._resize.disconnect();
  }

  show(items) {
    this.items = items;
    this.current = Math.max(0, Math.min(this.current, items.length - 1));
    this.draw();
  }

  // The first row that is seen, to return to it later.
  get top() {
    return this.height ? Math.floor(this._above() / this.height) : 0;
  }

  // The height of a row is the style sheet's to say, and changes with the room; what is on top stays on top.
  _measure() {
    const height = parseFloat(getComputedStyle(this.node).getPropertyValue("--row-height")) || 64;
    const top = this._above() / (this.height || height);
    if (height !== this.height) {
      this.height = height;
      this.pool.forEach((row) => (row.index = -1));
      this._stretch();
      this.node.scrollTop = this._scrollFor(top * height);
    }
    this.draw();
  }

  _stretch() {
    const tall = Math.min(TALLEST, this.items.length * this.height);
    if (this._tall === tall) return; // kept here: a browser gives "8e+06px" back
    this._tall = tall;
    this.space.style.height = `${tall}px`;
  }

  // How much of the list lies above the window, in px of the whole list; and the scroll position for that.
  _stretchedBy() {
    const full = this.items.length * this.height;
    const view = this.node.clientHeight;
    return full <= TALLEST ? 1 : (full - view) / (TALLEST - view);
  }
  _above() {
    return this.height ? this.node.scrollTop * this._stretchedBy() : this.node.scrollTop;
  }
  _scrollFor(above) {
    return above / this._stretchedBy();
  }

  draw() {
    if (!this.height) return this._measure();
    const view = this.node.clientHeight;
    if (!view && this.items.length && !this.node.isConnected) return;
    this._stretch();
    const above = this._above();
    const shift = this.node.scrollTop - above; // 0 unless the list is longer than a browser can lay out
    const first = Math.max(0, Math.floor(above / this.height) - 1);
    this._place(first, shift);
    const count = Math.max(0, Math.min(this.items.length - first, Math.ceil(view / this.height) + 2));
    const size = Math.max(this.pool.length, count);
    while (this.pool.length < size) {
      const row = this.make();
      row.classList.add("item");
      row.setAttribute("role", "listitem");
      this.pool.push(row);
      this.window.append(row);
    }
    const used = new Set();
    const seen = this.current >= first && this.current < first + count;
    const entered = seen ? this.current : Math.min(first + 1, this.items.length - 1); // where Tab comes in: always a row that is seen
    for (let index = first; index < first + count; index += 1) {
      const row = this.pool[index % size]; // an item keeps its element while it stays in view: no flicker, focus stays
      used.add(row);
      if (row.index !== index || row.hidden) {
        row.index = index;
        row.style.transform = `translateY(${(index - this.base) * this.height}px)`;
        row.hidden = false;
      }
      attribute(row, "aria-posinset", index + 1);
      attribute(row, "aria-setsize", this.items.length);
      row.tabIndex = index === entered ? 0 : -1;
      this.fill(row, this.items.at(index));
    }
    for (const row of this.pool) if (!used.has(row) && !row.hidden) row.hidden = true;
    this.seen?.(first, first + count);
  }

  // In a stretched list rows move against the scroll position; then their window moves, and not each of them.
  _place(first, shift) {
    const base = shift ? Math.floor(first / FAR) * FAR : 0;
    if (base !== this.base) {
      this.base = base;
      this.pool.forEach((row) => (row.index = -1));
    }
    const offset = base * this.height + shift;
    if (offset === this._offset) return;
    this._offset = offset;
    this.window.style.transform = offset ? `translateY(${offset}px)` : "";
  }

  _key(event, open, keys) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = event.target.classList.contains("item") ? event.target : null;
    const item = this.items.at(this.current);
    if (row && item !== undefined && keys?.(event, item, row)) {
      event.preventDefault();
      return;
    }
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      event.preventDefault();
      this.focus(Math.max(0, Math.min(this.items.length - 1, this.current + moves[event.key])));
    } else if (event.key === "Enter" && row && item !== undefined) {
      event.preventDefault();
      open?.(item, row);
    }
  }

  // Scrolls so that `index` is seen.
  reveal(index) {
    const top = index * this.height;
    const above = this._above();
    if (top < above) this.node.scrollTop = this._scrollFor(top);
    else if (top + this.height > above + this.node.clientHeight)
      this.node.scrollTop = this._scrollFor(top + this.height - this.node.clientHeight);
  }

  focus(index) {
    this.current = index;
    this.reveal(index);
    this.draw();
    this.pool.find((row) => !row.hidden && row.index === index)?.focus({ preventScroll: true });
  }
}
