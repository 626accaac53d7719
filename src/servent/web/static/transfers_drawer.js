// The details of one transfer: what can be changed about it, its files to choose from, its sources, its progress, its past.

import { get, part as quoted, whole } from "./ask.js";
import { bytes, clean, duration, el, rate, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { Tabs } from "./tabs.js";
import { Files } from "./transfers_files.js";
import { Progress } from "./transfers_progress.js";
import { ACTIONS, can, ended, plural, sentence, state, waits } from "./transfer_words.js";

const PRIORITIES = [["high", "First"], ["normal", "Normal"], ["low", "Later"]];
const when = (time) => (time ? new Date(time * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–");

export class Drawer {
  constructor(table) {
    this.table = table;
    this.shows = null;
    this.node = el("aside", { class: "drawer", hidden: true, tabindex: "-1", "aria-label": "Details of the transfer" });
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close(true);
    });
  }

  open(transfer) {
    if (!this.title) this._build();
    this.shows = transfer.id;
    this.node.hidden = false;
    this.table.classList.add("drawn");
    this.renaming.hidden = true;
    this.files.of(transfer);
    this.progress.of(transfer);
    this.past.replaceChildren();
    this.tabs.choose(transfer.direction === "down" && transfer.files > 1 ? "files" : "sources");
    this.paint();
    this.node.focus({ preventScroll: true });
  }

  close(back = false) {
    this.shows = null;
    this.node.hidden = true;
    this.table.classList.remove("drawn");
    if (back) this.table.closed();
  }

  get transfer() {
    return live.transfers.get(this.shows);
  }

  _build() {
    const button = (word, sign, work) => {
      const node = el("button", { class: "quiet-button small-button", type: "button" }, icon(sign), el("span", { class: "label" }, word));
      node.addEventListener("click", work);
      return node;
    };
    this.title = el("h2", { dir: "auto" });
    this.why = el("p", { class: "muted", dir: "auto" });
    this.advice = el("p", { class: "remedy", dir: "auto" });
    this.actions = Object.fromEntries(Object.entries(ACTIONS).map(([action, { word }]) => [action, button(word, action, () => this.table.act(this.transfer, action))]));
    this.edit = button("Move or rename", "edit", () => this._rename());
    this.priority = PRIORITIES.map(([value, word]) => ({ value, node: el("button", { type: "button", class: "segment", role: "radio", onclick: () => this.table.change(this.transfer, { priority: value }) }, word) }));
    const check = (word, note, field) => {
      const box = el("input", { type: "checkbox" });
      box.addEventListener("change", async () => {
        box.disabled = true;
        await this.table.change(this.transfer, { [field]: box.checked });
        box.disabled = false;
        this.paint();
      });
      return { box, field, node: el("label", { class: "check-line" }, box, el("span", {}, word, el("span", { class: "note" }, note))) };
    };
    this.checks = [
      check("In the foreground", "as fast as it can, without waiting for what else uses the line", "foreground"),
      check("In order", "from the beginning to the end, so that it can be played while it comes", "in_order"),
    ];
    this.places = [["To the front", () => 0], ["Up", (place) => Math.max(0, place - 1)], ["Down", (place) => place + 1], ["To the end", () => 1_000_000]]
      .map(([word, to]) => el("button", { type: "button", class: "segment", onclick: () => this.table.place(this.transfer, to(this.transfer.place)) }, word));
    this.turn = el("span", { class: "muted" });
    this.queue = el("div", { class: "setting-line" }, el("span", { class: "field-label" }, "Its turn"), this.turn, el("span", { class: "segments" }, ...this.places));
    this.settings = el("div", { class: "drawer-settings" },
      el("div", { class: "setting-line" }, el("span", { class: "field-label" }, "Priority"), el("span", { class: "segments", role: "radiogroup", "aria-label": "Priority" }, ...this.priority.map(({ node }) => node))),
      this.queue, ...this.checks.map(({ node }) => node));
    this._buildRename();
    this.files = new Files(this.table);
    this.progress = new Progress();
    this.sources = el("ul", { class: "sources" });
    this.none = el("p", { class: "muted" });
    this.past = el("div", { class: "past" });
    const panels = [["files", "Files", this.files.node], ["sources", "Sources", el("div", {}, this.none, this.sources)], ["progress", "Progress", this.progress.node], ["past", "History", this.past]];
    this.tabs = new Tabs("About this transfer", panels, (key) => {
      if (key === "files" && this.shows) this.files.load();
      if (key === "past" && this.shows) this._history();
    });
    this.node.replaceChildren(
      el("button", { class: "round drawer-close", type: "button", "aria-label": "Close details", onclick: () => this.close(true) }, icon("close")),
      this.title, this.why, this.advice,
      el("div", { class: "drawer-actions" }, ...Object.values(this.actions), this.edit),
      this.renaming, this.settings, this.tabs.list, ...panels.map(([, , panel]) => panel));
  }

  _buildRename() {
    const field = (word) => {
      const input = el("input", { class: "plain", type: "text", autocomplete: "off", spellcheck: "false" });
      return { input, node: el("label", { class: "field" }, el("span", { class: "field-label" }, word), input) };
    };
    this.name = field("Its name");
    this.folder = field("Its folder on this machine");
    this.said = el("p", { class: "why problem", role: "alert", hidden: true });
    const save = el("button", { class: "main-button small-button", type: "submit" }, el("span", { class: "label" }, "Save"));
    this.renaming = el("form", { class: "rename", hidden: true }, this.name.node, this.folder.node, this.said,
      el("div", { class: "form-foot" }, save, el("button", { class: "quiet-button small-button", type: "button", onclick: () => (this.renaming.hidden = true) }, "Leave it"),
        el("span", { class: "note" }, "It is shared on from its new place.")));
    this.renaming.addEventListener("submit", async (event) => {
      event.preventDefault();
      const { transfer } = this;
      const change = {};
      if (this.name.input.value.trim() && this.name.input.value !== transfer.name) change.name = this.name.input.value.trim();
      if (this.folder.input.value.trim() && this.folder.input.value !== this.was) change.to = this.folder.input.value.trim();
      if (!Object.keys(change).length) {
        this.renaming.hidden = true;
        return;
      }
      save.disabled = true;
      write(save.firstChild, change.to ? "Moving…" : "Saving…");
      const now = await this.table.change(transfer, change);
      save.disabled = false;
      write(save.firstChild, "Save");
      const problem = this.table.problems.get(transfer.id);
      this.said.hidden = Boolean(now);
      write(this.said, problem ? whole(problem) : "");
      if (now) this.renaming.hidden = true;
    });
  }

  _rename() {
    const { transfer } = this;
    this.name.input.value = transfer.name;
    const path = String(transfer.path ?? "");
    this.was = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    this.folder.input.value = this.was;
    this.said.hidden = true;
    this.renaming.hidden = !this.renaming.hidden;
    if (!this.renaming.hidden) this.name.input.focus();
  }

  paint() {
    if (!this.shows) return;
    const { transfer } = this;
    if (!transfer) return this.close(true);
    write(this.title, clean(transfer.name));
    const problem = this.table.problems.get(transfer.id);
    write(this.why, problem ? whole(problem) : `${state(transfer)[0]}. ${sentence(transfer)}`);
    write(this.advice, clean(transfer.advice ?? ""));
    this.advice.hidden = !transfer.advice;
    const busy = this.table.pending.get(transfer.id);
    for (const [action, node] of Object.entries(this.actions)) {
      node.hidden = !can(transfer, action);
      node.disabled = Boolean(busy);
      write(node.lastChild, busy === action ? ACTIONS[action].doing : ACTIONS[action].word);
    }
    const down = transfer.direction === "down";
    this.edit.hidden = !down || transfer.state === "cancelled" || transfer.preview;
    this.settings.hidden = !down || ended(transfer);
    for (const { value, node } of this.priority) node.setAttribute("aria-checked", (transfer.priority ?? "normal") === value);
    this.queue.hidden = !waits(transfer) || transfer.state !== "queued";
    if (!this.queue.hidden) write(this.turn, transfer.place === 0 ? "next" : `number ${transfer.place + 1}`);
    for (const { box, field } of this.checks) if (!box.disabled) box.checked = Boolean(transfer[field]);
    this.tabs.has(down ? ["files", "sources", "progress", "past"] : ["sources", "progress"]);
    this._paintSources(transfer);
    this.progress.paint(transfer);
    if (this.tabs.current === "files") this.files.paint(transfer);
  }

  _paintSources(transfer) {
    const list = transfer.sources ?? [];
    const up = transfer.direction === "up";
    write(this.none, list.length ? `${plural(list.length, up ? "peer fetches" : "source", up ? "peers fetch" : "sources")}${up ? " it" : ""}` : ended(transfer) ? "It has ended; nobody sends any more." : up ? "Nobody fetches it now." : `Nobody sends now. ${sentence(transfer)}`);
    while (this.sources.children.length > list.length) this.sources.lastChild.remove();
    list.forEach((source, index) => {
      let row = this.sources.children[index];
      if (!row) {
        row = el("li", {}, el("span", { class: "dot" }), el("span", { class: "name", dir: "auto" }), el("span", { class: "speed" }), el("span", { class: "why", dir: "auto" }));
        this.sources.append(row);
      }
      const [dot, name, speed, note] = row.children;
      dot.dataset.tone = source.path === "relayed" ? "relayed" : source.path === "direct" ? "direct" : "none";
      write(name, clean(source.name || String(source.peer).slice(0, 8)));
      write(speed, rate(source.rate_bytes_per_s));
      const place = source.position ? `place ${source.position} in ${up ? "our" : "its"} queue` : "";
      const lane = source.lane ? `over ${source.lane === "tcp" ? "TCP" : "QUIC"}` : "";
      const moved = source.bytes ? `${bytes(source.bytes)} ${up ? "sent" : "received"}` : "";
      write(note, [`${source.path ?? "path unknown"} ${lane}`.trim(), clean(source.state ?? ""), place, clean(source.reason ?? ""), moved].filter(Boolean).join(" · "));
    });
  }

  async _history() {
    const { transfer } = this;
    if (!transfer || this.past.childElementCount) return;
    const row = (word, text) => [el("dt", {}, word), el("dd", { dir: "auto" }, text)];
    const facts = [
      ...row("Begun", when(transfer.started)),
      ...(transfer.finished ? row("Ended", `${when(transfer.finished)}${transfer.started ? `, after ${duration(transfer.finished - transfer.started)}` : ""}`) : []),
      ...row("Where", clean(transfer.path || "–")), ...row("Link", clean(transfer.link || "–"))];
    const earlier = el("ul", { class: "earlier" });
    this.past.replaceChildren(el("dl", {}, ...facts), el("h3", {}, "The same before"), earlier);
    try {
      const { entries } = await get(`/history?limit=20&q=${quoted(String(transfer.name).slice(0, 200))}`);
      const same = entries.filter((entry) => entry.name === transfer.name && entry.id !== transfer.id);
      earlier.replaceChildren(...same.map((entry) => el("li", {},
        `${when(entry.finished)}: ${entry.direction === "up" ? "sent" : "fetched"}, ${entry.state}, ${bytes(entry.moved_bytes)} of ${bytes(entry.size_bytes)}${entry.error ? `. ${clean(entry.error)}` : ""}`)));
      if (!same.length) earlier.replaceChildren(el("li", { class: "muted" }, "Nothing with this name has been moved before."));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      earlier.replaceChildren(el("li", { class: "problem" }, whole(problem)));
    }
  }
}
