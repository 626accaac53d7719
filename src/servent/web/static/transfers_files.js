// The files of one transfer, to choose from. The list is read a page at a time; what was chosen holds when it is saved.

import { ask, get, part as quoted, press, whole } from "./ask.js";
import { attribute, bytes, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { Rows } from "./rows.js";
import { plural } from "./transfer_words.js";

const PAGE = 1000;
const MOST = 200_000; // files shown; a choice among more is made by pattern, on the command line
const AGAIN = 2000; // ms between two looks at the progress of the files

export class Files {
  constructor(table) {
    this.table = table;
    this.rows = new Rows({ label: "Files", make: () => this._row(), fill: (row, file) => this._fill(row, file), open: (file) => this._turn(file) });
    this.find = el("input", { class: "search", type: "search", placeholder: "Find a file", "aria-label": "Find a file of this transfer", oninput: () => this._show() });
    this.said = el("p", { class: "muted files-said" });
    this.save = el("button", { class: "main-button small-button", type: "button", hidden: true }, el("span", { class: "label" }, "Fetch these"));
    this.drop = el("button", { class: "quiet-button small-button", type: "button", hidden: true, onclick: () => this._forget() }, "Leave it as it was");
    this.save.addEventListener("click", press(this.save, "Choosing…", () => this._send(), (problem) => this._problem(problem)));
    const all = (wanted) => () => {
      for (const file of this.rows.items) this.choice.set(file.index, wanted);
      this._show();
    };
    this.node = el("div", { class: "files" },
      el("div", { class: "files-tools" }, this.find,
        el("button", { class: "quiet-button small-button", type: "button", onclick: all(true) }, "All"),
        el("button", { class: "quiet-button small-button", type: "button", onclick: all(false) }, "None")),
      this.rows.node, this.said, el("div", { class: "form-foot" }, this.save, this.drop));
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== " " || !event.target.classList.contains("item")) return;
      event.preventDefault();
      this._turn(this.rows.items[this.rows.current]);
    }, { capture: true });
    this.rows.attach();
  }

  of(transfer) {
    this.id = transfer.id;
    this.files = [];
    this.choice = new Map();
    this.loaded = 0;
    this.find.value = "";
    this.rows.show([]);
    write(this.said, "");
  }

  async load() {
    if (this.loading === this.id) return;
    const id = (this.loading = this.id);
    const files = [];
    try {
      for (;;) {
        const page = await get(`/transfers/${quoted(id)}/files?offset=${files.length}&limit=${PAGE}`);
        if (id !== this.id) return;
        files.push(...page);
        if (page.length < PAGE || files.length >= MOST) break;
        if (files.length > this.files.length) this._take(files.slice());
      }
      this._take(files);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (id === this.id) this._problem(problem);
    } finally {
      if (this.loading === id) this.loading = null;
    }
  }

  _take(files) {
    this.files = files;
    this.loaded = performance.now();
    this._show();
  }

  paint(transfer) {
    if (transfer.state === "active" && this.files.length <= PAGE && performance.now() - this.loaded > AGAIN) this.load();
  }

  wanted(file) {
    return this.choice.get(file.index) ?? file.wanted;
  }

  _turn(file) {
    this.choice.set(file.index, !this.wanted(file));
    this._show();
  }

  _forget() {
    this.choice.clear();
    this._show();
  }

  async _send() {
    const wanted = this.files.filter((file) => this.wanted(file)).map((file) => file.index);
    if (!wanted.length) throw new Problem({ title: "No file is chosen", advice: "Choose one at least, or cancel the transfer" }, 0);
    const answer = await ask("PUT", `/transfers/${quoted(this.id)}/files`, { wanted });
    this.choice.clear();
    const now = new Map(answer.map((file) => [file.index, file]));
    this._take(this.files.map((file) => now.get(file.index) ?? { ...file, wanted: wanted.includes(file.index) }));
    const transfer = live.transfers.get(this.id);
    if (transfer) live.merge("transfers", { id: this.id, wanted_files: wanted.length === this.files.length ? null : wanted.length });
  }

  _problem(problem) {
    this.said.classList.toggle("problem", Boolean(problem));
    if (problem) write(this.said, whole(problem));
    else this._sum();
  }

  _show() {
    const needle = this.find.value.trim().toLowerCase();
    const shown = needle ? this.files.filter((file) => file.path.toLowerCase().includes(needle)) : this.files;
    this.rows.node.style.setProperty("--count", Math.max(1, shown.length));
    this.rows.show(shown);
    const changed = this.files.some((file) => this.choice.has(file.index) && this.choice.get(file.index) !== file.wanted);
    this.save.hidden = this.drop.hidden = !changed;
    this.said.classList.remove("problem");
    this._sum();
  }

  _sum() {
    const wanted = this.files.filter((file) => this.wanted(file));
    const size = bytes(wanted.reduce((sum, file) => sum + file.size_bytes, 0));
    write(this.said, this.files.length ? `${wanted.length.toLocaleString("en")} of ${plural(this.files.length, "file")}, ${size}` : "Reading the list of files…");
    write(this.save.firstChild, `Fetch ${wanted.length === this.files.length ? "all" : plural(wanted.length, "file")}`);
  }

  _row() {
    const box = el("span", { class: "tick", "aria-hidden": "true" }, icon("check"));
    const parts = { box, name: el("span", { class: "name", dir: "auto" }), folder: el("span", { class: "why", dir: "auto" }), size: el("span", { class: "size small" }) };
    const row = el("div", { class: "file" }, box, el("span", { class: "what" }, parts.name, parts.folder), parts.size);
    row.parts = parts;
    return row;
  }

  _fill(row, file) {
    const { parts } = row;
    const wanted = this.wanted(file);
    const path = clean(file.path);
    const cut = path.lastIndexOf("/");
    row.classList.toggle("unwanted", !wanted);
    parts.box.classList.toggle("on", wanted);
    write(parts.name, path.slice(cut + 1));
    write(parts.folder, cut > 0 ? path.slice(0, cut) : "");
    const share = file.size_bytes ? Math.floor((file.done_bytes / file.size_bytes) * 100) : 100;
    write(parts.size, !wanted ? `${bytes(file.size_bytes)}, left out` : share >= 100 ? bytes(file.size_bytes) : share ? `${share} % of ${bytes(file.size_bytes)}` : bytes(file.size_bytes));
    attribute(row, "aria-label", `${path}, ${parts.size.textContent}, ${wanted ? "chosen" : "left out"}. Space changes it`);
  }
}
