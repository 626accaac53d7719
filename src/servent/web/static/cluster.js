// <sv-cluster>: Dask among friends. Each cluster with what its scheduler does, its machines and what they have, its tasks, and when its groups work.

import { patch, whole } from "./ask.js";
import { note, wanted } from "./address.js";
import { at, groupDialog, joinCluster, leaveCluster, linkDialog, logDialog, memberDialog, newCluster, nodeName, openDashboard, workDialog } from "./cluster_forms.js";
import { weekPicture } from "./cluster_week.js";
import { ago, trouble } from "./forms.js";
import { attribute, bytes, clean, duration, el, upper, write } from "./format.js";
import { counted, deed, dot, empty, grouped, short } from "./grid_words.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { settle } from "./talk_words.js";
import { toast } from "./toast.js";

const STATES = { up: ["Up", "direct"], starting: ["Starting", "waiting"], down: ["Down", "none"], away: ["Owner away", "relayed"], refused: ["Not on its list", "failed"] };
const SILENT = { starting: "Its scheduler starts.", down: "Its scheduler does not run.", away: "Its owner is not reached; tried again by itself.", refused: "Its owner took this machine off the list." };
const PARTS = { running: "direct", starting: "waiting", frozen: "waiting", retiring: "relayed", retired: "none", failed: "failed" };
const KIND_STATES = [["done", "done"], ["running", "running"], ["waiting", "waiting"], ["failed", "error"]];
const MOST = 200; // workers that are drawn, and machines and groups of others' clusters: who means harm says thousands, and a page that draws them stands still
const FIGURES = [["workers", "Workers"], ["running", "Tasks running"], ["waiting", "Waiting"], ["rate", "Done a minute"], ["kept", "Kept in memory"], ["clients", "Clients"]];

class Clusters extends HTMLElement {
  connectedCallback() {
    this.cards = new Map();
    this.tools = el("div", { class: "cluster-tools" }, deed("Join a cluster", () => joinCluster(), { sign: "get" }), deed("New cluster", () => newCluster(), { sign: "add" }));
    this.list = el("div", { class: "clusters" });
    this.nothing = el("div", {});
    this.replaceChildren(this.tools, this.list, this.nothing);
    this._stop = live.watch(["clusters"], () => this.paint(), 500);
    const link = wanted().cluster;
    if (!link) return;
    note({ ...wanted(), cluster: "" });
    joinCluster(link);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const all = [...live.clusters.values()].sort((a, b) => b.mine - a.mine || clean(a.name).localeCompare(clean(b.name)));
    for (const id of [...this.cards.keys()]) if (!live.clusters.has(id)) this.cards.delete(id);
    settle(this.list, all.map((one) => {
      if (!this.cards.has(one.id)) this.cards.set(one.id, new Card(one.id));
      const card = this.cards.get(one.id);
      card.show(one);
      return card.node;
    }));
    this.tools.hidden = !all.length;
    if (all.length) return this.nothing.replaceChildren();
    const known = live.known.has("clusters");
    if (this.nothing.firstChild && this.known === known) return undefined;
    this.known = known;
    this.nothing.replaceChildren(el("section", { class: "card" }, known
      ? empty("No cluster yet", "Put the machines of people who trust each other together, and use them from Python as one: dask.distributed, between homes, with no port to open.",
        el("span", { class: "cluster-begin" }, deed("New cluster", () => newCluster(), { kind: "main", sign: "add" }), deed("Join a cluster", () => joinCluster(), { sign: "get" })))
      : empty(live.connection === "away" ? "The node is away" : "Asking the node…", "")));
    return undefined;
  }
}

// One cluster: a head with its figures, then workers, tasks, machines and groups.
class Card {
  constructor(id) {
    this.id = id;
    const now = () => live.clusters.get(id);
    this.problem = trouble();
    const said = (wrong) => write(this.problem, wrong ? whole(wrong) : "");
    this.dot = dot("none");
    this.name = el("h2", { dir: "auto" });
    this.word = el("span", { class: "mark" });
    this.why = el("p", { class: "why", dir: "auto" });
    this.code = el("code", { class: "cluster-code" });
    this.copy = el("button", { class: "round", type: "button", title: "Copy", "aria-label": "Copy the line for Python" }, icon("copy"));
    this.copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(this.code.textContent);
      toast("Copied", { sign: "check" });
    });
    this.line = el("div", { class: "cluster-line" }, this.code, this.copy);
    this.dashboard = deed("Dashboard", () => openDashboard(now()), { sign: "doctor", kind: "main", doing: "Opening…", said });
    this.power = deed("Down", async () => live.merge("clusters", await patch(at(now()), { up: !now().up })), { sign: "pause", said });
    const small = (word, act, sign) => deed(word, () => act(now()), { small: true, sign, said });
    this.mine = [small("Let somebody in", memberDialog, "peers"), small("Link", linkDialog, "invite"), small("New group", groupDialog, "add")];
    this.log = small("Logs", logDialog, "document");
    const leave = el("button", { class: "round", type: "button", title: "Leave" }, icon("remove"));
    leave.addEventListener("click", () => leaveCluster(now()));
    this.leave = leave;
    this.figures = Object.fromEntries(FIGURES.map(([key]) => [key, el("span", { class: "figure" })]));
    this.figureRow = el("div", { class: "cluster-figures" }, ...FIGURES.map(([key, word]) => el("div", { class: "grid-figure" }, el("span", { class: "total-word" }, word), this.figures[key])));
    this.workers = el("div", { class: "cluster-workers" });
    this.more = el("p", { class: "note" });
    this.kinds = el("div", { class: "cluster-kinds" });
    this.machines = el("div", { class: "cluster-machines" });
    this.others = el("p", { class: "note" });
    this.groups = el("div", { class: "cluster-groups" });
    this.tiles = new Map();
    this.rows = new Map();
    this.bars = new Map();
    const part = (title, ...body) => el("section", { class: "card cluster-part" }, el("h3", {}, title), ...body);
    this.workersPart = part("Workers", this.workers, this.more);
    this.kindsPart = part("Tasks", this.kinds);
    this.groupsPart = part("Schedule", this.groups);
    this.head = el("section", { class: "card cluster-head" },
      el("div", { class: "cluster-top" }, el("div", { class: "cluster-title" }, el("div", { class: "network-head" }, this.dot, this.name, this.word), this.why), el("div", { class: "cluster-buttons" }, this.dashboard, this.power)),
      this.figureRow, this.line, this.problem,
      el("div", { class: "grid-card-foot" }, ...this.mine, small("This machine", workDialog, "settings"), this.log, leave));
    this.sides = el("div", { class: "cluster-sides" }, this.kindsPart, this.groupsPart);
    this.node = el("article", { class: "cluster" }, this.head, this.workersPart, this.sides, part("Machines", this.machines, this.others));
  }

  show(one) {
    const [word, tone] = STATES[one.state] ?? [clean(one.state), "none"];
    this.node.setAttribute("aria-label", clean(one.name));
    this.node.dataset.state = one.state;
    this.dot.dataset.tone = tone;
    write(this.name, clean(one.name));
    write(this.word, one.mine ? `${word} · yours` : `${word} · ${clean(one.owner_name) || one.owner.slice(0, 8)}`);
    write(this.why, upper(clean(one.why || SILENT[one.state] || this._summary(one))));
    write(this.code, `Client("${clean(one.address)}")`);
    this.line.hidden = !one.submit;
    const up = one.state === "up";
    this.figureRow.hidden = !up;
    const values = { workers: grouped(one.workers.length), running: grouped(one.running), waiting: short(one.waiting), rate: short(one.per_minute), kept: bytes(one.kept_bytes), clients: grouped(one.clients) };
    for (const [key, value] of Object.entries(values)) write(this.figures[key], value);
    this.dashboard.hidden = !one.dashboard;
    this.power.hidden = !one.mine;
    write(this.power.querySelector(".label"), one.up ? "Down" : "Up");
    this.power.firstChild.setAttribute("name", one.up ? "pause" : "resume");
    for (const button of this.mine) button.hidden = !one.mine;
    this.log.hidden = !one.logs.length;
    this.leave.setAttribute("aria-label", one.mine ? `End ${clean(one.name)} for everybody` : `Leave ${clean(one.name)}`);
    this.workersPart.hidden = !one.workers.length;
    this.kindsPart.hidden = !one.kinds.length;
    this.groupsPart.hidden = !one.groups.length;
    this.sides.hidden = !one.kinds.length && !one.groups.length;
    rest(this.more, one.workers.length - MOST);
    settle(this.workers, this._known(this.tiles, one.workers.slice(0, MOST), (its) => its.name, () => new Tile()));
    settle(this.kinds, this._known(this.bars, one.kinds, (its) => its.name, () => new Kind()));
    const most = one.mine ? Infinity : MOST; // an owner has to reach every one
    const order = [...one.machines].sort((a, b) => b.mine - a.mine || b.owner - a.owner || b.here - a.here || clean(a.name).localeCompare(clean(b.name)));
    rest(this.others, order.length - most);
    settle(this.machines, this._known(this.rows, order.slice(0, most), (its) => its.id, () => new Machine(this.id)));
    this._groups(one);
  }

  _summary(one) {
    if (!one.workers.length) return "Nobody works yet.";
    if (one.running + one.waiting) return `${counted(one.running + one.waiting, "task")} under way, ${grouped(one.done)} done so far.`;
    return one.done ? `${counted(one.done, "task")} done; nothing waits.` : "Ready: nothing was submitted yet.";
  }

  _known(kept, items, key, make) {
    const here = new Set(items.map(key));
    for (const id of [...kept.keys()]) if (!here.has(id)) kept.delete(id);
    return items.map((item) => {
      if (!kept.has(key(item))) kept.set(key(item), make());
      const part = kept.get(key(item));
      part.show(item);
      return part.node;
    });
  }

  _groups(one) {
    const said = JSON.stringify([one.groups, one.mine]);
    if (said === this.saidGroups) return;
    this.saidGroups = said;
    this.groups.replaceChildren(...one.groups.slice(0, one.mine ? Infinity : MOST / 10).map((group) => {
      const head = el("div", { class: "cluster-group-head" }, el("h4", { dir: "auto" }, clean(group.name)), el("span", { class: "note" }, `${counted(group.machines, "machine")} · ${group.hours.map(clean).join(", ") || "always"}`));
      if (one.mine) head.append(el("button", { class: "round", type: "button", "aria-label": `Change group ${clean(group.name)}`, onclick: () => groupDialog(live.clusters.get(this.id), group) }, icon("edit")));
      return el("div", { class: "cluster-group" }, head, weekPicture(group.hours));
    }));
  }
}

function rest(node, count) {
  node.hidden = !(count > 0);
  write(node, count > 0 ? `and ${grouped(count)} more` : "");
}

const level = (label) => {
  const bar = el("span", { class: "bar" });
  const node = el("div", { class: "meter", role: "img", "aria-label": label }, bar);
  return { node, set(share, tone, words) {
    bar.style.width = `${Math.min(100, Math.max(0, share * 100)).toFixed(1)}%`;
    node.dataset.tone = tone;
    node.setAttribute("aria-label", `${label}: ${words}`);
  } };
};

// A worker: how busy its cores are, how full its memory, what it has to do.
class Tile {
  constructor() {
    this.dot = dot("none");
    this.name = el("span", { class: "name", dir: "auto" });
    this.cpu = level("Cores");
    this.memory = level("Memory");
    this.cpuWord = el("span", {});
    this.memoryWord = el("span", {});
    this.tasks = el("p", { class: "note" });
    this.node = el("div", { class: "worker-tile" }, el("div", { class: "who" }, this.dot, this.name),
      el("div", { class: "meter-line" }, el("span", { class: "total-word" }, "Cores"), this.cpuWord), this.cpu.node,
      el("div", { class: "meter-line" }, el("span", { class: "total-word" }, "Memory"), this.memoryWord), this.memory.node, this.tasks);
  }

  show(one) {
    const paused = one.status !== "running";
    this.dot.dataset.tone = paused ? "waiting" : one.running ? "direct" : "none";
    this.node.dataset.paused = paused;
    write(this.name, clean(one.name));
    const cores = one.cpu / 100 / Math.max(1, one.threads);
    write(this.cpuWord, `${Math.round(Math.min(1, cores) * 100)} %`);
    this.cpu.set(cores, paused ? "waiting" : "accent", `${Math.round(cores * 100)} percent`);
    const share = one.memory_limit_bytes ? one.memory_bytes / one.memory_limit_bytes : 0;
    write(this.memoryWord, bytes(one.memory_bytes));
    this.memory.set(share, share > 0.8 ? "failed" : share > 0.6 ? "relayed" : "direct", `${bytes(one.memory_bytes)} of ${bytes(one.memory_limit_bytes)}`);
    const parts = paused ? ["held"] : [];
    if (one.running) parts.push(`${grouped(one.running)} running`);
    if (one.waiting) parts.push(`${grouped(one.waiting)} next`);
    parts.push(`${short(one.kept)} kept`);
    write(this.tasks, parts.join(" · "));
  }
}

class Kind {
  constructor() {
    this.name = el("span", { class: "name", dir: "auto" });
    this.word = el("span", { class: "small" });
    this.parts = KIND_STATES.map(([key, state]) => [key, el("span", { class: "stack-part", "data-state": state })]);
    this.stack = el("div", { class: "stack", role: "img" }, ...this.parts.map(([, node]) => node));
    this.counts = el("p", { class: "note" });
    this.node = el("div", { class: "task-kind" }, el("div", { class: "task-kind-head" }, this.name, this.word), this.stack, this.counts);
  }

  show(one) {
    write(this.name, clean(one.name));
    write(this.word, one.seconds ? `${one.seconds < 1 ? `${Math.max(1, Math.round(one.seconds * 1000))} ms` : duration(one.seconds)} each` : "");
    const all = Math.max(1, one.done + one.running + one.waiting + one.failed);
    for (const [key, node] of this.parts) node.style.width = `${((one[key] / all) * 100).toFixed(2)}%`;
    const words = KIND_STATES.filter(([key]) => one[key]).map(([key]) => `${grouped(one[key])} ${key}`).join(" · ");
    write(this.counts, words);
    this.stack.setAttribute("aria-label", words || "nothing");
  }
}

// A machine: what it has, what it lends, what its owner may, and why it does not work.
class Machine {
  constructor(cluster) {
    this.dot = dot("none");
    this.name = el("span", { class: "name", dir: "auto" });
    this.marks = el("span", { class: "cluster-marks" });
    this.has = el("p", { class: "small-text", dir: "auto" });
    this.why = el("p", { class: "why", dir: "auto" });
    this.unfit = el("p", { class: "why problem" });
    this.parts = el("span", { class: "cluster-parts", role: "img" });
    this.lends = el("span", { class: "small" });
    this.edit = el("button", { class: "round", type: "button" }, icon("edit"));
    this.edit.addEventListener("click", () => memberDialog(live.clusters.get(cluster), this.one));
    this.cluster = cluster;
    this.node = el("div", { class: "machine" }, this.dot, el("div", { class: "machine-what" }, el("div", { class: "who" }, this.name, this.marks), this.has, this.why, this.unfit), el("div", { class: "machine-lends" }, this.parts, this.lends), this.edit);
  }

  show(one) {
    this.one = one;
    const running = one.parts.filter((part) => part.state === "running").length;
    const failed = one.parts.find((part) => part.state === "failed");
    this.dot.dataset.tone = !one.here ? "none" : failed ? "failed" : running ? "direct" : one.lends ? "waiting" : "none";
    write(this.name, nodeName(one));
    const marks = [one.owner ? "owner" : "", one.submit && !one.owner ? "submits" : "", ...one.groups.map(clean)].filter(Boolean);
    if (marks.join() !== this.saidMarks) this.marks.replaceChildren(...marks.map((mark) => el("span", { class: "mark" }, mark)));
    this.saidMarks = marks.join();
    const { hardware, versions } = one;
    write(this.has, [clean(hardware.processor), hardware.cores ? counted(hardware.cores, "core") : "", hardware.memory_bytes ? bytes(hardware.memory_bytes) : "", ...hardware.gpus.map(clean), clean(hardware.system), versions.python ? `Python ${clean(versions.python)}` : "", versions.distributed ? `Dask ${clean(versions.distributed)}` : ""].filter(Boolean).join(" · "));
    const away = one.at ? `Away; seen ${ago(one.at)}` : live.clusters.get(this.cluster)?.mine ? "Has not come yet" : "";
    write(this.why, !one.here ? away : failed ? upper(clean(failed.why)) : upper(clean(one.why)));
    write(this.unfit, one.unfit ? `Other versions than here: ${clean(one.unfit)}. All machines of a cluster need the same.` : "");
    const states = one.parts.map((part) => part.state);
    if (states.join() !== this.saidParts) this.parts.replaceChildren(...states.map((state) => el("span", { class: "part-dot", "data-tone": PARTS[state] })));
    this.saidParts = states.join();
    this.parts.setAttribute("aria-label", states.length ? `Workers: ${states.join(", ")}` : "No workers");
    const { mine, workers } = live.clusters.get(this.cluster) ?? { mine: false, workers: [] };
    // What others' machines have, their cluster's owner alone is told; whose workers there are, everybody sees.
    const there = mine || one.here ? 0 : workers.reduce((sum, its) => sum + (its.node === one.id), 0);
    if (there) this.dot.dataset.tone = "direct";
    const untold = one.work ? (there ? counted(there, "worker") : "") : "only submits";
    write(this.lends, one.cores ? `${counted(one.cores, "core")}, ${bytes(one.memory_bytes)}` : !mine && !one.here ? untold : one.work ? "lends nothing now" : "only submits");
    this.edit.hidden = !mine;
    attribute(this.edit, "aria-label", `Change what ${nodeName(one)} may`);
  }
}

customElements.define("sv-cluster", Clusters);

