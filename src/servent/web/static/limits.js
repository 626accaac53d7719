// <sv-limits>: how fast things move, what holds them back right now, and the switch to the second set of limits.

import { ask, get, press, whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { clean, el, rate, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { RateField, said } from "./rates.js";

const LOOK = 15_000; // ms between two looks at what the schedule says

class Limits extends HTMLElement {
  connectedCallback() {
    const flow = (sign, word) => {
      const now = el("strong", { class: "flow-now" });
      const most = el("span", { class: "note" });
      return { now, most, node: el("span", { class: "flow", title: word }, icon(sign), now, most) };
    };
    this.down = flow("down", "Receiving");
    this.up = flow("up", "Sending");
    this.sentence = el("span", { class: "limits-now muted", dir: "auto" });
    this.slower = el("button", { class: "switch", type: "button", role: "switch", "aria-checked": "false" }, el("span", { class: "switch-knob" }), el("span", { class: "label" }, "Slower for now"));
    this.slower.addEventListener("click", press(this.slower, null, () => this._turn(), (problem) => this._problem(problem)));
    this.change = el("button", { class: "quiet-button small-button", type: "button", "aria-label": "Limits", onclick: () => this._open() }, icon("settings"), el("span", { class: "label" }, "Limits"));
    this.replaceChildren(el("div", { class: "limits" }, this.down.node, this.up.node, this.sentence, this.slower, this.change));
    this._stop = live.watch(["status"], () => this.paint(), 500);
    this._timer = setInterval(() => document.hidden || this._look(), LOOK);
    this._look();
  }

  disconnectedCallback() {
    this._stop?.();
    clearInterval(this._timer);
    this.replaceChildren();
  }

  async _look() {
    try {
      [this.limits, this.queue] = await Promise.all([get("/limits"), get("/queue")]);
      this._problem(null);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!this.queue) this._problem(problem);
    }
    this.paint();
  }

  _problem(problem) {
    this.wrong = problem;
    this.paint();
  }

  paint() {
    const { limits, queue } = this;
    const here = live.connection === "live";
    write(this.down.now, here ? rate(live.status?.down_bytes_per_s).replace("–", "0 B/s") : "–");
    write(this.up.now, here ? rate(live.status?.up_bytes_per_s).replace("–", "0 B/s") : "–");
    const other = queue?.alternative;
    const most = (limit) => (limit ? `of ${said(limit)}` : limits ? "no limit" : "");
    write(this.down.most, most(other ? queue.alternative_down_bytes_per_s : limits?.down_bytes_per_s));
    write(this.up.most, most(other ? queue.alternative_up_bytes_per_s : limits?.up_bytes_per_s));
    write(this.sentence, this.wrong ? whole(this.wrong) : upper(clean(queue?.now ?? "")));
    this.sentence.classList.toggle("problem", Boolean(this.wrong));
    this.slower.setAttribute("aria-checked", Boolean(other));
    this.slower.title = queue ? `At most ${said(queue.alternative_down_bytes_per_s)} in and ${said(queue.alternative_up_bytes_per_s)} out, until you switch it off` : "";
  }

  async _turn() {
    const queue = { ...this.queue, alternative: !this.queue.alternative };
    this.queue = await ask("PUT", "/queue", queue);
    this._look();
  }

  _open() {
    if (!this.limits) return;
    const box = dialog("Limits");
    const fields = {
      down_bytes_per_s: new RateField("Receiving, everything together"), up_bytes_per_s: new RateField("Sending, everything together"),
      per_peer_down_bytes_per_s: new RateField("From each peer"), per_peer_up_bytes_per_s: new RateField("To each peer"),
    };
    const other = { alternative_down_bytes_per_s: new RateField("Receiving"), alternative_up_bytes_per_s: new RateField("Sending") };
    const slots = el("input", { class: "plain", type: "number", min: "1", max: "256", value: this.limits.upload_slots ?? 8 });
    const active = el("input", { class: "plain", type: "number", min: "1", max: "1000", value: this.queue.most_active });
    for (const [key, field] of Object.entries(fields)) field.value = this.limits[key];
    for (const [key, field] of Object.entries(other)) field.value = this.queue[key];
    const trouble = el("p", { class: "why problem", role: "alert" });
    const save = el("button", { class: "main-button", type: "button" }, el("span", { class: "label" }, "Save"));
    save.addEventListener("click", press(save, "Saving…", async () => {
      const limits = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value]));
      this.limits = await ask("PUT", "/limits", { ...limits, upload_slots: Number(slots.value) || 8 });
      const changes = Object.fromEntries(Object.entries(other).map(([key, field]) => [key, field.value]));
      this.queue = await ask("PUT", "/queue", { ...this.queue, ...changes, most_active: Number(active.value) || 5 });
      this.paint();
      box.close();
    }, (problem) => write(trouble, problem ? whole(problem) : "")));
    const pair = (...nodes) => el("div", { class: "form-pair" }, ...nodes);
    const number = (word, input) => el("label", { class: "field" }, el("span", { class: "field-label" }, word), input);
    box.body.append(
      pair(fields.down_bytes_per_s.node, fields.up_bytes_per_s.node), pair(fields.per_peer_down_bytes_per_s.node, fields.per_peer_up_bytes_per_s.node),
      pair(number("Downloads that move at once", active), number("Peers sent to at once", slots)),
      el("h3", {}, "When “Slower for now” is on"), pair(other.alternative_down_bytes_per_s.node, other.alternative_up_bytes_per_s.node),
      el("p", { class: "note" }, "In force at once. Times of the day and single peers have limits of their own, see ", el("a", { href: "/settings", onclick: () => box.close() }, "Settings"), "."), trouble);
    box.foot.append(save);
  }
}
customElements.define("sv-limits", Limits);
