// <sv-safety>: what is blocked, and what was reported, by us and to us. <sv-safety blocks>: the blocks alone.
// <sv-filters>: words and kinds that are never shown.

import { ask, get, part as quoted, post, press, whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { ago, called, check, select, text, trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { KINDS } from "./kinds.js";
import { Problem } from "./live.js";
import { toast } from "./toast.js";

const REASONS = { malware: "malware", illegal: "illegal", mislabelled: "not what it says", spam: "spam", abuse: "abuse", other: "something else" };

const hash = (content) => `${content.slice(0, 12)}…`;

class Safety extends HTMLElement {
  connectedCallback() {
    const listed = (word, note) => ({ list: el("div", { class: "endings" }), node: null, word, note });
    this.blocks = listed("Blocked", "Never shown, fetched or served here. Who is blocked is not told.");
    this.reports = listed("Reported", "What you report is blocked here, and the admins of the networks you share with its holder are told.");
    const block = el("button", { class: "quiet-button small-button", type: "button", onclick: () => this._block() }, icon("cancel"), el("span", { class: "label" }, "Block a content"));
    this.said = trouble();
    const cards = [this.blocks, ...(this.hasAttribute("blocks") ? [] : [this.reports])].map((each) =>
      el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", {}, each.word), ...(each === this.blocks ? [block] : [])), el("p", { class: "muted" }, each.note), each.list));
    this.replaceChildren(this.said, ...cards);
    this._load();
  }

  disconnectedCallback() {
    this.replaceChildren();
  }

  async _load() {
    try {
      const [blocks, reports] = await Promise.all([get("/blocks"), this.hasAttribute("blocks") ? [] : get("/reports")]);
      if (!this.isConnected) return;
      this._show(blocks, reports);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    }
  }

  _show(blocks, reports) {
    blocks.sort((a, b) => b.since - a.since);
    reports.sort((a, b) => b.time - a.time);
    this.blocks.list.replaceChildren(...blocks.map((each) => this._line(each, "Unblock", () => this._unblock(each))));
    if (!blocks.length) this.blocks.list.append(el("p", { class: "muted" }, "Nothing is blocked. A peer is blocked in their own window, a file where it is found."));
    this.reports.list.replaceChildren(...reports.map((each) => this._report(each, blocks)));
    if (!reports.length) this.reports.list.append(el("p", { class: "muted" }, "Nothing has been reported."));
  }

  _line(block, word, work) {
    const button = el("button", { class: "quiet-button small-button", type: "button" }, el("span", { class: "label" }, word));
    button.addEventListener("click", press(button, "Working…", work, (problem) => write(this.said, problem ? whole(problem) : "")));
    const what = block.content ? `content ${hash(block.content)}` : `peer ${block.peer.slice(0, 8)}`;
    const name = clean(block.name || (block.peer ? called(block.peer) : "A file without a name"));
    return el("div", { class: "ending" }, el("div", { class: "what" }, el("span", { class: "name", dir: "auto" }, name), el("span", { class: "why", dir: "auto" }, [what, clean(block.note), `since ${ago(block.since)}`].filter(Boolean).join(" · "))), button);
  }

  _report(report, blocks) {
    const blocked = blocks.some((block) => (report.content && block.content === report.content) || (report.peer && block.peer === report.peer));
    const by = report.mine ? `by you, ${report.told} ${report.told === 1 ? "admin" : "admins"} told` : `by ${called(report.by)}`;
    const name = clean(report.name || (report.peer ? called(report.peer) : hash(report.content)));
    const button = el("button", { class: "danger-button small-button", type: "button" }, el("span", { class: "label" }, "Block it"));
    button.hidden = blocked;
    button.addEventListener("click", press(button, "Blocking…", async () => {
      await post("/blocks", { ...(report.content ? { content: report.content } : { peer: report.peer }), note: clean(`reported as ${REASONS[report.reason] ?? report.reason}`) });
      await this._load();
    }, (problem) => write(this.said, problem ? whole(problem) : "")));
    return el("div", { class: "ending" }, el("div", { class: "what" }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, name), el("span", { class: "mark" }, REASONS[report.reason] ?? clean(report.reason))), el("span", { class: "why", dir: "auto" }, [by, clean(report.note), ago(report.time), blocked ? "blocked here" : ""].filter(Boolean).join(" · "))), button);
  }

  async _unblock(block) {
    await ask("DELETE", `/blocks/${quoted(block.id)}`);
    await this._load();
    toast(`${block.name || "It"} is not blocked any more`, { undo: { word: "Undo", press: async () => {
      await post("/blocks", { ...(block.content ? { content: block.content } : { peer: block.peer }), note: block.note });
      await this._load();
      return "Blocked again.";
    } } });
  }

  _block() {
    const box = dialog("Block or report a content");
    const content = text("Its content id", { hint: "64 digits, 0 to f", note: "Search and Browse block a file with one press; this is for an id that somebody told you." });
    const reason = select("What for", [["", "Only block it here"], ...Object.entries(REASONS).map(([key, word]) => [key, `Report it: ${word}`])]);
    const note = text("Note");
    const said = trouble();
    const save = el("button", { class: "main-button", type: "button" }, el("span", { class: "label" }, "Block it"));
    save.addEventListener("click", press(save, "Blocking…", async () => {
      if (!/^[0-9a-f]{64}$/.test(content.value)) throw new Problem({ title: "This is no content id", advice: "It has 64 digits from 0 to f" }, 0);
      if (reason.value) await post("/reports", { content: content.value, reason: reason.value, note: note.value });
      else await post("/blocks", { content: content.value, note: note.value });
      await this._load();
      box.close();
    }, (problem) => write(said, problem ? whole(problem) : "")));
    box.body.append(content.node, reason.node, note.node, said);
    box.foot.append(save);
    content.input.focus();
  }
}
customElements.define("sv-safety", Safety);

class Filters extends HTMLElement {
  async connectedCallback() {
    this.replaceChildren(el("p", { class: "muted" }, "Asking the node…"));
    try {
      const filters = await get("/filters");
      if (this.isConnected) this._build(filters);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.replaceChildren(el("p", { class: "problem", role: "alert" }, whole(problem)));
    }
  }

  disconnectedCallback() {
    this.replaceChildren();
  }

  _build(filters) {
    const megabytes = (value) => (value ? String(value / 1e6) : "");
    const words = text("Words in the name", { value: filters.words.join(", "), hint: "casino, keygen", note: "Whole words, separated by commas; casino* also hides what begins with it.", lines: 2 });
    const exts = text("Endings", { value: filters.exts.join(", "), hint: "exe, scr" });
    const kinds = Object.entries(KINDS).map(([key, { word }]) => ({ key, ...check(word, { value: filters.kinds.includes(key) }) }));
    const least = text("Smaller than (MB)", { type: "number", value: megabytes(filters.min_bytes), hint: "no limit" });
    const most = text("Larger than (MB)", { type: "number", value: megabytes(filters.max_bytes), hint: "no limit" });
    const said = trouble();
    const good = el("p", { class: "note good", role: "status" });
    const save = el("button", { class: "main-button small-button", type: "button" }, el("span", { class: "label" }, "Save"));
    const split = (value) => value.split(/[,\n]/).map((each) => each.trim()).filter(Boolean);
    const size = (value) => (Number(value) > 0 ? Math.round(Number(value) * 1e6) : null);
    save.addEventListener("click", press(save, "Saving…", async () => {
      write(good, "");
      await ask("PUT", "/filters", { words: split(words.value), exts: split(exts.value).map((each) => each.replace(/^\./, "").toLowerCase()), kinds: kinds.filter(({ input }) => input.checked).map(({ key }) => key), min_bytes: size(least.value), max_bytes: size(most.value) });
      write(good, "Saved, and in force.");
    }, (problem) => write(said, problem ? whole(problem) : "")));
    this.replaceChildren(el("p", { class: "muted" }, "Hidden in hits, matches of wishes and recommendations; Browse shows it greyed."),
      words.node, exts.node, el("fieldset", { class: "field plain-set" }, el("legend", { class: "field-label" }, "Kinds"), el("div", { class: "peer-choice" }, ...kinds.map(({ node }) => node))),
      el("div", { class: "form-pair" }, least.node, most.node), said, el("div", { class: "form-foot" }, save, good));
  }
}
customElements.define("sv-filters", Filters);
