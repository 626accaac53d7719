// <sv-grid-project data-project="…">: one own project: how its units flow, how fast, who computes, what went wrong, what came out.

import { go } from "./address.js";
import { ask, get, part as quoted, patch, post, whole } from "./ask.js";
import { confirmed, dialog } from "./dialog.js";
import { text, trouble } from "./forms.js";
import { clean, el, upper, write } from "./format.js";
import { Apps } from "./grid_apps.js";
import { Batches } from "./grid_batches.js";
import { Chart } from "./grid_chart.js";
import { Flow } from "./grid_flow.js";
import { addApp, changeProject, passProject, submit } from "./grid_forms.js";
import { openUnits, stack, standing, standingWhy } from "./grid_mine.js";
import { Problems, Volunteers } from "./grid_people.js";
import { Units } from "./grid_units.js";
import { counted, credit, deed, dot, facts, figure, grouped, left, short, speed } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { linked } from "./talk_words.js";
import { Tabs } from "./tabs.js";

const EVERY = 3000; // ms between two looks at what no event tells: the chart and the open list

class Project extends HTMLElement {
  connectedCallback() {
    this.wanted = this.dataset.project;
    this.name = el("h1", { dir: "auto" }, "…");
    this.said = trouble();
    const fail = (problem) => this.isConnected && write(this.said, problem ? whole(problem) : "");
    this.submit = deed("Submit work", () => submit(this.one), { kind: "main", sign: "send", said: fail });
    this.app = deed("Add an app", () => addApp(this.one), { sign: "add", said: fail });
    this.link = deed("Pass on", () => passProject(this.one), { sign: "invite", said: fail });
    this.buttons = el("div", { class: "head-buttons" }, this.link, this.app, this.submit);
    this.state = el("p", { class: "project-state" }, dot("none"), el("span", { class: "mark" }), el("span", { dir: "auto", role: "status" }));
    this.flow = new Flow((state) => this._choose(state));
    this.stack = stack();
    this.eta = el("span", { class: "left" });
    this.speed = el("span", { class: "project-speed" });
    this.chart = new Chart();
    this.figures = { hosts: figure("Machines now"), redundancy: figure("Copies a unit"), errors: figure("Errors"), spent: figure("Credit granted") };
    this.batches = new Batches(fail);
    this.units = new Units(() => this.one, (state) => this.flow.choose(state));
    this.volunteers = new Volunteers(() => this.one);
    this.problems = new Problems(() => this.one);
    this.apps = new Apps(fail);
    this.about = el("div", { class: "project-about" });
    const panel = (list) => el("div", { class: "project-panel" }, list.node);
    this.parts = { work: this.batches, units: this.units, hosts: this.volunteers, errors: this.problems, apps: this.apps };
    this.tabs = new Tabs("About this project", [["work", "Work and results", panel(this.batches)], ["units", "Units", panel(this.units)], ["hosts", "Volunteers", panel(this.volunteers)], ["errors", "Errors", panel(this.problems)], ["apps", "Apps", panel(this.apps)], ["about", "Settings and ledger", el("div", { class: "project-panel" }, this.about)]], (key) => {
      this.flow.choose(key === "units" ? this.units.state : null);
      this._look(true);
    });
    this.body = el("div", { class: "project", hidden: true },
      el("section", { class: "card project-flow" }, this.state, this.flow.node, el("div", { class: "progress" }, this.stack.node, el("span", { class: "progress-text" }, this.speed, this.eta))),
      el("div", { class: "project-middle" }, el("section", { class: "card" }, el("h2", {}, "Throughput"), this.chart.node), el("section", { class: "card project-figures", "aria-label": "Numbers" }, ...Object.values(this.figures).map(({ node }) => node))),
      el("section", { class: "card project-lists" }, this.tabs.list, ...this.tabs.parts.map((part) => part.panel)));
    this.replaceChildren(el("header", { class: "head" }, el("div", { class: "crumb-head" }, el("a", { class: "crumb-back", href: "/grid?tab=mine" }, "My projects"), this.name), this.buttons), this.said, this.body);
    this.tabs.choose("work");
    this.buttons.hidden = true;
    this._stop = live.watch(["projects", "batches"], () => this.paint(), 400);
    this._timer = setInterval(() => document.hidden || this._look(false), EVERY);
  }

  disconnectedCallback() {
    this._stop?.();
    clearInterval(this._timer);
    this.chart?.close();
    this.units?.close();
    this.volunteers?.close();
    this.replaceChildren();
  }

  get one() {
    return live.projects.get(this.wanted) ?? [...live.projects.values()].find((one) => one.name === this.wanted);
  }

  paint() {
    const one = this.one;
    this.body.hidden = this.buttons.hidden = !one;
    if (!one) {
      write(this.name, live.known.has("projects") ? "No such project" : "…");
      if (live.known.has("projects")) write(this.said, "This node has no project of that name. My projects lists those it has.");
      return;
    }
    const first = this.shown !== one.id;
    this.shown = one.id;
    if (first) write(this.said, "");
    write(this.name, clean(one.name));
    const [word, tone] = standing(one);
    const [light, mark, why] = this.state.children;
    light.dataset.tone = tone;
    write(mark, word);
    write(why, standingWhy(one));
    this.flow.show(one.by_state, one.units);
    this.stack.show(one.by_state, one.units);
    write(this.eta, openUnits(one) ? left(one.eta) : "");
    write(this.speed, one.units ? `${speed(one.throughput)} over the last five minutes` : "No units yet");
    this._numbers(one);
    this.submit.hidden = this.app.hidden = one.closed;
    this.submit.querySelector(".label").textContent = one.apps.some((app) => !app.retired) ? "Submit work" : "Add the first app";
    this.app.hidden ||= !one.apps.length;
    this.batches.show(one, [...live.batches.values()].filter((batch) => batch.project === one.id));
    this.apps.show(one);
    this._about(one);
    if (first) this._look(true);
  }

  _numbers(one) {
    const { hosts, redundancy, errors, spent } = this.figures;
    write(hosts.value, short(one.hosts_now));
    write(hosts.note, `${counted(one.hosts, "machine")} in all`);
    write(redundancy.value, one.redundancy ? one.redundancy.toFixed(2) : "–");
    write(redundancy.note, "1 is no unit computed twice");
    write(errors.value, short(one.errors + one.invalid));
    write(errors.note, `${grouped(one.errors)} failed, ${grouped(one.invalid)} wrong`);
    write(spent.value, credit(one.spent));
    write(spent.note, `${one.promised ? `${credit(one.promised)} promised` : "nothing promised"}${one.budget === null || one.budget === undefined ? "" : `, of ${credit(one.budget)}`}`);
  }

  // What no event tells. `fresh`: the list that is open now was just opened.
  async _look(fresh) {
    const one = this.one;
    if (!one || live.connection === "away") return;
    const list = this.parts[this.tabs?.current];
    list?.look?.(one, fresh);
    if (this.asking) return;
    this.asking = true;
    try {
      const found = await get(`/grid/projects/${quoted(one.id)}/throughput`);
      if (this.isConnected) this.chart.show(found);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    } finally {
      this.asking = false;
    }
  }

  _choose(state) {
    this.units.choose(state);
    this.tabs.choose("units");
    this.tabs.list.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  _about(one) {
    const mark = JSON.stringify([one.about, one.url, one.audience, one.network, one.bonus, one.budget, one.paused, one.closed, one.ledger, one.ledger_entries, one.ledger_open, one.local, one.link]);
    if (mark === this.aboutMark) return;
    this.aboutMark = mark;
    const said = trouble();
    const fail = (problem) => write(said, problem ? whole(problem) : "");
    const change = async (values) => live.merge("projects", await patch(`/grid/projects/${quoted(one.id)}`, values));
    const network = live.networks.get(one.network)?.name ?? one.network;
    const may = { friends: "your friends", network: `members of ${clean(network || "a network")}`, everyone: "everyone with the link", invited: "only those you invite" }[one.audience] ?? clean(one.audience);
    const buttons = [
      deed("Change", () => changeProject(this.one), { small: true, sign: "edit" }),
      one.closed ? null : deed(one.paused ? "Resume it" : "Pause it", () => change({ paused: !one.paused }), { small: true, sign: one.paused ? "resume" : "pause", said: fail }),
      deed("Statistics for BOINC sites", () => exportDialog(one), { small: true, sign: "send" }),
      one.closed ? deed("Forget it", () => this._forget(one), { small: true, kind: "danger", doing: "Forgetting…", said: fail }) : deed("Close it", async () => {
        if (await confirmed(`Close ${one.name} for good?`, ["Nothing is handed out any more, and what is being computed is not taken. The ledger stays, so that everybody keeps their credit."], "Close it")) await change({ closed: true });
      }, { small: true, kind: "danger", doing: "Closing…", said: fail }),
    ];
    const check = el("a", { class: "quiet-button small-button", href: `/grid?tab=ledger&link=${quoted(one.ledger || one.id)}&check=1` }, el("sv-icon", { name: "verify" }), el("span", {}, "Check the ledger"));
    const board = el("a", { class: "quiet-button small-button", href: `/grid?tab=leaderboard&project=${quoted(one.id)}` }, el("sv-icon", { name: "award" }), el("span", {}, "Leaderboard"));
    this.about.replaceChildren(facts([
      ["About", one.about ? clean(one.about) : "nothing said yet"], ["Page", one.url ? el("span", {}, ...linked(one.url, () => {})) : ""], ["Open to", may], ["This machine", one.local ? "computes for it, too" : "does not compute for it"],
      ["Bonus", one.bonus ? `credit for quick results times √(${one.bonus} × time a volunteer has / time taken), at most ten times` : "none for quick results"], ["Budget", one.budget === null || one.budget === undefined ? "no limit" : `${credit(one.budget)} cobblestones`],
      ["Ledger", one.ledger_entries ? `${counted(one.ledger_entries, "entry", "entries")}${one.ledger_open ? `, ${grouped(one.ledger_open)} not yet countersigned` : ", all countersigned"}` : "no entry yet"],
      ["Key", one.id],
    ]), said, el("div", { class: "grid-card-foot" }, ...buttons.filter(Boolean), board, check));
  }

  async _forget(one) {
    if (!(await confirmed(`Forget ${one.name}?`, ["All its units and results leave this node. What it published, its ledger, stays where others have it."], "Forget it"))) return;
    await ask("DELETE", `/grid/projects/${quoted(one.id)}`);
    live.remove("projects", one.id);
    go("/grid?tab=mine");
  }
}
customElements.define("sv-grid-project", Project);

function exportDialog(one) {
  const box = dialog("Statistics for BOINC sites");
  const to = text("Folder on this machine", { hint: "/home/you/stats" });
  const said = trouble();
  const done = el("p", { class: "good", dir: "auto" });
  box.body.append(el("p", { class: "muted" }, "Users, teams and hosts in the XML that BOINC's statistics sites read."), to.node, said, done);
  box.foot.append(deed("Write them", async () => {
    if (!to.value) throw new Problem({ title: "no folder was given", advice: "Write where the files shall be." }, 400);
    const { files } = await post(`/grid/projects/${quoted(one.id)}/export`, { to: to.value }, { wait: 600_000 });
    write(done, upper(`${counted(files.length, "file")} written.`));
  }, { kind: "main", doing: "Writing…", said: (problem) => write(said, problem ? whole(problem) : "") }));
  to.input.focus();
}
