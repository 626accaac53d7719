// Tabs as people know them: arrows move between them, one panel at a time.

import { el } from "./format.js";

let number = 0;

export class Tabs {
  // parts: [key, word, panel]; shown(key) is called when one is chosen.
  constructor(label, parts, shown = () => {}) {
    this.shown = shown;
    this.parts = parts.map(([key, word, panel]) => {
      number += 1;
      const tab = el("button", { class: "tab", type: "button", role: "tab", id: `tab-${number}`, "aria-controls": `panel-${number}`, onclick: () => this.choose(key) }, word);
      panel.id = `panel-${number}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      return { key, tab, panel };
    });
    this.list = el("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: (event) => this._key(event) }, ...this.parts.map(({ tab }) => tab));
    this.current = null;
  }

  has(keys) {
    for (const { key, tab } of this.parts) tab.hidden = !keys.includes(key);
    if (!keys.includes(this.current)) this.choose(keys[0]);
  }

  choose(wanted, focus = false) {
    this.current = wanted;
    for (const { key, tab, panel } of this.parts) {
      tab.setAttribute("aria-selected", key === wanted);
      tab.tabIndex = key === wanted ? 0 : -1;
      panel.hidden = key !== wanted;
      if (key !== wanted) continue;
      if (focus) tab.focus();
      if (tab.isConnected) this.list.scrollLeft = Math.max(0, tab.offsetLeft - this.list.offsetLeft - 40);
    }
    this.shown(wanted);
  }

  _key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const there = this.parts.filter(({ tab }) => !tab.hidden);
    const at = there.findIndex(({ key }) => key === this.current);
    this.choose(there[(at + by + there.length) % there.length].key, true);
  }
}
