// <sv-grid-teams>: teams this node is in, or that are its own: made, joined with a ticket, joined by others.

import { ask, get, part as quoted, post, whole } from "./ask.js";
import { button, confirmed, dialog } from "./dialog.js";
import { called, select, text, trouble } from "./forms.js";
import { clean, el, peerName, write } from "./format.js";
import { counted, deed, passOn } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { toast } from "./toast.js";

class Teams extends HTMLElement {
  connectedCallback() {
    this.list = el("div", { class: "endings" });
    this.said = trouble();
    const fail = (problem) => write(this.said, problem ? whole(problem) : "");
    this.fail = fail;
    const make = deed("New team", () => this._make(), { small: true, sign: "add", said: fail });
    const join = deed("Join with a ticket", () => this._join(), { small: true, sign: "get", said: fail });
    this.replaceChildren(el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", {}, "Your teams"), el("div", { class: "drawer-actions" }, join, make)), el("p", { class: "muted" }, "Both sides sign a membership. Which team a project's credit counts for is said when it is joined, and can be changed there."), this.said, this.list));
    this._load();
  }

  disconnectedCallback() {
    this.replaceChildren();
  }

  async _load() {
    try {
      const teams = await get("/grid/teams");
      if (!this.isConnected) return;
      teams.sort((a, b) => b.mine - a.mine || clean(a.name).localeCompare(clean(b.name)));
      this.list.replaceChildren(...teams.map((team) => this._line(team)));
      if (!teams.length) this.list.append(el("p", { class: "muted" }, "None yet. A team adds up what its members give."));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.fail(problem);
    }
  }

  _line(team) {
    const ends = team.expires ? `until ${new Date(team.expires * 1000).toLocaleDateString([], { dateStyle: "medium" })}` : "";
    const buttons = [];
    if (team.mine) buttons.push(deed("Let somebody in", () => invite(team), { small: true, sign: "invite", said: this.fail }));
    if (team.member || team.mine) buttons.push(deed("Leave", async () => {
      if (!(await confirmed(`Leave ${team.name}?`, [team.mine ? "Its key is here: with it goes the way to let members in. What they earned for it stays." : "What you earned for it stays with it."], "Leave it"))) return;
      await ask("DELETE", `/grid/teams/${quoted(team.key)}`);
      await this._load();
    }, { small: true, kind: "danger", doing: "Leaving…", said: this.fail }));
    return el("div", { class: "ending team" }, el("div", { class: "what" }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, clean(team.name)), ...(team.mine ? [el("span", { class: "mark" }, "yours")] : [])), el("span", { class: "why" }, [counted(team.members, "member"), team.member ? "you are one" : "", ends].filter(Boolean).join(" · "))), el("div", { class: "drawer-actions" }, ...buttons));
  }

  _ask(title, field, word, doing, work) {
    const box = dialog(title);
    const said = trouble();
    box.body.append(field.node, said);
    box.foot.append(button("Not now", box.close), deed(word, async () => {
      if (!field.value) throw new Problem({ title: "nothing was entered", advice: "" }, 400);
      const team = await work(field.value);
      box.close();
      toast(`${clean(team.name)} is there`, { sign: "check" });
      await this._load();
    }, { kind: "main", doing, said: (problem) => write(said, problem ? whole(problem) : "") }));
    field.input.focus();
  }

  _make() {
    this._ask("New team", text("Its name"), "Make it", "Making it…", (name) => post("/grid/teams", { name }));
  }

  _join() {
    this._ask("Join a team", text("The ticket its owner gave you", { lines: 3 }), "Join", "Joining…", (ticket) => post("/grid/teams/join", { ticket }, { wait: 90_000 }));
  }
}
customElements.define("sv-grid-teams", Teams);

function invite(team) {
  const box = dialog(`Let somebody into ${clean(team.name)}`);
  const peers = [...live.peers.values()].filter((peer) => !peer.blocked).sort((a, b) => peerName(a).localeCompare(peerName(b)));
  const who = peers.length ? select("Who", peers.map((peer) => [peer.id, peerName(peer)])) : text("Their id", { hint: "52 letters" });
  const room = el("div", {});
  const said = trouble();
  box.body.append(who.node, said, room);
  box.foot.append(deed("Make a ticket", async () => {
    const { link } = await post(`/grid/teams/${quoted(team.key)}/invite`, { peer: who.value });
    room.replaceChildren(passOn(link, `Good for ${called(who.value)} alone.`));
  }, { kind: "main", doing: "Signing…", said: (problem) => write(said, problem ? whole(problem) : "") }));
}
