// Acting on several transfers at once, and taking it back. A cancel first stops them and deletes nothing before the
// time to think again is over; leaving the page ends that time.

import { post } from "./ask.js";
import { bytes, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { complain, toast } from "./toast.js";
import { can, plural } from "./transfer_words.js";

const PRIORITIES = [["high", "First"], ["normal", "Normal"], ["low", "Later"]];

const size = (items) => bytes(items.reduce((sum, item) => sum + (item.size_bytes ?? 0), 0));

export class Many {
  constructor(table) {
    this.table = table;
    this.leaving = null; // { items, running, timer }: cancelled, and still to be taken back
    this.count = el("strong", {});
    this.about = el("span", { class: "muted" });
    const button = (word, sign, kind, work) => {
      const node = el("button", { class: `${kind}-button small-button`, type: "button" }, icon(sign), el("span", { class: "label" }, word));
      node.addEventListener("click", work);
      return node;
    };
    this.buttons = {
      pause: button("Pause", "pause", "quiet", () => this._act("pause")),
      resume: button("Resume", "resume", "quiet", () => this._act("resume")),
      verify: button("Check again", "verify", "quiet", () => this._act("verify")),
      remove: button("Remove", "remove", "quiet", () => this._act("remove")),
      cancel: button("Cancel", "cancel", "danger", () => this.cancel(this._of("cancel"))),
    };
    this.priority = el("select", { class: "small-select", "aria-label": "Priority of those chosen" },
      el("option", { value: "" }, "Priority…"), ...PRIORITIES.map(([value, word]) => el("option", { value }, word)));
    this.priority.addEventListener("change", () => this._prefer());
    this.bar = el("div", { class: "many", role: "toolbar", "aria-label": "Those chosen", hidden: true },
      el("span", { class: "many-count" }, this.count, this.about),
      el("span", { class: "many-buttons" }, ...Object.values(this.buttons), this.priority,
        el("button", { class: "quiet-button small-button", type: "button", onclick: () => table.tickAll() }, "All"),
        el("button", { class: "quiet-button small-button", type: "button", onclick: () => table.untick() }, "None")));
    this.node = el("div", { class: "many-room" }, this.bar);
    this._leave = () => this._finish(true);
    addEventListener("pagehide", this._leave);
  }

  close() {
    removeEventListener("pagehide", this._leave);
    this._finish(true);
  }

  items() {
    return [...this.table.chosen].map((id) => live.transfers.get(id)).filter(Boolean);
  }

  _of(action) {
    return this.items().filter((item) => can(item, action));
  }

  paint() {
    const items = this.items();
    this.bar.hidden = !items.length;
    if (!items.length) return;
    write(this.count, plural(items.length, "transfer"));
    write(this.about, ` chosen, ${size(items)}`);
    for (const [action, button] of Object.entries(this.buttons)) {
      const possible = items.some((item) => can(item, action));
      if (button.hidden === possible) button.hidden = !possible;
    }
    this.priority.hidden = !items.some((item) => can(item, "cancel"));
  }

  tell(words, undo = null) {
    toast(words, undo ? { undo: { word: "Undo", press: undo } } : {});
  }

  // The node's answer to one action for many: who could not, and why, stays on the rows as their own reason.
  async _together(action, items) {
    for (const item of items) this.table.pending.set(item.id, action);
    this.table.paint();
    try {
      const { done, failed } = await this.table.together(action, items.map((item) => item.id));
      if (action === "remove") for (const item of items) if (!failed.some((one) => one.startsWith(item.id.slice(0, 12)))) live.remove("transfers", item.id);
      return { done, failed };
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      complain(problem);
      return null;
    } finally {
      for (const item of items) this.table.pending.delete(item.id);
      this.table.paint();
    }
  }

  async _act(action) {
    const items = this._of(action);
    if (!items.length) return;
    const answer = await this._together(action, items);
    if (!answer) return;
    const words = { pause: "paused", resume: "resumed", verify: "checked again", remove: "removed from the list" };
    const opposite = { pause: "resume", resume: "pause" }[action];
    const missed = answer.failed.length ? `; ${answer.failed.length} could not be: ${answer.failed.slice(0, 3).map(clean).join(", ")}` : "";
    this.tell(`${plural(answer.done, "transfer")} ${words[action]}${missed}`, opposite && (async () => {
      await this._together(opposite, items);
    }));
  }

  async _prefer() {
    const priority = this.priority.value;
    this.priority.value = "";
    if (!priority) return;
    const items = this._of("cancel");
    const before = items.map((item) => [item, item.priority]);
    for (const item of items) await this.table.change(item, { priority });
    this.tell(`${plural(items.length, "transfer")}: ${PRIORITIES.find(([value]) => value === priority)[1].toLowerCase()}`, async () => {
      for (const [item, was] of before) await this.table.change(item, { priority: was });
    });
  }

  // Stops them now; deletes what was fetched only when nobody has taken it back.
  async cancel(items) {
    if (!items.length) return;
    await this._finish();
    const running = items.filter((item) => can(item, "pause"));
    const one = items.length === 1 ? items[0] : null;
    if (running.length) {
      const stopped = one ? await this.table.during(one, "cancel", async () => {
        live.merge("transfers", await post(`/transfers/${encodeURIComponent(one.id)}/pause`));
        return true;
      }) : await this._together("pause", running);
      if (!stopped) return;
    }
    for (const item of items) this.table.notes.set(item.id, "About to be cancelled; what came of it is still here");
    const leaving = (this.leaving = { items, running });
    this.table.chosen.clear();
    this.table.paint();
    const note = toast(`${one ? one.name : plural(items.length, "transfer")}, ${size(items)}: cancelled`, { undo: { word: "Undo", press: () => this._restore(leaving) } });
    const watch = setInterval(() => {
      if (note.isConnected) return; // it stays while somebody thinks about it
      clearInterval(watch);
      if (this.leaving === leaving) this._finish();
    }, 300);
  }

  async _restore(leaving) {
    if (this.leaving !== leaving) return "Too late: it is gone.";
    this.leaving = null;
    for (const item of leaving.items) this.table.notes.delete(item.id);
    if (leaving.running.length) await this._together("resume", leaving.running);
    this.table.paint();
    return "They go on as before.";
  }

  async _finish(going = false) {
    if (!this.leaving) return;
    const { items } = this.leaving;
    this.leaving = null;
    for (const item of items) this.table.notes.delete(item.id);
    if (!going) {
      await this._together("cancel", items);
      return;
    }
    const body = JSON.stringify({ action: "cancel", ids: items.map((item) => item.id) });
    fetch("/node/transfers/many", { method: "POST", body, keepalive: true, headers: { "Content-Type": "application/json" } }).catch(() => {}); // nobody is left to be told
  }
}
