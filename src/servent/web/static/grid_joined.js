// <sv-grid-joined>: the projects this machine computes for, how far they are, and what came of its work.

import { ask, get, part as quoted, patch, post, press, whole } from "./ask.js";
import { go, note, wanted } from "./address.js";
import { button, confirmed, dialog } from "./dialog.js";
import { check, select, text, trouble } from "./forms.js";
import { clean, el, upper, write } from "./format.js";
import { bar, beingQuick, counted, credit, deed, dot, empty, grouped, left, number, percent, share as partOf } from "./grid_words.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { linked, settle } from "./talk_words.js";
import { toast } from "./toast.js";

const STATES = { working: ["Computing", "direct"], waiting: ["Waiting", "waiting"], unreachable: ["Not reachable", "relayed"], refused: ["Refused", "failed"], paused: ["Paused", "waiting"], closed: ["Closed", "none"] };
const SILENT = { working: "Its units are being computed here.", waiting: "It has no unit for this machine right now.", unreachable: "Its coordinator does not answer; asked again by itself.", refused: "It does not take this machine.", paused: "You paused it.", closed: "Its owner closed it." };
const LONG = 90_000; // ms; a coordinator may be far away

const teamChoices = async () => [["", "No team"], ...(await get("/grid/teams").catch(() => [])).filter((team) => team.member).map((team) => [team.key, clean(team.name)])];

class Joined extends HTMLElement {
  connectedCallback() {
    this.cards = new Map();
    this.said = trouble();
    this.list = el("div", { class: "grid-cards" });
    this.nothing = el("div", {});
    this.replaceChildren(this.said, this.list, this.nothing);
    this._open = (event) => event.detail === "join" && joinDialog();
    addEventListener("servent-grid", this._open);
    this._stop = live.watch(["joined"], () => this.paint(), 700);
    const link = wanted().join;
    if (!link) return;
    note({ ...wanted(), join: "" }); // a reload is no second question
    joinDialog(link);
  }

  disconnectedCallback() {
    removeEventListener("servent-grid", this._open);
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const all = [...live.joined.values()].sort((a, b) => clean(a.name).localeCompare(clean(b.name)) || (a.id < b.id ? -1 : 1));
    for (const id of [...this.cards.keys()]) if (!live.joined.has(id)) this.cards.delete(id);
    settle(this.list, all.map((one) => this._card(one)));
    if (all.length) return this.nothing.replaceChildren();
    if (this.nothing.firstChild && this.known === live.known.has("joined")) return undefined;
    this.known = live.known.has("joined");
    this.nothing.replaceChildren(el("section", { class: "card" }, this.known
      ? empty("No project joined yet", "A project is joined by its link. Its programs run in a sandbox, without your files and without a network, and only when you allow it.", deed("Join a project", () => joinDialog(), { kind: "main", sign: "get" }))
      : empty(live.connection === "away" ? "The node is away" : "Asking the node…", "")));
    return undefined;
  }

  _card(one) {
    let card = this.cards.get(one.id);
    if (!card) {
      card = this._make(one.id);
      this.cards.set(one.id, card);
    }
    const [word, tone] = STATES[one.state] ?? [clean(one.state), "none"];
    card.dot.dataset.tone = tone;
    write(card.name, clean(one.name || "A project"));
    write(card.word, one.mine ? `${word} · yours` : word);
    write(card.why, upper(clean(one.why || SILENT[one.state] || "")));
    const about = [one.about, one.url].filter(Boolean).join("\n");
    if (card.said !== about) card.about.replaceChildren(...linked((card.said = about), (link) => joinDialog(link)));
    card.about.hidden = !about;
    const done = partOf(one.done, one.units);
    card.progress.set(one.units ? done : 0, "direct");
    write(card.part, one.units ? `${percent(done)} of ${counted(one.units, "unit")}` : "It did not say yet how far it is");
    write(card.eta, one.done < one.units ? left(one.eta) : "");
    for (const [key, value] of [["today", credit(one.today)], ["recent", credit(one.recent)], ["total", credit(one.total)]]) write(card.figures[key], value);
    const counts = [[one.leased, "here now"], [one.valid, "valid"], [Math.max(0, one.returned - one.valid - one.invalid), "being checked"], [one.invalid, "invalid"], [one.errors, "failed"]].filter(([count], index) => count || index === 1);
    write(card.counts, counts.map(([count, what]) => `${grouped(count)} ${what}`).join(" · "));
    write(card.by, [one.owner_name ? `by ${clean(one.owner_name)}` : one.owner ? `by ${one.owner.slice(0, 8)}` : "", `share ${grouped(one.share)}`, one.team ? `for ${clean(one.team)}` : "", beingQuick(one.bonus)].filter(Boolean).join(" · "));
    write(card.pause.querySelector(".label"), one.state === "paused" ? "Resume" : "Pause");
    card.pause.firstChild.setAttribute("name", one.state === "paused" ? "resume" : "pause");
    card.pause.hidden = one.state === "closed";
    card.leave.setAttribute("aria-label", `Leave ${clean(one.name)}`);
    card.node.setAttribute("aria-label", clean(one.name));
    return card.node;
  }

  _make(id) {
    const now = () => live.joined.get(id);
    const problem = trouble();
    const said = (wrong) => write(problem, wrong ? whole(wrong) : "");
    const pause = deed("Pause", async () => live.merge("joined", await patch(`/grid/joined/${quoted(id)}`, { paused: now().state !== "paused" })), { small: true, sign: "pause", said });
    const change = deed("Change", () => shareDialog(now()), { small: true, sign: "edit", said });
    const leave = el("button", { class: "round", type: "button", title: "Leave" }, icon("remove"));
    leave.addEventListener("click", press(leave, "", () => this._leave(now()), said));
    const figures = { today: el("span", { class: "figure" }), recent: el("span", { class: "figure" }), total: el("span", { class: "figure" }) };
    const progress = bar("Progress of the project");
    const card = { dot: dot("none"), name: el("h2", { dir: "auto" }), word: el("span", { class: "mark" }), why: el("p", { class: "why", dir: "auto" }), about: el("p", { class: "muted grid-about", dir: "auto" }), progress, part: el("span", {}), eta: el("span", { class: "left" }), counts: el("p", { class: "small-text" }), by: el("p", { class: "note", dir: "auto" }), pause, leave, figures };
    const board = button("Leaderboard", () => go(`/grid?tab=leaderboard&project=${quoted(id)}`), { sign: "award" });
    board.classList.add("small-button");
    const ledger = button("Ledger", () => go(`/grid?tab=ledger&link=${quoted(now().ledger || now().link || id)}&check=1`), { sign: "verify" });
    ledger.classList.add("small-button");
    card.node = el("section", { class: "card grid-card" }, el("div", { class: "network-head" }, card.dot, card.name, card.word), card.why, card.about,
      el("div", { class: "progress" }, el("span", { class: "progress-text" }, card.part, card.eta), progress.node),
      el("div", { class: "grid-figures three" }, ...[["today", "Credit today"], ["recent", "A day, lately"], ["total", "In all"]].map(([key, word]) => el("div", { class: "grid-figure" }, el("span", { class: "total-word" }, word), figures[key]))),
      el("div", {}, card.counts, card.by), problem, el("div", { class: "grid-card-foot" }, pause, change, board, ledger, leave));
    return card;
  }

  async _leave(one) {
    if (!(await confirmed(`Leave ${one.name}?`, ["Work that was not begun goes back to the project. The credit you earned stays yours."], "Leave it"))) return;
    await ask("DELETE", `/grid/joined/${quoted(one.id)}`, null, { wait: LONG });
    live.remove("joined", one.id);
    toast(`Left ${clean(one.name)}`, { open: { word: "Join again", press: () => joinDialog(one.link || one.id) } });
  }
}
customElements.define("sv-grid-joined", Joined);

export async function joinDialog(link = "") {
  if (document.querySelector("dialog[open]")) return;
  const box = dialog("Join a project");
  const field = text("Its link", { value: link, lines: 3, hint: "servent-project:…" });
  const share = text("Share of this machine, against other projects", { type: "number", value: "100", note: "A project with 200 gets twice the time of one with 100." });
  const team = select("Credit counts for", [["", "No team"]]);
  const lend = check("Lend this machine from now on", { value: true, note: "as set under Lend; each pause says why" });
  const said = trouble();
  const shown = el("div", { class: "dialog-part" });
  shown.hidden = true;
  const told = (problem) => write(said, problem ? whole(problem) : "");
  const given = () => {
    if (!field.value) throw new Problem({ title: "no link was given", advice: "Paste the line that the project's owner gave you." }, 400);
  };
  // Only when asked for: its coordinator sees who asks.
  const look = deed("Look at it first", async () => {
    given();
    const one = await post("/grid/look", { link: field.value }, { wait: LONG });
    const by = one.owner_name ? `by ${clean(one.owner_name)}` : `by ${one.owner.slice(0, 8)}`;
    const far = one.closed ? "closed" : one.units ? `${percent(partOf(one.done, one.units))} of ${counted(one.units, "unit")} done` : "no work yet";
    shown.replaceChildren(el("h3", { dir: "auto" }, clean(one.name)), ...(one.about ? [el("p", { dir: "auto" }, clean(one.about))] : []), el("p", { class: "muted" }, `${by} · ${far}`), el("p", { class: "muted" }, beingQuick(one.bonus) || "Quick results earn what any earn."));
    shown.hidden = false;
  }, { doing: "Asking the project…", said: told });
  const join = deed("Join", async () => {
    given();
    const one = await post("/grid/joined", { link: field.value, share: number(share) ?? 100, team: team.value, lend: lend.value }, { wait: LONG });
    live.merge("joined", one);
    box.close();
    go("/grid?tab=projects");
    toast(`Joined ${clean(one.name)}`, { sign: "check" });
  }, { kind: "main", doing: "Asking the project…", said: told });
  box.body.append(el("p", { class: "muted" }, "Its programs run in a sandbox: no files of yours, no network, limited memory and time."), field.node, shown, el("details", { class: "fold" }, el("summary", {}, "How much, and for whom"), el("div", { class: "dialog-part" }, share.node, team.node)), lend.node, said);
  box.foot.append(button("Not now", box.close), look, join);
  field.input.focus();
  fillTeams(team, "");
}

async function shareDialog(one) {
  const box = dialog(one.name || "A project");
  const share = text("Share of this machine, against other projects", { type: "number", value: String(one.share) });
  const team = select("Credit counts for", [["", "No team"]]);
  const said = trouble();
  const save = deed("Save", async () => {
    live.merge("joined", await patch(`/grid/joined/${quoted(one.id)}`, { share: number(share), team: team.value }));
    box.close();
  }, { kind: "main", doing: "Saving…", said: (problem) => write(said, problem ? whole(problem) : "") });
  box.body.append(share.node, team.node, said);
  box.foot.append(button("Cancel", box.close), save);
  await fillTeams(team, one.team);
}

async function fillTeams(team, chosen) {
  const choices = await teamChoices();
  team.input.replaceChildren(...choices.map(([key, word]) => el("option", { value: key }, word)));
  team.input.value = choices.find(([key, word]) => chosen && (key === chosen || word === chosen))?.[0] ?? "";
}
