// Who computes for an own project, and what went wrong there.

import { get, part as quoted, whole } from "./ask.js";
import { ago, trouble } from "./forms.js";
import { attribute, clean, el, upper, write } from "./format.js";
import { counted, credit, dot, empty, grouped, outcome, short } from "./grid_words.js";
import { Problem } from "./live.js";
import { Rows } from "./rows.js";

// A list that is asked for while it is open.
class Asked {
  constructor() {
    this.said = trouble();
  }

  async look(one) {
    if (this.asking) return;
    this.asking = true;
    try {
      this.show(await get(`/grid/projects/${quoted(one.id)}/${this.path}`), one);
      write(this.said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    } finally {
      this.asking = false;
    }
  }
}

const HEADS = ["", "Machine", "Now", "Valid", "Not valid", "Credit", "Seen"];

export class Volunteers extends Asked {
  path = "hosts";

  constructor() {
    super();
    this.rows = new Rows({ label: "Volunteers", make: () => this._row(), fill: (row, host) => this._fill(row, host) });
    this.head = el("div", { class: "rows-head", "aria-hidden": "true" }, ...HEADS.map((word) => el("span", {}, word)));
    this.none = el("div", { hidden: true }, empty("Nobody computes for it yet", "Pass the project's link on. Whoever may help joins with it, and their work appears here."));
    this.list = el("div", { class: "card list grid-hosts" }, this.head, this.rows.node);
    this.node = el("div", { class: "project-list" }, this.said, this.list, this.none);
    this.rows.attach();
  }

  close() {
    this.rows.detach();
  }

  show(hosts) {
    hosts.sort((a, b) => b.connected - a.connected || b.recent - a.recent || b.credit - a.credit || (a.peer < b.peer ? -1 : 1));
    this.none.hidden = hosts.length > 0;
    this.list.hidden = !hosts.length;
    this.rows.node.style.setProperty("--count", hosts.length);
    this.rows.show(hosts);
  }

  _row() {
    const parts = { dot: dot("none"), name: el("span", { class: "name", dir: "auto" }), mark: el("span", { class: "mark" }), why: el("span", { class: "why", dir: "auto" }), now: el("span", { class: "speed" }), valid: el("span", { class: "speed" }), bad: el("span", { class: "speed host-bad" }), credit: el("span", { class: "speed" }), seen: el("span", { class: "left" }) };
    const row = el("div", { class: "host" }, parts.dot, el("span", { class: "what" }, el("span", { class: "who" }, parts.name, parts.mark), parts.why), parts.now, parts.valid, parts.bad, parts.credit, parts.seen);
    row.parts = parts;
    return row;
  }

  _fill(row, host) {
    if (!host) return;
    const { parts } = row;
    parts.dot.dataset.tone = host.connected ? "direct" : "none";
    write(parts.name, clean(host.name || host.peer.slice(0, 8)));
    write(parts.mark, clean(host.team));
    const trusted = host.trusted.length ? `trusted with ${host.trusted.map(clean).join(", ")}` : "not trusted yet: its results are checked by others";
    write(parts.why, [host.cores ? counted(host.cores, "core") : "", host.mflops ? `${short(host.mflops)} MFLOP/s` : "", trusted, host.left ? "" : "no more units today"].filter(Boolean).join(" · "));
    write(parts.now, host.leased ? `${grouped(host.leased)} at work` : "–");
    write(parts.valid, grouped(host.valid));
    const bad = host.invalid + host.errors + host.expired;
    write(parts.bad, bad ? grouped(bad) : "–");
    parts.bad.classList.toggle("some", host.invalid > 0);
    attribute(parts.bad, "title", bad ? `${grouped(host.invalid)} wrong, ${grouped(host.errors)} failed, ${grouped(host.expired)} too late` : null);
    write(parts.credit, credit(host.credit));
    write(parts.seen, host.connected ? "here now" : ago(host.seen));
  }
}

export class Problems extends Asked {
  path = "problems";

  constructor() {
    super();
    this.list = el("ul", { class: "grid-problems" });
    this.none = el("div", { hidden: true }, empty("No errors", "What volunteers report, and results that did not agree, are gathered here by kind."));
    this.node = el("div", { class: "project-list" }, this.said, this.list, this.none);
  }

  show(problems) {
    problems.sort((a, b) => b.last - a.last);
    this.none.hidden = problems.length > 0;
    this.list.replaceChildren(...problems.map((each) => el("li", { class: "problem-line" }, el("span", { class: "problem-count figure" }, short(each.count)),
      el("span", { class: "what" }, el("span", { class: "name", dir: "auto" }, upper(clean(each.words || outcome(each.outcome)))), el("span", { class: "why", dir: "auto" }, [outcome(each.outcome), clean(each.app), each.hosts ? `on ${counted(each.hosts, "machine")}` : "", `last ${ago(each.last)}`].filter(Boolean).join(" · "))))));
  }
}
