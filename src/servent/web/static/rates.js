// Rates as people set them: a number and its unit, empty for no limit.

import { bytes, el } from "./format.js";

const UNITS = [["kB/s", 1000], ["MB/s", 1_000_000]];
const LEAST = 1024; // bytes per second; the API takes no smaller limit

export const said = (limit) => (limit === null || limit === undefined ? "no limit" : `${bytes(limit)}/s`);

export class RateField {
  constructor(word, { hint = "no limit" } = {}) {
    this.number = el("input", { class: "plain", type: "number", min: "0", step: "any", inputmode: "decimal", placeholder: hint, "aria-label": word });
    this.unit = el("select", { class: "small-select", "aria-label": `Unit of ${word}` }, ...UNITS.map(([name, factor]) => el("option", { value: factor }, name)));
    this.node = el("div", { class: "field rate-field" }, el("span", { class: "field-label" }, word), el("span", { class: "rate-pair" }, this.number, this.unit));
  }

  get value() {
    const text = this.number.value.trim();
    if (!text) return null;
    const rate = Math.round(Number(text) * Number(this.unit.value));
    return rate > 0 ? Math.max(LEAST, rate) : null;
  }

  set value(rate) {
    const none = rate === null || rate === undefined;
    const factor = !none && rate >= 1_000_000 ? 1_000_000 : 1000;
    this.unit.value = String(none ? 1_000_000 : factor);
    this.number.value = none ? "" : String(Math.round((rate / factor) * 100) / 100);
  }
}
