// <sv-grid-log>: what this machine did, and for whom. Newest first.

import { get, whole } from "./ask.js";
import { trouble } from "./forms.js";
import { clean, el, upper, write } from "./format.js";
import { credit, deed, lasting, outcome } from "./grid_words.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { query } from "./net.js";

const PAGE = 12;
const EVERY = 4000; // ms between two looks while something changes
const SIGNS = { unit: "check", credit: "award", pause: "pause", resume: "resume", join: "add", leave: "remove", error: "fail" };
const GOOD = ["", "done", "taken", "valid", "unneeded", "given back"];

const when = (time) => {
  const at = new Date(time * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : at.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
};

class Log extends HTMLElement {
  connectedCallback() {
    this.seen = [];
    this.list = el("ul", { class: "grid-log", "aria-label": "What this machine did" });
    this.said = trouble();
    this.none = el("p", { class: "muted", hidden: true }, "Nothing yet. Each unit that was computed stands here, with whom it was for.");
    this.more = deed("Show earlier", () => this._earlier(), { small: true, doing: "Looking…", said: (problem) => this._fail(problem) });
    this.more.hidden = true;
    this.replaceChildren(el("section", { class: "card" }, el("h2", {}, "What this machine did"), this.said, this.none, this.list, this.more));
    this._stop = live.watch(["lending"], () => this._look(), EVERY);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  _fail(problem) {
    write(this.said, problem ? whole(problem) : "");
  }

  async _look() {
    if (live.connection === "away") return;
    const { lending } = live;
    const mark = lending && [lending.units_today, lending.total, lending.state, lending.why, live.joined.size].join();
    if (mark === this.mark && this.seen.length) return;
    this.mark = mark;
    try {
      const newest = await get(`/grid/log${query({ limit: PAGE })}`);
      const least = newest.at(-1)?.seq ?? 0;
      this._show([...newest, ...this.seen.filter((each) => each.seq < least)]);
      this._fail(null);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this._fail(problem);
    }
  }

  async _earlier() {
    const before = this.seen.at(-1)?.seq;
    const older = await get(`/grid/log${query({ limit: PAGE, before })}`);
    this.ended = older.length < PAGE;
    this._show([...this.seen, ...older]);
  }

  _show(entries) {
    this.seen = entries;
    if (entries.length < PAGE) this.ended = true;
    this.more.hidden = this.ended || !entries.length;
    this.none.hidden = entries.length > 0;
    this.list.replaceChildren(...entries.map(line));
  }
}
customElements.define("sv-grid-log", Log);

function line(entry) {
  const bad = entry.kind === "error" || (entry.kind === "unit" && !GOOD.includes(entry.outcome));
  const what = entry.kind === "unit" ? [clean(entry.app), clean(entry.unit)].filter(Boolean).join(" · ") || "A unit" : upper(clean(entry.words || entry.kind));
  const about = [clean(entry.project_name), entry.kind === "unit" ? outcome(entry.outcome || "done") : "", entry.seconds ? lasting(entry.seconds) : "", entry.kind === "unit" ? clean(entry.words) : ""].filter(Boolean);
  return el("li", { class: "log-line", "data-tone": bad ? "failed" : "" }, el("span", { class: "way" }, icon(bad ? "fail" : SIGNS[entry.kind] ?? "clock")),
    el("span", { class: "what" }, el("span", { class: "name", dir: "auto" }, what), el("span", { class: "why", dir: "auto" }, about.join(" · "))),
    el("span", { class: "log-credit" }, entry.credit ? `+${credit(entry.credit)}` : ""), el("span", { class: "small" }, when(entry.at)));
}
