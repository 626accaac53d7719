// <sv-grid-audit>: a published ledger, checked from the first entry to the last, without asking the project to be there.

import { note, wanted } from "./address.js";
import { post, whole } from "./ask.js";
import { day, text, trouble } from "./forms.js";
import { clean, duration, el, upper, write } from "./format.js";
import { fill, standing } from "./grid_board.js";
import { counted, credit, deed, facts, grouped } from "./grid_words.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";

const LONG = 3600_000; // ms; a year of a large project is some gigabytes

class Audit extends HTMLElement {
  connectedCallback() {
    this.field = text("Link of a ledger or a project, or a folder on this machine", { hint: "magnet:?xt=urn:btmh:…" });
    this.which = el("select", { class: "pick", "aria-label": "Of a project known here" });
    this.which.addEventListener("change", () => {
      if (this.which.value) this.field.input.value = this.which.value;
      this.which.value = "";
    });
    this.said = trouble();
    this.check = deed("Check it", () => this._check(), { kind: "main", sign: "verify", doing: "Checking every entry…", said: (problem) => {
      write(this.said, problem ? whole(problem) : "");
      if (problem) this.result.replaceChildren();
    } });
    this.field.input.addEventListener("keydown", (event) => event.key === "Enter" && this.check.click());
    this.result = el("div", { class: "audit-result", "aria-live": "polite" });
    this.replaceChildren(el("section", { class: "card" }, el("p", { class: "muted" }, "Each credit is an entry that the project signed and the worker countersigned, chained to the one before. Whoever has the ledger can check all of it; the project need not be online."),
      el("div", { class: "form-row audit-form" }, this.field.node, this.which, this.check), this.said), this.result);
    this._stop = live.watch(["joined", "projects"], () => this.paint(), 2000);
    this._follow = () => this._wanted();
    addEventListener("popstate", this._follow);
    this._wanted();
  }

  disconnectedCallback() {
    this._stop?.();
    removeEventListener("popstate", this._follow);
    this.replaceChildren();
  }

  paint() {
    const known = new Map([...live.joined.values(), ...live.projects.values()].map((one) => [one.ledger || one.link || one.id, clean(one.name)]));
    fill(this.which, [["", known.size ? "Of a project known here…" : "No project is known here"], ...known]);
    this.which.hidden = !known.size;
  }

  // A link of ours names what to check, and whether to begin.
  _wanted() {
    const { tab, link, check } = wanted();
    if (tab !== "ledger" || !link) return;
    this.field.input.value = link;
    note({ tab, link });
    if (check) this.check.click();
  }

  async _check() {
    if (!this.field.value) throw new Problem({ title: "no ledger was named", advice: "Choose a project, or paste the link of a ledger." }, 400);
    this.result.replaceChildren(el("section", { class: "card" }, el("p", { class: "muted search-waits" }, "Fetching and checking. A large ledger takes a while; this page may be left and opened again.")));
    const found = await post("/grid/audit", { link: this.field.value }, { wait: LONG });
    if (this.isConnected) this.result.replaceChildren(...report(found));
  }
}
customElements.define("sv-grid-audit", Audit);

function report(found) {
  const bad = found.checks.filter((check) => !check.ok).length;
  const open = found.open ? `, ${grouped(found.open)} not countersigned yet` : "";
  const verdict = el("section", { class: "card verdict-card", "data-outcome": found.ok ? "pass" : "fail" }, icon(found.ok ? "verify" : "fail"),
    el("div", {}, el("h2", { dir: "auto" }, found.ok ? "Every credit in it is in order" : `${counted(bad || 1, "check")} did not hold`),
      el("p", { class: "muted", dir: "auto" }, `${clean(found.project_name || "A project")}: ${counted(found.entries, "entry", "entries")}, ${grouped(found.countersigned)} countersigned${open}. Checked in ${found.seconds < 1 ? "less than a second" : duration(found.seconds)}.`)));
  const checks = el("section", { class: "card checks" }, ...found.checks.map((check) => el("div", { class: "check", "data-outcome": check.ok ? "pass" : "fail" }, icon(check.ok ? "check" : "fail"), el("div", {}, el("p", { class: "check-title" }, el("span", { dir: "auto" }, upper(clean(check.what))), el("span", { class: "outcome" }, check.ok ? "holds" : "does not hold")), ...(check.words ? [el("p", { class: "muted", dir: "auto" }, upper(clean(check.words)))] : [])))));
  const sums = el("section", { class: "card" }, el("h2", {}, "What it says"), facts([
    ["Credit", `${credit(found.credit)} cobblestones for ${counted(found.results, "result")}`], ["Workers", grouped(found.workers)], ["From", found.first ? day(found.first) : ""], ["To", found.last ? day(found.last) : ""], ["Head", found.head], ["Project", found.project],
  ]));
  const most = Math.max(1e-9, ...found.standings.map((each) => each.credit));
  const board = found.standings.length ? [el("section", { class: "card" }, el("h2", {}, "Who earned it"), el("ol", { class: "board" }, ...found.standings.slice(0, 50).map((each) => standing(each, most))))] : [];
  return [verdict, el("div", { class: "audit-parts" }, checks, sums), ...board];
}
