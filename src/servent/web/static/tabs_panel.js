// <sv-tabs data-group="…">: shows one of the panels of its group at a time; `?tab=key` in the address says which.

import { note, wanted } from "./address.js";
import { Tabs } from "./tabs.js";

class PanelTabs extends HTMLElement {
  connectedCallback() {
    this._timer = requestAnimationFrame(() => this._build());
    this._follow = () => this._choose();
    addEventListener("popstate", this._follow);
  }

  disconnectedCallback() {
    cancelAnimationFrame(this._timer);
    removeEventListener("popstate", this._follow);
    this.replaceChildren();
  }

  _build() {
    const panels = [...document.querySelectorAll(`[data-tabs="${CSS.escape(this.dataset.group)}"]`)];
    this.path = location.pathname;
    this.tabs = new Tabs(this.dataset.label, panels.map((panel) => [panel.dataset.key, panel.dataset.word, panel]), (key) => {
      if (this.ready) note({ ...wanted(), tab: key === this.first ? "" : key });
    });
    this.first = panels[0]?.dataset.key;
    this.replaceChildren(this.tabs.list);
    this._choose();
    this.ready = true;
    this.classList.add("ready");
  }

  _choose() {
    if (!this.tabs || location.pathname !== this.path) return;
    const key = wanted().tab ?? (this.path === "/peers" ? "everyone" : undefined); // as its former address means
    const known = this.tabs.parts.some((each) => each.key === key) ? key : this.first;
    this.tabs.choose(known);
  }
}
customElements.define("sv-tabs", PanelTabs);
