// <sv-search>: a query, its hits as they stream in from peers and networks, folded by content, narrowed by facets.

import { follow, note, wanted } from "./address.js";
import { Facets, isThere } from "./facets.js";
import { attribute, bytes, clean, el, rate, write } from "./format.js";
import { fileOf, getFile, progressOf } from "./getting.js";
import { HitDetails } from "./hit.js";
import { icon } from "./icons.js";
import { KINDS, count, grouped, tagLine } from "./kinds.js";
import { live } from "./live.js";
import { aborted, ask, lines, query } from "./net.js";
import { preview, previewable } from "./preview.js";
import { Rows } from "./rows.js";
import { complain, toast } from "./toast.js";

const PAINT_EVERY = 200; // ms while hits stream in: five times a second is as fast as a list can be read
const MOST = 5000; // hits; the API gives no more
const PAST = "servent-searches";
const SCOPES = [["all", "Everywhere"], ["peers", "Others only"], ["library", "My library"], ["networks", "My networks"]];
const IN = "network:"; // and its id: a scope, too
const SORTS = {
  best: ["Best first", (a, b) => b.score - a.score],
  name: ["By name", (a, b) => a.name.localeCompare(b.name)],
  large: ["Largest first", (a, b) => b.size_bytes - a.size_bytes],
  small: ["Smallest first", (a, b) => a.size_bytes - b.size_bytes],
  sources: ["Most sources first", (a, b) => b.sources.length - a.sources.length],
  newest: ["Newest first", (a, b) => newest(b) - newest(a)],
};
const EXAMPLES = [
  ["type:audio artist:\"miles davis\"", "words of a tag"],
  ["lofoten -raw ext:jpg", "without a word, of one kind of file"],
  ["lecture size:>100MB", "by size"],
  ["\"field recordings\"", "a phrase, in this order"],
  ["record*", "words that begin so"],
  ["peer:ada notes", "what one peer has"],
];
const newest = (hit) => Math.max(0, ...hit.sources.map((source) => source.modified ?? 0));
const ties = (a, b) => (a.content < b.content ? -1 : 1);

class Search extends HTMLElement {
  connectedCallback() {
    this.hits = new Map(); // content -> hit
    this.order = []; // contents, as the list shows them
    this.sort = "best";
    this.asked = new Map(); // peer -> { name, answered }
    this.networks = new Map(); // name -> how far it was asked
    this.phase = "idle"; // idle | searching | done | failed
    this.painted = 0;
    this._build();
    this._stop = [live.watch(["transfers", "peers"], () => this._progress(), 1000), live.watch(["networks"], () => this._scopes(), 1000), live.watch(["status"], () => this.phase === "done" && this._emptiness(this.order.length), 1000), follow("/search", (values) => this._address(values))];
    this._address(wanted(), true);
  }

  disconnectedCallback() {
    this.control?.abort();
    clearTimeout(this._timer);
    this._stop.forEach((stop) => stop());
    this.rows.detach();
    this.replaceChildren();
  }

  focusField() {
    this.field.focus();
    this.field.select();
  }

  _build() {
    this.field = el("input", { class: "query", type: "search", name: "q", placeholder: "Words, a phrase, artist:, ext:, size:", "aria-label": "Search for", autocomplete: "off", spellcheck: false, maxlength: 500, enterkeyhint: "search" });
    this.scope = el("select", { class: "pick", "aria-label": "Where to search" }, ...SCOPES.map(([value, word]) => el("option", { value }, word)));
    this.form = el("form", { class: "search-form", role: "search", onsubmit: (event) => {
      event.preventDefault();
      this._go(this.field.value.trim(), this.scope.value);
    } }, el("span", { class: "query-box" }, icon("search"), this.field, el("kbd", { "aria-hidden": "true" }, "/")), this.scope, el("button", { class: "main-button", type: "submit" }, "Search"));
    this.scope.addEventListener("change", () => this.q && this._go(this.q, this.scope.value));
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" || !this.order.length) return;
      event.preventDefault();
      this.rows.focus(0);
    });

    this.facets = new Facets(() => {
      this._resort();
      this._counts();
      this._say();
    });
    this.side = this.facets.node;
    this.status = el("p", { class: "search-status", role: "status" });
    this.again = el("button", { class: "text-button", type: "button", hidden: true, onclick: () => this._resort() }, "Sort again");
    this.sorts = el("select", { class: "pick small-pick", "aria-label": "Order" }, ...Object.entries(SORTS).map(([value, [word]]) => el("option", { value }, word)));
    this.sorts.addEventListener("change", () => {
      this.sort = this.sorts.value;
      this._resort();
    });
    this.watch = el("button", { class: "text-button", type: "button", onclick: () => this._wish() }, icon("wish"), el("span", {}, "Keep watching"));
    this.bar = el("div", { class: "search-bar", hidden: true }, this.status, this.again, this.watch, this.sorts);
    this.rows = new Rows({
      label: "Hits", make: () => this._row(), fill: (row, hit) => this._fill(row, hit),
      open: (hit) => this.details.show(hit), keys: (event, hit) => this._key(event, hit),
    });
    this.rows.node.classList.add("hits");
    this.empty = el("div", { class: "empty", hidden: true });
    this.card = el("div", { class: "card list", hidden: true }, this.rows.node, this.empty);
    this.details = new HitDetails(this, () => this.rows.focus(this.rows.current));
    this.start = el("div", { class: "search-start" });
    this.replaceChildren(this.form, this.start, this.bar, el("div", { class: "search-room" }, this.side, el("div", { class: "with-drawer" }, this.card, this.details.node)));
    this.rows.attach();
  }

  // where we are

  _address(values, first = false) {
    const q = (values.q ?? "").trim();
    const scope = String(values.scope ?? "all");
    if (scope.startsWith(IN) && ![...this.scope.options].some((option) => option.value === scope)) this.scope.append(el("option", { value: scope }, "In one network"));
    if (scope.startsWith(IN) || SCOPES.some(([known]) => known === scope)) this.scope.value = scope;
    if (q !== this.q || first) {
      this.field.value = q;
      if (q) this._search(q, this.scope.value);
      else this._beginning();
    }
    if (!q && (values.focus || first) && matchMedia("(hover: hover)").matches) this.focusField();
  }

  // The networks of this node are scopes, too.
  _scopes() {
    const now = this.scope.value;
    const wanted = [...live.networks.values()].map((network) => [IN + network.id, `In ${clean(network.name)}`]);
    if (now.startsWith(IN) && !wanted.some(([value]) => value === now)) wanted.push([now, "In one network"]);
    if (JSON.stringify(wanted) === this._known) return;
    this._known = JSON.stringify(wanted);
    this.scope.replaceChildren(...[...SCOPES, ...wanted].map(([value, word]) => el("option", { value }, word)));
    this.scope.value = now;
  }

  _go(q, scope) {
    if (!q) return this.focusField();
    note({ q, scope: scope === "all" ? "" : scope });
    this._remember(q);
    this._search(q, scope);
  }

  _past() {
    try {
      return JSON.parse(sessionStorage.getItem(PAST) ?? "[]").filter((each) => typeof each === "string").slice(0, 8);
    } catch {
      return [];
    }
  }

  _remember(q) {
    sessionStorage.setItem(PAST, JSON.stringify([q, ...this._past().filter((each) => each !== q)].slice(0, 8)));
  }

  // Before the first query: how to ask, what was asked, and what others have who have what we have.
  async _beginning() {
    this.control?.abort();
    this.q = "";
    this.phase = "idle";
    for (const part of [this.side, this.bar, this.card]) part.hidden = true;
    this.details.close();
    this.start.hidden = false;
    const past = this._past();
    const suggestion = (q, what) => el("li", {}, el("button", { class: "example", type: "button", onclick: () => this._go(q, this.scope.value) }, el("code", {}, clean(q))), ...(what ? [el("span", { class: "muted" }, what)] : []));
    const liked = el("section", { class: "card liked", hidden: true }, el("h2", {}, "Peers who have what you have also have"), el("div", { class: "liked-list" }));
    this.start.replaceChildren(
      el("section", { class: "card how" }, el("h2", {}, "How to ask"), el("ul", { class: "examples" }, ...EXAMPLES.map(([q, what]) => suggestion(q, what)))),
      ...(past.length ? [el("section", { class: "card how" }, el("h2", {}, "You asked lately"), el("ul", { class: "examples" }, ...past.map((q) => suggestion(q))))] : []),
      liked);
    try {
      const found = await ask("GET", `/recommendations${query({ limit: 12 })}`);
      if (this.phase !== "idle" || !found?.length) return;
      liked.hidden = false;
      liked.querySelector(".liked-list").replaceChildren(...found.map((one) => this._recommended(one)));
    } catch (problem) {
      liked.hidden = false;
      liked.replaceChildren(liked.firstChild, el("p", { class: "muted" }, clean(`${problem.message}. ${problem.advice}`)));
    }
  }

  _recommended({ hit, because }) {
    const get = el("button", { class: "round", type: "button", title: "Get", "aria-label": `Get ${clean(hit.name)}`, onclick: () => this._get(hit) }, icon("get"));
    return el("div", { class: "liked-item" }, el("span", { class: "way" }, icon(KINDS[hit.kind]?.sign ?? "file")),
      el("span", { class: "what" }, el("span", { class: "name", dir: "auto" }, clean(hit.name)), el("span", { class: "why", dir: "auto" }, clean(because))),
      el("span", { class: "small" }, bytes(hit.size_bytes)), get);
  }

  // asking

  async _search(q, scope) {
    this.control?.abort();
    const control = (this.control = new AbortController());
    this.q = q;
    this.hits.clear();
    this.order = [];
    this.asked.clear();
    this.networks.clear();
    this.done = null;
    this.facets.clear();
    this.phase = "searching";
    this.details.close();
    this.start.hidden = true;
    this.side.hidden = this.bar.hidden = this.card.hidden = false;
    this.rows.node.scrollTop = 0;
    this.rows.current = 0;
    this.paint();
    try {
      const where = scope.startsWith(IN) ? { network: scope.slice(IN.length) } : { scope };
      await lines(`/search${query({ q, ...where, limit: MOST })}`, control.signal, (event) => this._take(event));
      if (this.phase === "searching") this._ended({ reason: "The answer broke off. Search again." });
    } catch (wrong) {
      if (control.signal.aborted || aborted(wrong)) return;
      this.phase = "failed";
      this.problem = wrong;
      this.paint();
    }
  }

  _take(event) {
    if (event.kind === "hit" && event.hit) this.hits.set(event.hit.content, whole(event.hit));
    else if (event.kind === "peer") {
      this.asked.set(event.peer, { name: event.name || event.peer.slice(0, 8), answered: event.answered > 0, hits: event.hits ?? 0, reason: event.reason ?? "" });
    } else if (event.kind === "network") this.networks.set(event.network ?? "", { asked: 0, answered: 0, messages: 0, ...event });
    else if (event.kind === "done") return this._ended(event);
    this._soon();
  }

  _ended(event) {
    this.phase = "done";
    this.done = event;
    this.paint();
  }

  _soon() {
    this._timer ??= setTimeout(() => this.paint(), PAINT_EVERY);
  }

  // drawing

  _sorted(contents) {
    const by = SORTS[this.sort][1];
    return contents.sort((a, b) => by(this.hits.get(a), this.hits.get(b)) || ties(this.hits.get(a), this.hits.get(b)));
  }

  // While somebody points at the list, works in it or has scrolled down, rows keep their places and the new come
  // after them: nothing jumps away under the hand. `Sort again` appears where that left a better order.
  _ordered() {
    const busy = this.rows.node.matches(":hover") || this.rows.node.contains(document.activeElement) || this.rows.node.scrollTop > 0 || !this.details.node.hidden;
    const shown = [...this.hits.keys()].filter((content) => this.facets.passes(this.hits.get(content)));
    const best = this._sorted([...shown]);
    if (!busy || !this.order.length) {
      this.again.hidden = true;
      return best;
    }
    const here = new Set(shown);
    const kept = this.order.filter((content) => here.has(content));
    const before = new Set(kept);
    const order = [...kept, ...best.filter((content) => !before.has(content))];
    this.again.hidden = order.every((content, index) => content === best[index]);
    return order;
  }

  _resort() {
    this.order = this._sorted([...this.hits.keys()].filter((content) => this.facets.passes(this.hits.get(content))));
    this.again.hidden = true;
    this.rows.node.scrollTop = 0;
    this.rows.current = 0;
    this._list();
  }

  paint() {
    clearTimeout(this._timer);
    this._timer = null;
    this.painted += 1;
    this.order = this._ordered();
    this._list();
    this._counts();
    this._say();
  }

  _list() {
    const items = this.order.map((content) => this.hits.get(content));
    this.rows.node.classList.toggle("gone", !items.length);
    this.rows.node.style.setProperty("--count", items.length);
    this.rows.show(items);
    this._emptiness(items.length);
  }

  _progress() {
    if (this.order.length) this.rows.draw();
  }

  _counts() {
    this.facets.count(this.hits.values());
  }

  _say() {
    const asked = [...this.asked.values()];
    const silent = asked.filter((peer) => !peer.answered);
    const shown = this.order.length;
    const all = this.hits.size;
    const found = shown === all ? count(all, "hit") : `${grouped(shown)} of ${count(all, "hit")}`;
    const total = this.done?.asked || asked.length;
    const far = { asked: 0, answered: 0, messages: 0 };
    for (const network of this.networks.values()) for (const key of Object.keys(far)) far[key] += network[key];
    const nobody = this.scope.value === "library" ? "in your library" : this.networks.size ? "answered by this node alone" : "no peer is connected";
    let who = "";
    if (this.phase === "searching") {
      who = [total ? `asking ${count(total, "peer")}, ${asked.length - silent.length} answered so far` : "",
        far.asked ? `${far.answered} of ${count(far.asked, "supernode")} answered, ${count(far.messages, "message")}` : ""].filter(Boolean).join("; ") || "asking…";
    } else if (this.phase === "done") {
      const answered = [total ? `${this.done.answered ?? asked.length - silent.length} of ${count(total, "peer")}` : "", far.asked ? `${far.answered} of ${count(far.asked, "supernode")}` : ""].filter(Boolean).join(" and ");
      who = answered ? `${answered} answered` : nobody;
      if (this.done.took_ms) who += this.done.took_ms < 1000 ? ` in ${Math.max(1, Math.round(this.done.took_ms))} ms` : ` in ${(this.done.took_ms / 1000).toFixed(1)} s`;
      if (far.messages) who += `, ${count(far.messages, "message")}`;
      if (this.done.more) who += "; there are more: narrow it with another word";
      if (this.done.reason) who += `; ${clean(this.done.reason)}`;
    }
    write(this.status, this.phase === "failed" ? "" : [found, who].filter(Boolean).join(" · "));
    const notes = [...this.networks.values()].map((one) => clean(`${one.network}: ${one.answered} of ${count(one.asked, "supernode")}, ${count(one.messages, "message")}${one.sampled ? ", a sample of what there is" : ""}${one.reason ? `, ${one.reason}` : ""}`));
    if (silent.length && this.phase === "done") notes.push(`No answer from ${silent.map((peer) => clean(peer.name)).slice(0, 12).join(", ")}`);
    attribute(this.status, "title", notes.join("\n") || null);
    this.bar.classList.toggle("working", this.phase === "searching");
    this.sorts.hidden = !all;
    this.watch.hidden = this.phase === "failed" || this.phase === "idle";
    attribute(this.card, "aria-busy", this.phase === "searching");
  }

  _emptiness(shown) {
    this.empty.hidden = shown > 0;
    this.side.classList.toggle("void", !this.hits.size);
    this.side.classList.toggle("over", !this.hits.size && this.phase !== "searching");
    if (shown) return;
    const say = (title, text, ...more) => {
      if (this.empty.dataset.says === title + text) return; // a button in it keeps its focus
      this.empty.dataset.says = title + text;
      this.empty.replaceChildren(el("p", { class: "empty-title" }, title), el("p", { class: "empty-text" }, text), ...more);
    };
    if (this.phase === "failed") {
      say(clean(this.problem.message), clean(this.problem.advice ?? ""), el("button", { class: "quiet-button", type: "button", onclick: () => this._search(this.q, this.scope.value) }, "Search again"));
    } else if (this.phase === "searching") say("Asking…", "Hits appear as they come.");
    else if (this.hits.size) say("Nothing passes these filters", "Press a chosen filter again to lift it.");
    else if (live.status && !live.status.peers?.total && !this.networks.size && this.scope.value !== "library")
      say("No peer is connected, so nobody could be asked", "Search covers your own library, the peers you are connected to, and your networks.", el("a", { class: "quiet-button", href: "/invite" }, "Invite somebody"));
    else say("Nobody here has it now", "Fewer words find more; an ending is found with *, as in record*. Keep watching puts it on your wish list: you are told when somebody shares it.");
  }

  _row() {
    const row = el("div", { class: "hit" });
    const parts = {
      sign: icon("file"), name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), size: el("span", { class: "speed" }),
      sources: el("span", { class: "path" }), note: el("span", { class: "small", dir: "auto" }),
      look: el("button", { class: "round", type: "button", title: "Preview (p)" }, icon("preview")), get: el("button", { class: "round", type: "button", title: "Get (Enter)" }, icon("get")),
    };
    parts.look.addEventListener("click", () => this._preview(row.item));
    parts.get.addEventListener("click", () => this._get(row.item));
    row.append(el("span", { class: "way" }, parts.sign), el("span", { class: "what" }, parts.name, parts.why), parts.size, el("span", { class: "two" }, parts.sources, parts.note), el("span", { class: "actions" }, parts.look, parts.get));
    row.parts = parts;
    return row;
  }

  _fill(row, hit) {
    const { parts } = row;
    if (row.item !== hit) {
      row.item = hit;
      write(parts.name, clean(hit.name));
      write(parts.why, [tagLine(hit.tags), clean(folderOf(hit))].filter(Boolean).join(" · "));
      write(parts.size, bytes(hit.size_bytes));
      attribute(parts.sign, "name", KINDS[hit.kind]?.sign ?? "file");
      attribute(parts.look, "aria-label", `Preview ${clean(hit.name)}`);
      parts.look.classList.toggle("unable", !previewable(hit.name));
    }
    const [first, second, tone] = sourceWords(hit);
    write(parts.sources, first);
    write(parts.note, second);
    if (row.dataset.tone !== tone) row.dataset.tone = tone;
    parts.look.tabIndex = parts.get.tabIndex = row.tabIndex;
    const known = progressOf(hit.content);
    const mine = hit.here || known?.state === "complete";
    attribute(parts.get.firstChild, "name", mine ? "check" : "get");
    parts.get.disabled = mine || known === "asking";
    attribute(parts.get, "aria-busy", known === "asking" ? "true" : null);
    attribute(parts.get, "aria-label", mine ? `You have ${clean(hit.name)}` : `Get ${clean(hit.name)}`);
  }

  _key(event, hit) {
    if (event.key === "Enter") this._get(hit);
    else if (event.key === "p") this._preview(hit);
    else if (event.key === "i" || event.key === " ") this.details.show(hit);
    else if (event.key === "ArrowUp" && this.rows.current === 0) this.focusField();
    else return false;
    return true;
  }

  _get(hit) {
    if (hit.here) return toast(`${hit.name} is in your library`);
    return getFile(fileOf(hit), () => this.isConnected && this.rows.draw());
  }

  _preview(hit) {
    preview(fileOf(hit), (by) => {
      for (let at = this.rows.current + by; at >= 0 && at < this.rows.items.length; at += by) {
        const other = this.rows.items[at];
        if (!previewable(other.name)) continue;
        this.rows.current = at;
        this.rows.reveal(at);
        return fileOf(other);
      }
      return null;
    });
  }

  async _wish() {
    this.watch.disabled = true;
    try {
      const wish = await ask("POST", "/wishes", { q: this.q });
      live.merge("wishes", wish);
      toast(`Watching for ${this.q}`, { undo: { word: "Undo", press: async () => {
        await ask("DELETE", `/wishes/${encodeURIComponent(wish.id)}`);
        live.remove("wishes", wish.id);
      } } });
    } catch (problem) {
      complain(problem);
    } finally {
      this.watch.disabled = false;
    }
  }
}

// The API leaves out what is empty.
const whole = (hit) => ({ tags: {}, sources: [], score: 0, here: false, ext: "", ...hit });
const folderOf = (hit) => {
  const path = hit.sources[0]?.path ?? "";
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
};

// How it stands with a hit: have it, getting it, could have it now, or would wait, and why.
function sourceWords(hit) {
  const known = progressOf(hit.content);
  if (known && known !== "asking") {
    if (known.state === "complete") return ["You have it", "arrived", "direct"];
    if (known.state === "failed") return ["Failed", clean(known.error || known.reason || "see Transfers"), "failed"];
    const part = known.size_bytes ? Math.floor((known.done_bytes / known.size_bytes) * 100) : 0;
    return [`${part} %`, known.state === "active" ? rate(known.rate_bytes_per_s) : clean(known.reason || known.state), "moving"];
  }
  if (known === "asking") return ["Asking…", "", "waiting"];
  const others = hit.sources.filter((source) => !source.mine);
  if (hit.here) return ["You have it", others.length ? `and ${count(others.length, "peer")}` : "in your library", "direct"];
  const who = others.length === 1 ? clean(others[0].name || others[0].peer.slice(0, 8)) : count(others.length, "source");
  const direct = others.filter((source) => !source.network);
  if (!direct.length && others.length) { // somebody's network says that they have it
    const there = others.some(isThere);
    return [who, there ? `reachable, in ${clean(others.find(isThere).network)}` : others.every((source) => source.reachable === false) ? "away now" : `in ${clean(others[0].network)}`, there ? "plain" : "waiting"];
  }
  const free = direct.some((source) => source.free);
  const shortest = Math.min(...direct.map((source) => source.queue ?? 0));
  return [who, free ? "free now" : shortest > 0 ? `${shortest} wait there before you` : "busy now", free ? "plain" : "waiting"];
}

customElements.define("sv-search", Search);
