// When this machine may compute: three presets, the sentence that says what holds, and every rule for those who want their own.

import { press } from "./ask.js";
import { check, text } from "./forms.js";
import { el, write } from "./format.js";
import { PRESETS, meaning, number } from "./grid_words.js";
import { Problem } from "./live.js";

const GB = 1e9;

// change(values) sends what was chosen; fail(problem or null) shows what the node said.
export class Presets {
  constructor(change, fail) {
    this.change = change;
    this.fail = fail;
    this.choices = PRESETS.map(([key, word, what]) => el("button", { class: "mode-choice preset", type: "button", role: "radio", "data-preset": key, "aria-checked": "false" }, el("span", { class: "mode-words" }, el("strong", {}, word), el("span", { class: "why" }, what))));
    for (const choice of this.choices) choice.addEventListener("click", press(choice, "", () => this._choose(choice.dataset.preset), fail));
    this.says = el("p", { class: "policy-says", dir: "auto" });
    this.form = el("form", { class: "policy-form" });
    this.fold = el("details", { class: "fold" }, el("summary", {}, "Set every rule yourself"), this.form);
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => (this.touched = true));
    this.node = el("section", { class: "card" }, el("h2", {}, "When it may"), el("div", { class: "presets", role: "radiogroup", "aria-label": "When it may" }, ...this.choices), this.says, this.fold);
    this.node.addEventListener("keydown", (event) => this._key(event));
    this._build();
  }

  show(now) {
    this.now = now;
    for (const choice of this.choices) {
      const chosen = choice.dataset.preset === now.preset;
      choice.setAttribute("aria-checked", chosen);
      choice.tabIndex = chosen ? 0 : -1;
      if (choice.dataset.preset === "own") choice.hidden = !chosen && !this.fold.open;
    }
    write(this.says, meaning(now.policy, now.machine_cores));
    if (!this.touched && !this.form.contains(document.activeElement)) this._fill(now.policy);
  }

  _choose(preset) {
    if (preset === this.now?.preset) return undefined;
    this.touched = false;
    return this.change({ preset });
  }

  // Arrows move between the presets, as in every group of which one holds.
  _key(event) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const there = this.choices.filter((choice) => !choice.hidden);
    const at = there.indexOf(event.target);
    if (!by || at < 0) return;
    event.preventDefault();
    there[(at + by + there.length) % there.length].focus();
  }

  _build() {
    const fields = {
      cores: text("Cores", { type: "number" }),
      cpu_percent: text("Of each core, in %", { type: "number" }),
      idle_minutes: text("Idle minutes before", { type: "number", note: "nobody at keyboard or mouse; 0: also while somebody works here" }),
      memory_percent: text("Memory, in %", { type: "number" }),
      disk: text("Disk, in GB", { type: "number" }),
      transfer: text("Transfer a day, in GB", { type: "number", note: "0: no limit" }),
      fetch_ahead_minutes: text("Minutes kept ahead", { type: "number" }),
      hours: text("Only at these hours", { hint: "weekdays 22:00-07:00, sat", note: "empty: always" }),
      exclusive: text("Pause while one of these programs runs", { hint: "blender, steam" }),
    };
    for (const [key, least, most, step] of [["cores", 0, 4096, 1], ["cpu_percent", 1, 100, 1], ["idle_minutes", 0, 1440, "any"], ["memory_percent", 1, 100, 1], ["disk", 0, null, "any"], ["transfer", 0, null, "any"], ["fetch_ahead_minutes", 0, 1440, "any"]]) {
      const { input } = fields[key];
      input.min = least;
      if (most) input.max = most;
      input.step = step;
    }
    this.fields = fields;
    this.battery = check("Also on battery");
    const save = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, "Save"));
    const work = press(save, "Saving…", () => this._save(), this.fail);
    this.form.addEventListener("submit", work);
    this.form.append(el("div", { class: "policy-fields" }, ...Object.values(fields).map(({ node }) => node)), this.battery.node, el("div", { class: "form-foot" }, save));
    this.fold.addEventListener("toggle", () => this.now && this.show(this.now));
  }

  _fill(policy) {
    const { fields } = this;
    for (const key of ["cores", "cpu_percent", "idle_minutes", "memory_percent", "fetch_ahead_minutes"]) fields[key].input.value = policy[key];
    fields.disk.input.value = policy.disk_bytes / GB;
    fields.transfer.input.value = policy.transfer_bytes_per_day / GB;
    fields.hours.input.value = policy.hours.join(", ");
    fields.exclusive.input.value = policy.exclusive.join(", ");
    this.battery.input.checked = policy.on_battery;
  }

  async _save() {
    const { fields } = this;
    const list = (field) => field.value.split(",").map((word) => word.trim()).filter(Boolean);
    let change;
    try {
      change = {
        cores: number(fields.cores, { whole: true }), cpu_percent: number(fields.cpu_percent, { whole: true }), idle_minutes: number(fields.idle_minutes), memory_percent: number(fields.memory_percent, { whole: true }),
        disk_bytes: number(fields.disk, { factor: GB, whole: true }), transfer_bytes_per_day: number(fields.transfer, { factor: GB, whole: true }), fetch_ahead_minutes: number(fields.fetch_ahead_minutes),
      };
    } catch (wrong) {
      if (!(wrong instanceof RangeError)) throw wrong;
      throw new Problem({ title: `${wrong.message} is no number`, advice: "Write digits, with a point before the decimals." }, 400);
    }
    await this.change({ ...change, hours: list(fields.hours), exclusive: list(fields.exclusive), on_battery: this.battery.value });
    this.touched = false;
  }
}
