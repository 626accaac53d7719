// <sv-grid-picture>: what the units on this machine's cores show of themselves, live. Only while somebody looks is anything asked for.

import { get } from "./ask.js";
import { clean, el, upper, write } from "./format.js";
import { segments } from "./grid_words.js";
import { HeatView } from "./heat_view.js";
import { Problem, live } from "./live.js";
import { PointsView } from "./points_view.js";

const EVERY = 220; // ms between two questions
const AGAIN = 1200; // ms after one that nobody could answer
const MOST = 6; // cores to choose from
const STAYS = 6000; // ms that the last picture stays when its core goes on to another unit

// Base64 as bytes.
export const unpacked = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

class Shown extends HTMLElement {
  connectedCallback() {
    this.serial = 0;
    this.core = 0;
    this.seen = new Map(); // core: when it last had something to show
    this.name = el("h2", {});
    this.words = el("p", { class: "shown-words", dir: "auto" });
    this.picker = el("div", { class: "shown-cores" });
    this.stage = el("div", { class: "shown-stage" });
    this.waits = el("p", { class: "shown-waits" }, "The first picture comes with the next step of the unit.");
    this.card = el("section", { class: "card shown", "aria-label": "What a core computes" }, el("div", { class: "card-head" }, el("div", { class: "shown-title" }, el("span", { class: "shown-live", "aria-hidden": "true" }), this.name), this.picker), this.stage, this.waits, this.words);
    this.card.hidden = true;
    this.replaceChildren(this.card);
    this._stop = live.watch(["lending"], () => this.paint(), 500);
  }

  disconnectedCallback() {
    this._stop?.();
    clearTimeout(this._timer);
    this._timer = 0;
    this.view?.close();
    this.view = null;
    this.replaceChildren();
  }

  paint() {
    const slots = live.lending?.slots ?? [];
    const now = performance.now();
    for (const slot of slots) if (slot.pictures && slot.state === "running") this.seen.set(slot.number, now);
    for (const [number, at] of this.seen) if (now - at > STAYS || !slots.some((slot) => slot.number === number)) this.seen.delete(number);
    this.card.hidden = !this.seen.size;
    if (!this.seen.size) return;
    const mark = [...this.seen.keys()].join();
    if (mark !== this.mark) {
      this.mark = mark;
      if (!this.seen.has(this.core)) this._choose(this.seen.keys().next().value);
      const cores = slots.map((slot, index) => [slot.number, `Core ${index + 1}`]).filter(([number]) => this.seen.has(number)).slice(0, MOST);
      this.picker.replaceChildren(...(cores.length > 1 ? [segments("Core", cores, this.core, (number) => this._choose(number)).node] : []));
    }
    const slot = slots.find((one) => one.number === this.core);
    if (slot?.app) write(this.name, [clean(slot.project_name), clean(slot.app)].filter(Boolean).join(" · "));
    this._again(0);
    if (!slots.some((one) => one.pictures)) setTimeout(() => this.isConnected && this.paint(), STAYS); // nothing may tell that it is over
  }

  _choose(number) {
    this.core = number;
    this.serial = 0;
  }

  _again(wait) {
    if (this._timer || !this.isConnected) return;
    this._timer = setTimeout(async () => {
      await this._look();
      this._timer = 0;
      const rests = this.card.hidden || document.hidden || !this.checkVisibility();
      if (!rests) this._again(this.failed ? AGAIN : EVERY);
    }, wait);
  }

  async _look() {
    if (document.hidden || !this.checkVisibility()) return;
    const core = this.core;
    try {
      const found = await get(`/grid/lending/slots/${core}/picture?after=${this.serial}`);
      this.failed = !found?.unit; // between two units nothing runs there
      if (!this.isConnected || core !== this.core || !found?.picture) return;
      this.serial = found.serial;
      this._show(found.picture);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.failed = true;
    }
  }

  _show(picture) {
    const Kind = { heat: HeatView, points: PointsView }[picture.kind];
    if (!Kind) return;
    if (!(this.view instanceof Kind)) {
      this.view?.close();
      this.view = new Kind("What the unit computes now");
      this.stage.replaceChildren(this.view.node);
      this.waits.hidden = true;
    }
    write(this.words, upper(clean(picture.words)));
    const data = unpacked(picture.data);
    if (picture.kind === "heat") this.view.show({ ...picture, x: tidy(picture.x), y: tidy(picture.y), z: tidy(picture.z), values: data });
    else this.view.show(points(picture, data));
  }
}
customElements.define("sv-grid-picture", Shown);

const tidy = (axis) => ({ ...axis, label: clean(axis.label) });

function points(picture, data) {
  const places = new DataView(data.buffer);
  const at = new Uint16Array(picture.width * 3);
  for (let k = 0; k < at.length; k += 1) at[k] = places.getUint16(2 * k, true);
  return { at, kinds: data.subarray(6 * picture.width), sides: [picture.x, picture.y, picture.z].map((side) => Math.abs(side.high - side.low)) };
}
