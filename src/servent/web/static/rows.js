// A list of any length with few elements: rows of one height, drawn only where they are seen, moved by keyboard.

import { attribute, el } from "./format.js";

export class Rows {
  // make() -> row element; fill(row, item) writes one item into it; open(item) on Enter or click.
  constructor({ label, make, fill, open }) {
    this.make = make;
    this.fill = fill;
    this.items = [];
    this.pool = [];
    this.current = 0;
    this.space = el("div", { class: "rows-space", role: "presentation" });
    this.node = el("div", { class: "rows", role: "list", "aria-label": label, onscroll: () => this.draw(), onkeydown: (event) => this._key(event, open) }, this.space);
    this.node.addEventListener("click", (event) => {
      const row = event.target.closest(".item");
      if (!row || event.target.closest("button, a")) return;
      this.current = row.index;
      open?.(this.items[row.index], row);
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

  // The height of a row is the style sheet's to say, and changes with the room; what is on top stays on top.
  _measure() {
    const height = parseFloat(getComputedStyle(this.node).getPropertyValue("--row-height")) || 64;
    const top = this.node.scrollTop / (this.height || height);
    if (height !== this.height) {
      this.height = height;
      this.pool.forEach((row) => (row.index = -1));
      this.space.style.height = `${this.items.length * height}px`;
      this.node.scrollTop = top * height;
    }
    this.draw();
  }

  draw() {
    if (!this.height) return this._measure();
    const view = this.node.clientHeight;
    if (!view && this.items.length && !this.node.isConnected) return;
    const tall = `${this.items.length * this.height}px`;
    if (this.space.style.height !== tall) this.space.style.height = tall;
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - 1);
    const count = Math.min(this.items.length - first, Math.ceil(view / this.height) + 2);
    const size = Math.max(this.pool.length, count);
    while (this.pool.length < size) {
      const row = this.make();
      row.classList.add("item");
      row.setAttribute("role", "listitem");
      this.pool.push(row);
      this.space.append(row);
    }
    const used = new Set();
    for (let index = first; index < first + count; index += 1) {
      const row = this.pool[index % size]; // an item keeps its element while it stays in view: no flicker, focus stays
      used.add(row);
      if (row.index !== index || row.hidden) {
        row.index = index;
        row.style.transform = `translateY(${index * this.height}px)`;
        row.hidden = false;
      }
      attribute(row, "aria-posinset", index + 1);
      attribute(row, "aria-setsize", this.items.length);
      row.tabIndex = index === this.current ? 0 : -1;
      this.fill(row, this.items[index]);
    }
    for (const row of this.pool) if (!used.has(row) && !row.hidden) row.hidden = true;
  }

  _key(event, open) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      event.preventDefault();
      this.focus(Math.max(0, Math.min(this.items.length - 1, this.current + moves[event.key])));
    } else if (event.key === "Enter" && event.target.classList.contains("item")) {
      event.preventDefault();
      open?.(this.items[this.current], event.target);
    }
  }

  focus(index) {
    this.current = index;
    const top = index * this.height;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + this.height > this.node.scrollTop + this.node.clientHeight)
      this.node.scrollTop = top + this.height - this.node.clientHeight;
    this.draw();
    this.pool.find((row) => !row.hidden && row.index === index)?.focus({ preventScroll: true });
  }
}
