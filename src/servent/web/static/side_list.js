// A list with a drawer beside it, for what there is little of: wishes, feeds. Each screen says what a row holds.

import { el, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { Rows } from "./rows.js";

export class SideList extends HTMLElement {
  // To be given by each screen: topic, label, columns, row(), fill(row, item), sorted(items), empty, details(drawer, item, fresh).

  connectedCallback() {
    this.pending = new Map();
    this.problems = new Map();
    this.opened = null;
    this.rows = new Rows({ label: this.label, make: () => this.row(), fill: (row, item) => {
      row.item = item;
      this.fill(row, item);
    }, open: (item, row) => this.open(item, row) });
    this.head = el("div", { class: "rows-head", "aria-hidden": "true" }, ...this.columns.map((word) => el("span", {}, word)));
    this.nothing = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }), el("div", { class: "empty-buttons" }));
    this.drawer = el("aside", { class: "drawer", hidden: true, tabindex: "-1", "aria-label": this.about });
    this.drawer.addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && this.shut(true));
    this.replaceChildren(el("div", { class: "with-drawer" }, el("div", { class: "card list" }, this.head, this.rows.node, this.nothing), this.drawer));
    this.rows.attach();
    this._stop = live.watch([this.topic, "transfers"], () => this.paint(), 400);
  }

  disconnectedCallback() {
    this._stop?.();
    this.rows?.detach();
    this.replaceChildren();
  }

  paint() {
    const items = this.sorted([...live[this.topic].values()]);
    this.head.hidden = !items.length;
    this.rows.node.classList.toggle("gone", !items.length);
    this.rows.node.style.setProperty("--count", items.length);
    this.rows.show(items);
    this.nothing.hidden = items.length > 0;
    if (!items.length) {
      const told = live.known.has(this.topic);
      write(this.nothing.children[0], told ? this.empty[0] : live.connection === "away" ? "The node is away" : "Asking the node…");
      write(this.nothing.children[1], told ? this.empty[1] : "");
    }
    if (this.opened) this._draw(false);
  }

  open(item, row) {
    this.opened = item.id;
    this._from = row?.index;
    this.drawer.hidden = false;
    this.classList.add("drawn");
    this._draw(true);
    this.drawer.focus({ preventScroll: true });
  }

  shut(back = false) {
    this.opened = null;
    this.drawer.hidden = true;
    this.classList.remove("drawn");
    if (back && this._from !== undefined && this._from < this.rows.items.length) this.rows.focus(this._from);
  }

  _draw(fresh) {
    const item = live[this.topic].get(this.opened);
    if (!item) return this.shut(true);
    if (fresh) this.drawer.replaceChildren(el("button", { class: "round drawer-close", type: "button", "aria-label": "Close details", onclick: () => this.shut(true) }, icon("close")));
    this.details(this.drawer, item, fresh);
  }

  // A round button of a row that works on the row's item. `work` gives what the node answered, or null when it is gone.
  button(row, sign, word, work) {
    const node = el("button", { class: "round", type: "button", title: word }, icon(sign));
    node.addEventListener("click", () => this.during(row.item, node, work));
    return node;
  }

  async during(item, node, work) {
    if (this.pending.has(item.id)) return;
    this.pending.set(item.id, true);
    this.problems.delete(item.id);
    node.disabled = true;
    node.setAttribute("aria-busy", "true");
    try {
      const now = await work(item);
      if (now?.id) live.merge(this.topic, now);
    } catch (problem) {
      if (problem?.advice === undefined) throw problem;
      this.problems.set(item.id, problem);
    } finally {
      this.pending.delete(item.id);
      node.disabled = false;
      node.removeAttribute("aria-busy");
      this.paint();
    }
  }
}
