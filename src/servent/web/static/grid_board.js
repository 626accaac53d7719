// <sv-grid-board>: who gave most to a project, people or teams. <sv-grid-balance>: earned and spent inside a network.

import { note, wanted } from "./address.js";
import { get, part as quoted, whole } from "./ask.js";
import { ago, trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { counted, credit, deed, empty, grouped, segments } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { query } from "./net.js";

const PAGE = 50;

// Projects that are joined or owned, each once.
export const projects = () => {
  const all = new Map([...live.joined.values(), ...live.projects.values()].map((one) => [one.id, clean(one.name)]));
  return [...all].sort((a, b) => a[1].localeCompare(b[1]));
};

// Fills a choice with `entries`, keeping what is chosen.
export function fill(choice, entries) {
  const mark = JSON.stringify(entries);
  if (choice.mark === mark) return;
  choice.mark = mark;
  const before = choice.value || choice.dataset.wanted;
  choice.replaceChildren(...entries.map(([key, word]) => el("option", { value: key }, word)));
  if (entries.some(([key]) => key === before)) choice.value = before;
}

class Board extends HTMLElement {
  connectedCallback() {
    this.rows = [];
    this.which = el("select", { class: "pick small-pick", "aria-label": "Project" });
    this.which.dataset.wanted = wanted().project ?? "";
    this.which.addEventListener("change", () => {
      note({ ...wanted(), project: this.which.value });
      this._load();
    });
    this.board = segments("Who", [["people", "People"], ["teams", "Teams"]], "people", () => this._load());
    this.span = segments("When", [["day", "Today"], ["week", "This week"], ["all", "All time"]], "all", () => this._load());
    this.said = trouble();
    this.list = el("ol", { class: "board" });
    this.state = el("p", { class: "note", role: "status" });
    this.none = el("div", {});
    this.more = deed("Show more", () => this._page(this.rows.length), { small: true, doing: "Looking…", said: (problem) => this._fail(problem) });
    this.more.hidden = true;
    this.tools = el("div", { class: "board-tools" }, this.which, this.board.node, this.span.node);
    this.replaceChildren(el("section", { class: "card" }, this.tools, this.said, this.list, this.none, this.more, this.state));
    this._stop = live.watch(["joined", "projects"], () => this.paint(), 2000);
    this._follow = () => {
      const project = wanted().project;
      if (wanted().tab !== "leaderboard" || !project || project === this.which.value) return;
      this.which.dataset.wanted = this.which.value = project;
      this._load();
    };
    addEventListener("popstate", this._follow);
    this._timer = setInterval(() => this.checkVisibility() && !document.hidden && this.rows.length <= PAGE && this._load(true), 15_000);
  }

  disconnectedCallback() {
    this._stop?.();
    removeEventListener("popstate", this._follow);
    clearInterval(this._timer);
    this.replaceChildren();
  }

  _fail(problem) {
    write(this.said, problem ? whole(problem) : "");
  }

  paint() {
    const before = this.which.value;
    const all = projects();
    fill(this.which, all);
    this.tools.hidden = !all.length;
    if (!all.length) {
      this.loaded = undefined;
      this.list.replaceChildren();
      if (!this.none.firstChild) this.none.replaceChildren(empty("No project yet", "Once you joined a project, or have one of your own, this shows who gave most to it."));
    } else if (this.which.value !== before || this.loaded !== this.which.value) this._load();
  }

  async _load(quiet = false) {
    this.loaded = this.which.value;
    if (!quiet) write(this.state, "Looking…");
    this._fail(null);
    try {
      await this._page(0);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.state, "");
      if (!quiet) this._show([], null);
      this._fail(problem);
    }
  }

  async _page(offset) {
    const mark = [this.which.value, this.board.value, this.span.value].join();
    const found = await get(`/grid/leaderboards/${quoted(this.which.value)}${query({ board: this.board.value, span: this.span.value, offset, limit: PAGE })}`);
    if (mark === [this.which.value, this.board.value, this.span.value].join()) this._show([...this.rows.slice(0, offset), ...found.standings], found);
  }

  _show(rows, found) {
    this.rows = rows;
    const most = Math.max(1e-9, ...rows.map((each) => each.credit));
    this.list.replaceChildren(...rows.map((each) => standing(each, most)));
    this.more.hidden = !found || rows.length >= found.rows;
    this.none.replaceChildren(...(found && !rows.length ? [empty(this.board.value === "teams" ? "No team has credit here yet" : "Nobody has credit here yet", this.span.value === "all" ? "Credit is granted once results agree." : "Not in this time: look at all time.")] : []));
    write(this.state, found && rows.length ? `${counted(found.rows, this.board.value === "teams" ? "team" : "person", this.board.value === "teams" ? "teams" : "people")}${found.as_of ? `, as of ${ago(found.as_of)}` : ""}. Credit in cobblestones: 200 are one GFLOPS-day.` : "");
  }
}
customElements.define("sv-grid-board", Board);

export function standing(each, most) {
  const line = el("span", { class: "board-bar", "aria-hidden": "true" });
  line.style.width = `${Math.max(0.5, (each.credit / most) * 100).toFixed(1)}%`;
  return el("li", { class: `standing${each.me ? " me" : ""}` }, line, el("span", { class: "rank", "data-rank": each.rank <= 3 ? each.rank : "" }, String(each.rank)),
    el("span", { class: "what" }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, clean(each.name || each.key.slice(0, 8))), ...(each.me ? [el("span", { class: "mark new-mark" }, "you")] : []), ...(each.team ? [el("span", { class: "mark", dir: "auto" }, clean(each.team))] : [])),
      el("span", { class: "why" }, [each.results ? counted(each.results, "result") : "", each.recent ? `${credit(each.recent)} a day, lately` : ""].filter(Boolean).join(" · "))),
    el("span", { class: "board-credit figure" }, credit(each.credit)));
}

class BalanceOf extends HTMLElement {
  connectedCallback() {
    this.which = el("select", { class: "pick small-pick", "aria-label": "Network" });
    this.which.addEventListener("change", () => this._load());
    this.list = el("ul", { class: "balances" });
    this.said = trouble();
    this.none = el("p", { class: "muted", hidden: true }, "Nobody of this network has earned or spent anything that the ledgers known here tell of.");
    this.card = el("section", { class: "card", hidden: true }, el("div", { class: "card-head" }, el("h2", {}, "Earned and spent in a network"), this.which), el("p", { class: "muted" }, "Who lends to members may let projects of their own be computed by them. Counted from the ledgers this node has checked."), this.said, this.none, this.list);
    this.replaceChildren(this.card);
    this._stop = live.watch(["networks"], () => this.paint(), 2000);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const all = [...live.networks.values()].filter((network) => !network.removed).map((network) => [network.id, clean(network.name)]);
    this.card.hidden = !all.length;
    fill(this.which, all);
    if (all.length && this.loaded !== this.which.value) this._load();
  }

  async _load() {
    this.loaded = this.which.value;
    try {
      const found = await get(`/grid/balances${query({ network: this.which.value })}`);
      found.sort((a, b) => b.balance - a.balance);
      this.none.hidden = found.length > 0;
      this.list.replaceChildren(...found.map((each) => el("li", { class: `balance${each.me ? " me" : ""}` }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, clean(each.name || each.peer.slice(0, 8))), ...(each.me ? [el("span", { class: "mark new-mark" }, "you")] : [])),
        el("span", { class: "small" }, `${credit(each.earned)} earned`), el("span", { class: "small" }, `${credit(each.spent)} spent`), el("span", { class: "balance-sum", "data-tone": each.balance < 0 ? "failed" : "direct" }, `${each.balance > 0 ? "+" : ""}${credit(each.balance)}`))));
      write(this.said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    }
  }
}
customElements.define("sv-grid-balance", BalanceOf);

