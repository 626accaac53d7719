// <sv-opener>: a button in the head of a screen that opens something of the screen's own component.

import { el } from "./format.js";
import { icon } from "./icons.js";

class Opener extends HTMLElement {
  connectedCallback() {
    const { event, detail, sign, word, kind } = this.dataset;
    this.replaceChildren(el("button", { class: `${kind}-button`, type: "button", onclick: () => dispatchEvent(new CustomEvent(event, { detail })) }, icon(sign), el("span", {}, word)));
  }
}
customElements.define("sv-opener", Opener);
