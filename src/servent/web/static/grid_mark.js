// <sv-lending>: beside the navigation, on every screen: whether this machine computes for others now, and the way to stop it at once.

import { post } from "./ask.js";
import { attribute, el, write } from "./format.js";
import { counted, dot, whyLine } from "./grid_words.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { complain } from "./toast.js";

const TONES = { paused: "waiting", idle: "none", working: "direct" };

class Mark extends HTMLElement {
  connectedCallback() {
    this.sign = icon("pause");
    this.light = dot("none");
    this.words = el("span", {});
    this.link = el("a", { class: "lend-mark", href: "/grid" }, this.light, this.words);
    this.button = el("button", { class: "round", type: "button", onclick: () => this._turn() }, this.sign);
    this.replaceChildren(this.link, this.button);
    this._stop = live.watch(["lending"], () => this.paint(), 400);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const now = live.lending;
    this.hidden = !now?.on;
    if (this.hidden) return;
    const busy = now.slots.filter((slot) => slot.state === "running" || slot.state === "starting").length;
    this.light.dataset.tone = live.connection === "live" ? TONES[now.state] ?? "none" : "none";
    write(this.words, { working: `Lending ${busy} of ${counted(now.machine_cores, "core")}`, paused: "Lending pauses", idle: "Ready to lend" }[now.state] ?? "Lending");
    this.link.title = whyLine(now);
    const own = now.state === "paused" && now.by_person;
    attribute(this.sign, "name", own ? "resume" : "pause");
    this.button.title = own ? "Lend again" : "Pause lending";
    attribute(this.button, "aria-label", this.button.title);
  }

  async _turn() {
    this.button.disabled = true;
    try {
      live.lending = await post(live.lending.by_person && live.lending.state === "paused" ? "/grid/lending/resume" : "/grid/lending/pause", {});
      live.changed("lending");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      complain(problem);
    } finally {
      this.button.disabled = false;
    }
  }
}
customElements.define("sv-lending", Mark);
