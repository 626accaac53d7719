// <sv-colours>: light, dark, or as the system has it, for this browser.

import { el } from "./format.js";

const CHOICES = [["auto", "As the system"], ["light", "Light"], ["dark", "Dark"]];

class Colours extends HTMLElement {
  connectedCallback() {
    const buttons = CHOICES.map(([value, word]) => el("button", { class: "segment", type: "button", role: "radio", onclick: () => {
      serventTheme.choice = value;
      show();
    } }, word));
    const show = () => buttons.forEach((button, index) => button.setAttribute("aria-checked", CHOICES[index][0] === serventTheme.choice));
    this.replaceChildren(el("span", { class: "segments", role: "radiogroup", "aria-label": "Colours" }, ...buttons), el("p", { class: "note" }, "Kept in this browser."));
    show();
  }
}
customElements.define("sv-colours", Colours);
