// <sv-wishes>: queries that keep watching, what they found, and what they may fetch by themselves.

import { ask, get, part as quoted, patch, post, press, whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { ago, called, check, peers, text, trouble } from "./forms.js";
import { attribute, bytes, clean, el, upper, write } from "./format.js";
import { getFile, fileOf, progressOf } from "./getting.js";
import { icon } from "./icons.js";
import { tagLine } from "./kinds.js";
import { Problem, live } from "./live.js";
import { SideList } from "./side_list.js";
import { toast } from "./toast.js";
import { percent, part, plural } from "./transfer_words.js";

const MOST = 500; // matches shown; narrower wishes find better things

class Wishes extends SideList {
  topic = "wishes";
  label = "Wishes";
  about = "What this wish found";
  columns = ["", "Looking for", "Found", "Fetches", ""];
  empty = ["You wish for nothing yet", "A wish is a search that keeps watching: when somebody connects who has it, you are told, or it is fetched by itself."];

  connectedCallback() {
    super.connectedCallback();
    const add = el("button", { class: "main-button", type: "button" }, icon("wish"), el("span", { class: "label" }, "Add a wish"));
    add.addEventListener("click", () => edit());
    this.nothing.lastChild.append(add);
    this._new = (event) => edit(null, event.detail?.q ?? "");
    addEventListener("servent-wish", this._new);
    const wanted = new URLSearchParams(location.search).get("q");
    if (wanted) edit(null, wanted);
  }

  disconnectedCallback() {
    removeEventListener("servent-wish", this._new);
    super.disconnectedCallback();
  }

  sorted(wishes) {
    return wishes.sort((a, b) => a.paused - b.paused || b.created - a.created || (a.id < b.id ? -1 : 1));
  }

  row() {
    const parts = { name: el("span", { class: "name", dir: "auto" }), mark: el("span", { class: "mark new-mark" }), why: el("span", { class: "why", dir: "auto" }), found: el("span", { class: "speed" }), last: el("span", { class: "small" }), fetches: el("span", { class: "left" }) };
    const row = el("div", { class: "wish" });
    parts.pause = this.button(row, "pause", "Pause", (wish) => patch(`/wishes/${quoted(wish.id)}`, { paused: !wish.paused }));
    parts.edit = el("button", { class: "round", type: "button", title: "Change", onclick: () => edit(row.item) }, icon("edit"));
    parts.remove = this.button(row, "remove", "Remove", (wish) => remove(wish));
    row.append(el("span", { class: "way" }, icon("wish")), el("span", { class: "what" }, el("span", { class: "who" }, parts.name, parts.mark), parts.why),
      el("span", { class: "two" }, parts.found, parts.last), parts.fetches, el("span", { class: "actions" }, parts.pause, parts.edit, parts.remove));
    row.parts = parts;
    return row;
  }

  fill(row, wish) {
    const { parts } = row;
    const problem = this.problems.get(wish.id);
    row.classList.toggle("resting", wish.paused);
    write(parts.name, clean(wish.q));
    write(parts.mark, wish.new ? `${wish.new} new` : "");
    write(parts.why, problem ? whole(problem) : wish.paused ? "Paused: nobody is asked" : upper(clean(wish.reason || "Watching; whoever connects is asked")));
    parts.why.classList.toggle("problem", Boolean(problem));
    write(parts.found, wish.matches ? `${wish.matches.toLocaleString("en")} found` : "nothing yet");
    write(parts.last, wish.last_match ? ago(wish.last_match) : `asked ${ago(wish.last_asked)}`);
    write(parts.fetches, wish.auto ? `${wish.fetched} of ${wish.most} fetched` : "only tells");
    attribute(parts.pause.firstChild, "name", wish.paused ? "resume" : "pause");
    parts.pause.title = wish.paused ? "Watch again" : "Pause";
    for (const [key, word] of [["pause", parts.pause.title], ["edit", "Change"], ["remove", "Remove"]]) {
      attribute(parts[key], "aria-label", `${word}: ${clean(wish.q)}`);
      parts[key].tabIndex = row.tabIndex;
    }
  }

  details(drawer, wish, fresh) {
    if (fresh) {
      const frame = { title: el("h2", { dir: "auto" }), why: el("p", { class: "muted", dir: "auto" }), rules: el("p", { class: "note", dir: "auto" }), matches: el("ul", { class: "matches" }), said: el("p", { class: "muted" }) };
      const change = el("button", { class: "quiet-button small-button", type: "button", onclick: () => edit(live.wishes.get(wish.id)) }, icon("edit"), el("span", { class: "label" }, "Change"));
      const look = el("a", { class: "quiet-button small-button", href: `/search?q=${quoted(wish.q)}` }, icon("search"), el("span", { class: "label" }, "Search now"));
      drawer.append(frame.title, frame.why, frame.rules, el("div", { class: "drawer-actions" }, look, change), el("h3", {}, "Found"), frame.said, frame.matches);
      this.frame = frame;
      this.shown = [];
      this.count = -1;
    }
    const { title, why, rules } = this.frame;
    write(title, clean(wish.q));
    write(why, wish.paused ? "Paused: nobody is asked." : upper(clean(wish.reason || "Watching.")));
    const limits = [wish.max_bytes ? `up to ${bytes(wish.max_bytes)} each` : "", wish.peers.length ? `only from ${wish.peers.map(called).join(", ")}` : "", wish.to ? `into ${clean(wish.to)}` : ""].filter(Boolean).join(", ");
    write(rules, `${wish.auto ? `Fetches by itself, at most ${wish.most} in all` : "Tells, and fetches nothing by itself"}${limits ? `; ${limits}` : ""}. Made ${ago(wish.created)}.`);
    if (wish.matches !== this.count) {
      this.count = wish.matches;
      this._load(wish);
    }
    for (const each of this.shown) each.paint();
  }

  async _load(wish) {
    const { frame } = this;
    write(frame.said, "Looking…");
    try {
      const found = await get(`/wishes/${quoted(wish.id)}/matches?limit=${MOST}`);
      if (this.opened !== wish.id || frame !== this.frame) return;
      write(frame.said, found.length ? `${plural(wish.matches, "match", "matches")}${wish.matches > found.length ? `, the newest ${found.length} shown` : ""}` : "Nobody who was here had it. Each who connects is asked.");
      this.shown = found.map((match) => matchLine(match));
      frame.matches.replaceChildren(...this.shown.map(({ node }) => node));
      if (wish.new) live.merge("wishes", await patch(`/wishes/${quoted(wish.id)}`, { seen: true }));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(frame.said, whole(problem));
    }
  }
}
customElements.define("sv-wishes", Wishes);

function matchLine({ hit, found, seen, transfer }) {
  const who = [...new Set(hit.sources.map((source) => source.name || called(source.peer)))];
  const button = el("button", { class: "quiet-button small-button", type: "button" }, icon("get"), el("span", { class: "label" }, "Get"));
  const state = el("span", { class: "note" });
  const about = [bytes(hit.size_bytes), tagLine(hit.tags), who.length ? `${who.slice(0, 3).map(clean).join(", ")}${who.length > 3 ? ` and ${who.length - 3} more` : ""}` : "", ago(found)].filter(Boolean).join(" · ");
  const node = el("li", { class: "match" }, el("span", { class: "what" }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, clean(hit.name)), el("span", { class: "mark new-mark" }, seen ? "" : "new")), el("span", { class: "note", dir: "auto" }, about)), button, state);
  const paint = () => {
    const under = live.transfers.get(transfer) ?? progressOf(hit.content);
    const here = hit.here || under?.state === "complete";
    const words = hit.blocked ? `Blocked: ${clean(hit.blocked)}` : here ? "You have it" : under === "asking" ? "Asking…" : under ? `${under.state === "active" ? percent(part(under)) : clean(under.reason || under.state)}` : "";
    write(state, words);
    state.hidden = !words;
    button.hidden = Boolean(words);
  };
  button.addEventListener("click", () => getFile(fileOf(hit), paint));
  paint();
  return { node, paint };
}

async function remove(wish) {
  await ask("DELETE", `/wishes/${quoted(wish.id)}`);
  live.remove("wishes", wish.id);
  const { q, auto, max_bytes, most, peers: whom, to } = wish;
  toast(`${q}: no longer wished for`, { undo: { word: "Undo", press: async () => {
    live.merge("wishes", await post("/wishes", { q, auto, max_bytes, most, peers: whom, to }));
    return "It is watched for again.";
  } } });
  return null;
}

// Adds a wish, or changes one.
export function edit(wish = null, wanted = "") {
  const box = dialog(wish ? "Change the wish" : "Add a wish");
  const q = text("Look for", { value: wish?.q ?? wanted, hint: "nina simone type:audio", note: "As in Search: words, \"a phrase\", -not this, type:audio, ext:flac, size:>10MB, artist:name" });
  const auto = check("Fetch what is found by itself", { value: wish?.auto ?? false, note: "otherwise it only tells you" });
  const most = text("At most so many in all", { type: "number", value: String(wish?.most ?? 10) });
  const size = text("Only up to (MB each)", { type: "number", value: wish?.max_bytes ? String(Math.round(wish.max_bytes / 1e6)) : "", hint: "any size" });
  const to = text("Into this folder (empty: your downloads)", { value: wish?.to ?? "" });
  const whom = peers("Only from", wish?.peers ?? [], "Nobody ticked: from everyone");
  const said = trouble();
  const save = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, wish ? "Save" : "Watch for it"));
  const rules = el("div", { class: "dialog-part" }, el("div", { class: "form-pair" }, most.node, size.node), to.node);
  const form = el("form", { class: "dialog-part" }, q.node, auto.node, rules, el("details", { class: "fold", open: Boolean(wish?.peers?.length) || null }, el("summary", {}, "Only from some peers"), whom.node), said, el("div", { class: "dialog-foot" }, save));
  const show = () => (rules.hidden = !auto.value);
  auto.input.addEventListener("change", show);
  show();
  const send = press(save, "Saving…", async () => {
    if (!q.value) throw new Problem({ title: "Nothing to look for was given", advice: "Write a few words, as for a search" }, 0);
    const values = { q: q.value, auto: auto.value, most: Math.max(1, Number(most.value) || 10), max_bytes: Number(size.value) > 0 ? Math.round(Number(size.value) * 1e6) : null, peers: whom.value, to: to.value || null };
    const now = wish ? await patch(`/wishes/${quoted(wish.id)}`, values) : await post("/wishes", values);
    live.merge("wishes", now);
    box.close();
  }, (problem) => write(said, problem ? whole(problem) : ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  box.body.append(form);
  q.input.focus();
}
